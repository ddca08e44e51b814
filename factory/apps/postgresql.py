"""An app's PostgreSQL database: the URL that names it, copies of it, and its replacement, by PostgreSQL's programs.

A release has no network, so the database is reached over a unix socket
(https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING-URIS).
"""

import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import parse_qs, quote, unquote, urlsplit

from factory.errors import MachineError, ToolFailed, ToolTimeout
from factory.model.secret import Secret
from factory.system import process

VARIABLE = "DATABASE_URL"
SCHEMES = ("postgresql://", "postgres://")
_FORM = "postgresql://ROLE:PASSWORD@/NAME?host=/run/postgresql"
# A name has at most 63 bytes (https://www.postgresql.org/docs/current/limits.html); what is added names a copy.
_NAME = re.compile(r"[a-z_][a-z0-9_]{0,47}")
_COPY, _NEW, _OLD = "_factory_copy", "_factory_new", "_factory_old"
_SECONDS = 1800.0
# Milliseconds for which a dump waits for a table that the app has locked.
_LOCK_MS = 60_000
_CREATE = """DROP DATABASE IF EXISTS :"name" WITH (FORCE);
CREATE DATABASE :"name" TEMPLATE template0;
"""
_SIZE = "SELECT pg_database_size(current_database());\n"
_DROP = 'DROP DATABASE IF EXISTS :"name" WITH (FORCE);\n'
# The old one is dropped after both have their new names, so that no moment has neither.
_SWAP = """SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname IN (:'name', :'new');
DROP DATABASE IF EXISTS :"old" WITH (FORCE);
BEGIN;
ALTER DATABASE :"name" RENAME TO :"old";
ALTER DATABASE :"new" RENAME TO :"name";
COMMIT;
DROP DATABASE :"old" WITH (FORCE);
"""


@dataclass(frozen=True)
class Database:
    """A database: the folder of the server's socket, the port, the role and its password, and the name."""

    url: str = field(repr=False)
    folder: Path
    port: str
    role: str
    password: Secret
    name: str

    def named(self, name: str) -> "Database":
        """Return another database of the same server and role."""
        return replace(self, url=urlsplit(self.url)._replace(path=f"/{quote(name, safe='')}").geturl(), name=name)


def of_url(url: str) -> Database:
    """Return the database that a URL names.

    Raises ``ToolFailed`` for a URL of another form, for one without a socket, whose host no release can reach, and for
    one without a password: every app could use a database that asks only for the account (``peer``, ``trust``).
    """
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise ToolFailed(f"{VARIABLE} is no URL; its form is {_FORM}") from error
    query = {key: values[-1] for key, values in parse_qs(parts.query).items()}
    address, at, place = parts.netloc.rpartition("@")
    role, _, password = address.partition(":")
    host, _, port = place.partition(":")
    folder, name = query.get("host", unquote(host)), unquote(parts.path[1:])
    why = ""
    if "\0" in unquote(url):
        why = "contains a NUL"
    elif not url.startswith(SCHEMES) or not at or not role:
        why = "does not name a role of PostgreSQL"
    elif not folder.startswith("/"):
        why = "names no folder of a unix socket, and a release has no network"
    elif not password:
        why = "has no password, so other apps could use this database, too"
    elif not _NAME.fullmatch(name):
        why = f"names a database that does not match ^{_NAME.pattern}$"
    if why:
        raise ToolFailed(f"{VARIABLE} {why}; its form is {_FORM}")
    return Database(
        url, Path(folder), query.get("port", port) or "5432", unquote(role), Secret(unquote(password)), name
    )


def dump(database: Database, target: Path, *, path: str) -> None:
    """Write what a database has into a new file, as of one moment; ``path`` is the ``PATH`` of PostgreSQL's programs.

    Raises ``ToolFailed``, also for a database that is larger than half of what the disk has left.
    """
    target.touch(mode=0o600)
    size, free = int(_psql(database, path, _SIZE)), shutil.disk_usage(target).free
    if size > free // 2:
        raise ToolFailed(f"the database has {size >> 20} MiB, and {target.parent} has {free >> 20} MiB left")
    options = ("--format=custom", "--no-owner", "--no-privileges", f"--lock-wait-timeout={_LOCK_MS}")
    _run(database, path, "pg_dump", *options, "--file", str(target))


@contextmanager
def copied(database: Database, dumped: Path, *, path: str) -> Iterator[Database]:
    """Yield a new database with what a file of ``dump`` has, beside the real one; it is dropped afterwards.

    One at a time: the caller has a lock. Raises ``ToolFailed``, also if the role may not create databases.
    """
    made = database.named(database.name + _COPY)
    try:
        _fill(database, made, dumped, path=path)
        yield made
    finally:
        _psql(database, path, _DROP, name=made.name)


def replace_by(database: Database, dumped: Path, *, path: str) -> None:
    """Put what a file of ``dump`` has in the place of a database, at once; who uses it is disconnected.

    Raises ``ToolFailed``; then the database is as it was.
    """
    new = database.named(database.name + _NEW)
    _fill(database, new, dumped, path=path)
    # From another database: one that is in use has no new name.
    _psql(database.named("postgres"), path, _SWAP, name=database.name, new=new.name, old=database.name + _OLD)


def _fill(server: Database, made: Database, dumped: Path, *, path: str) -> None:
    _psql(server, path, _CREATE, name=made.name)
    options = ("--no-owner", "--no-privileges", "--exit-on-error", "--single-transaction")
    _run(made, path, "pg_restore", *options, "--dbname", made.name, str(dumped))


def _psql(database: Database, path: str, sql: str, **names: str) -> str:
    variables = (f"--variable={key}={value}" for key, value in {**names, "ON_ERROR_STOP": "1"}.items())
    options = ("--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--file=-")
    return _run(database, path, "psql", *options, *variables, stdin=sql.encode())


def _run(database: Database, path: str, program: str, *options: str, stdin: bytes = b"") -> str:
    """Run one of PostgreSQL's programs, whose environment alone has the password; return what it printed."""
    if process.find(program, path) is None:
        raise ToolFailed(f"{program} is not installed on this machine: it comes with PostgreSQL's client")
    env: Mapping[str, str] = {
        "PATH": path,
        "LANG": "C.UTF-8",
        "PGHOST": str(database.folder),
        "PGPORT": database.port,
        "PGUSER": database.role,
        "PGPASSWORD": database.password.reveal(),
        "PGDATABASE": database.name,
        "PGCONNECT_TIMEOUT": "10",
    }
    try:
        done = process.run([program, "--no-password", *options], env=env, stdin=stdin, timeout=_SECONDS, check=False)
    except (ToolTimeout, MachineError) as error:
        raise ToolFailed(str(error)) from error
    if done.returncode:
        said = done.errors.strip().splitlines()
        raise ToolFailed(f"{program} ended with {done.returncode}: {said[0] if said else 'no message'}")
    return done.text
