"""A personal software factory: specs and issues in, reviewed and evidenced deploys out."""

__version__ = "0.1.0"
