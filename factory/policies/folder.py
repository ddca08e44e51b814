"""Reads the policies below a folder: in CI the judge's, on a person's machine the clone's."""

from pathlib import Path

from factory.policies import read
from factory.policies.model import Policies
from factory.system import files


def read_folder(root: Path) -> Policies:
    """Return the policies of ``root/policies/*.yml``; raises ``InvalidInput``."""
    found = sorted((root / "policies").glob("*.yml"))
    return read.read({f"policies/{path.name}": files.read_bytes(path) for path in found})
