"""The server's state: one SQLite file of JSON documents, one transaction per request.

A document is a dict with an ``id`` that is unique within its kind and an ``iid`` that counts per project and kind, as
in GitLab. Clients never see keys that start with an underscore.
"""

import json
import sqlite3
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Document = dict[str, Any]


@dataclass(frozen=True)
class Change:
    """A document that a transaction created or changed, its project, and the user of the request."""

    kind: str
    project: int
    before: Document | None
    after: Document | None
    actor: int | None


_SCHEMA = """
CREATE TABLE IF NOT EXISTS documents(
  kind TEXT NOT NULL, id INTEGER NOT NULL, project INTEGER NOT NULL, iid INTEGER NOT NULL,
  name TEXT, body TEXT NOT NULL, PRIMARY KEY(kind, id)) WITHOUT ROWID;
CREATE UNIQUE INDEX IF NOT EXISTS by_iid ON documents(kind, project, iid);
CREATE INDEX IF NOT EXISTS by_name ON documents(kind, project, name);
CREATE TABLE IF NOT EXISTS counters(kind TEXT NOT NULL, project INTEGER NOT NULL, value INTEGER NOT NULL,
  PRIMARY KEY(kind, project)) WITHOUT ROWID;
"""


class Store:
    """Documents by kind, project, iid and name."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.executescript(_SCHEMA)
        self._watched: Collection[str] = ()
        self._listener: Callable[[list[Change]], None] = lambda _: None
        self._changed: dict[tuple[str, int], tuple[int, Document | None, Document | None]] = {}
        # The id of the request's user; None outside a request.
        self.actor: int | None = None

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit all changes of the block or none; the listener runs before the commit and may add changes."""
        self._db.execute("BEGIN IMMEDIATE")
        self._changed, self.actor = {}, None
        try:
            yield
            if self._changed:
                self._listener([Change(kind, *found, self.actor) for (kind, _), found in self._changed.items()])
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def watch(self, kinds: Collection[str], told: Callable[[list[Change]], None]) -> None:
        """Call ``told`` at the end of each transaction that changed documents of these kinds, with the changes."""
        self._watched, self._listener = kinds, told

    def add(self, kind: str, body: Document, *, project: int = 0, name: str | None = None) -> Document:
        """Store a new document; return it with its ``id``, unless it has one, and its ``iid``."""
        number = int(body["id"]) if "id" in body else self._next(kind, -1)
        iid = self._next(kind, project)
        document = {"id": number, "iid": iid, **body}
        self._db.execute(
            "INSERT INTO documents VALUES(?,?,?,?,?,?)", (kind, number, project, iid, name, json.dumps(document))
        )
        if kind in self._watched:
            self._changed[kind, number] = (project, None, dict(document))
        return document

    def save(self, kind: str, document: Document) -> Document:
        """Replace a stored document by its ``id``; return it."""
        if kind in self._watched:
            self._note(kind, document)
        self._db.execute(
            "UPDATE documents SET body=? WHERE kind=? AND id=?", (json.dumps(document), kind, document["id"])
        )
        return document

    def rename(self, kind: str, document: Document, name: str) -> None:
        """Change the name by which ``find`` finds a document."""
        self._db.execute("UPDATE documents SET name=? WHERE kind=? AND id=?", (name, kind, document["id"]))

    def delete(self, kind: str, document: Document) -> None:
        """Delete a document."""
        self._db.execute("DELETE FROM documents WHERE kind=? AND id=?", (kind, document["id"]))

    def forget_project(self, number: int) -> None:
        """Delete a project and all of its documents."""
        self._db.execute("DELETE FROM documents WHERE project=?", (number,))
        self._db.execute("DELETE FROM documents WHERE kind='project' AND id=?", (number,))

    def get(self, kind: str, number: int) -> Document | None:
        """Return the document with this ``id``."""
        return self._one("SELECT body FROM documents WHERE kind=? AND id=?", kind, number)

    def by_iid(self, kind: str, project: int, iid: int) -> Document | None:
        """Return a project's document with this ``iid``."""
        return self._one("SELECT body FROM documents WHERE kind=? AND project=? AND iid=?", kind, project, iid)

    def find(self, kind: str, name: str, *, project: int = 0) -> Document | None:
        """Return the newest document with this name."""
        return self._one(
            "SELECT body FROM documents WHERE kind=? AND project=? AND name=? ORDER BY id DESC LIMIT 1",
            kind,
            project,
            name,
        )

    def all(self, kind: str, *, project: int | None = None, **equal: Any) -> list[Document]:
        """Return the documents of a kind, oldest first; ``equal`` selects by field values."""
        where, values = ("kind=?", [kind]) if project is None else ("kind=? AND project=?", [kind, project])
        for key, value in equal.items():
            where += f" AND json_extract(body, '$.{key}') IS ?"
            values.append(value)
        rows = self._db.execute(f"SELECT body FROM documents WHERE {where} ORDER BY id", values)  # noqa: S608 - keys are ours, values are bound
        return [json.loads(row[0]) for row in rows]

    def number(self, kind: str) -> int:
        """Return an unused id of this kind, for objects that are stored inside another document."""
        return self._next(kind, -1)

    def close(self) -> None:
        """Close the database."""
        self._db.close()

    def _note(self, kind: str, document: Document) -> None:
        """Record a document before the transaction and as it is now."""
        number = document["id"]
        known = self._changed.get((kind, number))
        if known is None:
            query = "SELECT project, body FROM documents WHERE kind=? AND id=?"
            row = self._db.execute(query, (kind, number)).fetchone()
            if row is None:
                return
            known = (row[0], json.loads(row[1]), None)
        self._changed[kind, number] = (known[0], known[1], dict(document))

    def _next(self, kind: str, project: int) -> int:
        row = self._db.execute(
            "INSERT INTO counters VALUES(?,?,1) ON CONFLICT DO UPDATE SET value=value+1 RETURNING value",
            (kind, project),
        ).fetchone()
        return int(row[0])

    def _one(self, query: str, *values: Any) -> Document | None:
        row = self._db.execute(query, values).fetchone()
        return None if row is None else json.loads(row[0])
