"""An app: what its release is made of, how it is built, and how it runs, in any language."""
