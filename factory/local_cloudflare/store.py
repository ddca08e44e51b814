"""Stores the account's objects in one SQLite file: zones, settings, records, rulesets, tunnels, tokens, releases.

An object is a JSON document with a kind, an id, an owner and a name. A transaction is on disk when it ends, so that
``kill -9`` loses no change that a response has confirmed.
"""

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from factory.errors import DiskFull, MachineError
from factory.system import files

Kind = Literal["zone", "zone_setting", "dns_record", "ruleset", "tunnel", "configuration", "account_token", "release"]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS object (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  kind TEXT NOT NULL,
  id TEXT NOT NULL,
  owner TEXT NOT NULL,
  name TEXT NOT NULL,
  body TEXT NOT NULL,
  UNIQUE (kind, id)
) STRICT;
CREATE INDEX IF NOT EXISTS object_of ON object (kind, owner, name);
"""


class Store:
    """One connection to the state file; used from the event loop's thread only, never across an ``await``."""

    def __init__(self, file: Path) -> None:
        files.private_folder(file.parent)
        with _sqlite_errors(file):
            self._connection = sqlite3.connect(file, isolation_level=None, timeout=5.0, check_same_thread=False)
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = FULL")
            self._connection.executescript(_SCHEMA)
        self._file = file

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit the block's changes at its end, or roll them back if it raises; raises ``MachineError``."""
        with _sqlite_errors(self._file):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def get(self, kind: Kind, key: str) -> dict[str, Any] | None:
        """Return one object's document, or ``None``."""
        row = self._connection.execute("SELECT body FROM object WHERE kind = ? AND id = ?", (kind, key)).fetchone()
        return None if row is None else _document(row[0])

    def find(self, kind: Kind, *, owner: str | None = None, name: str | None = None) -> list[dict[str, Any]]:
        """Return the documents of a kind, oldest first; ``owner`` and ``name`` filter the list."""
        rows = self._connection.execute(
            "SELECT body FROM object WHERE kind = ?1 AND (?2 IS NULL OR owner = ?2) AND (?3 IS NULL OR name = ?3)"
            " ORDER BY number",
            (kind, owner, name),
        )
        return [_document(body) for (body,) in rows]

    def put(self, kind: Kind, key: str, body: Mapping[str, Any], *, owner: str = "", name: str = "") -> None:
        """Create or replace one object."""
        self._connection.execute(
            "INSERT INTO object (kind, id, owner, name, body) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (kind, id) DO UPDATE SET owner = excluded.owner, name = excluded.name, body = excluded.body",
            (kind, key, owner, name, json.dumps(body, ensure_ascii=False)),
        )

    def delete(self, kind: Kind, key: str) -> None:
        """Delete one object if it exists."""
        self._connection.execute("DELETE FROM object WHERE kind = ? AND id = ?", (kind, key))

    def delete_of(self, kind: Kind, owner: str) -> None:
        """Delete every object of a kind with this owner."""
        self._connection.execute("DELETE FROM object WHERE kind = ? AND owner = ?", (kind, owner))

    def close(self) -> None:
        """Close the file."""
        self._connection.close()


def _document(text: str) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(text)
    return value


@contextmanager
def _sqlite_errors(file: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_FULL:
            raise DiskFull(f"no space left on the disk while writing {file}") from error
        raise MachineError(f"cannot use {file}: {error}", hint="Check the folder's permissions.") from error
