"""Reads the policies below a folder: in CI the judge's, on a person's machine the clone's."""

from pathlib import Path

from factory.errors import OutsideRepository
from factory.policies import read
from factory.policies.model import Policies
from factory.system import files


def read_folder(root: Path) -> Policies:
    """Return the policies below ``root/policies``; raises ``InvalidInput``, ``OutsideRepository``."""
    return read.read(contents(root))


def contents(root: Path) -> dict[str, bytes]:
    """Return the YAML files below ``root/policies``, the examples among them, by path; raises ``OutsideRepository``."""
    folder = root / "policies"
    if not folder.is_dir():
        raise OutsideRepository(root.absolute())
    found = sorted(path for path in folder.rglob("*") if path.suffix in {".yml", ".yaml"})
    return {path.relative_to(root).as_posix(): files.read_bytes(path) for path in found}
