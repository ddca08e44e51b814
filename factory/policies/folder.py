"""Reads the policies that lie below a folder: the judge's in CI, the clone's at a person's hand."""

from pathlib import Path

from factory.policies import read
from factory.policies.model import Policies
from factory.system import files


def read_folder(root: Path) -> Policies:
    """Return the policies of ``root/policies/*.yml``; raises ``InvalidInput``."""
    found = sorted((root / "policies").glob("*.yml"))
    return read.read({f"policies/{path.name}": files.read_bytes(path) for path in found})
