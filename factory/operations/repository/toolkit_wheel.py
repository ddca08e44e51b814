"""Packs the installed factory as a wheel, which a repository carries for its judge (PEP 427, PEP 491)."""

import base64
import hashlib
import io
import zipfile
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import metadata
from pathlib import Path

import factory
from factory.errors import MachineError
from factory.system import defaults, files

_PACKAGE = "factory"
_BUILT = (1980, 1, 1, 0, 0, 0)
_WHEEL = "Wheel-Version: 1.0\nGenerator: factory\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
_SCRIPTS = "[console_scripts]\nfactory = factory.cli:main\n"
_MODE = 0o100644


def name() -> str:
    """Return the wheel's file name, which names the version."""
    return f"{_PACKAGE}-{factory.__version__}-py3-none-any.whl"


@cache
def pack() -> bytes:
    """Return the wheel; the same files give the same bytes. Raises ``MachineError`` if the factory is not installed."""
    info = f"{_PACKAGE}-{factory.__version__}.dist-info"
    found = dict(_package())
    found[f"{info}/METADATA"] = _installed("METADATA")
    found[f"{info}/licenses/LICENSE"] = _installed("licenses/LICENSE")
    found[f"{info}/WHEEL"] = _WHEEL.encode()
    found[f"{info}/entry_points.txt"] = _SCRIPTS.encode()
    record = "".join(f"{path},{_hash(data)},{len(data)}\n" for path, data in found.items())
    found[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n".encode()
    return _zipped(found)


def _installed(path: str) -> bytes:
    """Return a file of the installed distribution's own data."""
    try:
        text = metadata.distribution(_PACKAGE).read_text(path)
    except metadata.PackageNotFoundError:
        text = None
    if text is None:
        raise MachineError(
            "the factory runs from its source without being installed, so it cannot be packed",
            hint="Run `make setup`, or install its wheel with `uv tool install`.",
        )
    return text.encode()


def _package() -> Iterator[tuple[str, bytes]]:
    """Yield the files of the package, sorted; those behind links, which a clone of the source has, among them."""
    root = Path(factory.__file__).parent
    for path in defaults.under(root):
        yield f"{_PACKAGE}/{path.relative_to(root).as_posix()}", files.read_bytes(path)


def _hash(data: bytes) -> str:
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")


def _zipped(found: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for path, data in found.items():
            entry = zipfile.ZipInfo(path, _BUILT)
            entry.external_attr = _MODE << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, data)
    return buffer.getvalue()
