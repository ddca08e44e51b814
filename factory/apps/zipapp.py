"""Python zip archives (https://docs.python.org/3/library/zipapp.html) as releases."""

import io
import tempfile
import zipfile
from pathlib import Path

from factory.apps import archive
from factory.apps.archive import CODE, ReleaseManifest
from factory.errors import InvalidInput
from factory.system import files

_FILE = "app.pyz"
_MAGIC = (b"PK\x03\x04", b"PK\x05\x06")


def converted(data: bytes) -> bytes:
    """Return a zipapp as the archive of a release that serves ``/health`` on ``$PORT``; any other bytes as they are.

    Raises ``InvalidInput`` for a zip archive that is damaged or no zipapp.
    """
    if not data.startswith(_MAGIC):
        return data
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as found:
            if "__main__.py" not in found.namelist():
                raise InvalidInput("the archive has no __main__.py")
            if found.testzip() is not None:
                raise InvalidInput("the archive is damaged")
    except (zipfile.BadZipFile, EOFError, NotImplementedError) as error:
        raise InvalidInput(f"the archive is no Python zipapp: {error}") from error
    manifest = ReleaseManifest("app", "python", ("python", _FILE), {}, "/health", "port", 512, 128)
    with tempfile.TemporaryDirectory(prefix="zipapp-") as folder:
        files.write_new(Path(folder) / CODE / _FILE, data)
        return archive.pack(Path(folder), manifest)
