"""A PostgreSQL server of Debian's package, on a unix socket alone, in a folder of its own."""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers import TOOL_PATH

_BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
MISSING = "" if _BINARIES and shutil.which("psql", path=TOOL_PATH) else "PostgreSQL is not installed (apt: postgresql)"
PASSWORD = "of-the-shop"
_ROLES = f"CREATE ROLE shop LOGIN CREATEDB PASSWORD '{PASSWORD}';\nCREATE DATABASE shop OWNER shop;\n"


@contextmanager
def running() -> Iterator[Path]:
    """Yield the folder of the server's socket; the role `shop` owns the database `shop`, and needs its password."""
    folder = Path(tempfile.mkdtemp(prefix="f-pg-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
    binaries = _BINARIES[-1]
    account: tuple[str, ...] = ()
    if os.geteuid() == 0:  # PostgreSQL refuses to run as root
        shutil.chown(folder, "postgres", "postgres")
        account = ("setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups")
    folder.chmod(0o755)
    data = folder / "data"

    def run(*argv: str | Path, stdin: str = "") -> None:
        subprocess.run([*account, *argv], input=stdin, text=True, check=True, capture_output=True, timeout=120)

    run(binaries / "initdb", "-D", data, "--auth-local=trust", "--no-sync", "--username=postgres")
    server = subprocess.Popen(
        [*account, binaries / "postgres", "-D", data, "-k", folder, "-c", "listen_addresses=", "-c", "fsync=off"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        until = time.monotonic() + 60
        while not (folder / ".s.PGSQL.5432").exists() and time.monotonic() < until:
            time.sleep(0.05)
        run("psql", "-X", "-h", folder, "-d", "postgres", "-v", "ON_ERROR_STOP=1", stdin=_ROLES)
        (data / "pg_hba.conf").write_text("local all postgres peer\nlocal all all scram-sha-256\n")
        run(binaries / "pg_ctl", "reload", "-D", data)
        yield folder
    finally:
        server.terminate()
        server.wait(30)
        shutil.rmtree(folder)
