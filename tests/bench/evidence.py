"""Evidence: verification against bare signature checks, durable appends against SQLite, ``why`` on a long history."""

import base64
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from factory.evidence import transparency_log
from factory.evidence.verify import verify
from factory.worktrees.repository import Author, Mirror
from tests.evidence import examples
from tests.measure import row
from tests.servers import TOOL_ENV, git

STATEMENTS, COMMITS, MERGES, APPENDS = 20_000, 10_000, 200, 20
_FILES, _RUNS = 20, 3
# `why` has a limit in seconds; it is measured as a person runs it, with the start of Python and a fetch of the branch.
_WHY_SECONDS = 1.0


def rows() -> list[dict[str, object]]:
    """Return the rows; each thing and its baseline run in turn."""
    with tempfile.TemporaryDirectory() as name:
        return [_verification(), _appends(Path(name)), _why(Path(name))]


def _seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def _many(count: int) -> list[dict[str, Any]]:
    chains = range(1, count // len(examples.STEPS) + 1)
    return [
        examples.make(step, issue=number, mr=number, key=f"{step}/{number}")
        for number in chains
        for step in examples.STEPS
    ]


def _verification() -> dict[str, object]:
    tree, trust = examples.recorded(_many(STATEMENTS)), examples.trust()
    key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(examples.signer().public))
    signed = [_signed(json.loads(data)) for path, data in tree.items() if path.startswith("statements/")]

    def bare() -> None:
        for signature, message in signed:
            key.verify(signature, message)

    def full() -> None:
        assert verify(tree, trust=trust, merge_request=None).passed

    pairs = [(_seconds(full), _seconds(bare)) for _ in range(_RUNS)]
    return row(f"verification of {STATEMENTS} statements / bare Ed25519", pairs, 2.0)


def _signed(envelope: Mapping[str, Any]) -> tuple[bytes, bytes]:
    """Return the signature of an envelope and what it signs (DSSE, Protocol)."""
    payload, kind = base64.b64decode(envelope["payload"]), envelope["payloadType"].encode()
    message = b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)
    return base64.b64decode(envelope["signatures"][0]["sig"]), message


def _appends(folder: Path) -> dict[str, object]:
    """Measure appends, each pushed to a repository on disk, against inserts that SQLite has written to disk."""
    origin, trust, signer = folder / "origin.git", examples.trust(), examples.signer()
    git("init", "-q", "--bare", str(origin), cwd=folder)
    mirror = Mirror(folder / "mirror.git", str(origin))
    mirror.ensure()
    database = sqlite3.connect(folder / "statements.sqlite", isolation_level=None)
    database.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE statements (body TEXT)")

    def append(value: dict[str, Any]) -> None:
        head = mirror.head(transparency_log.BRANCH)
        tree = mirror.tree(head) if head else {}
        changes = transparency_log.append(tree, [value], signer=signer, trust=trust)
        commit = mirror.commit(changes, parent=head, message="x\n", author=Author("a", "a@example.com"))
        mirror.push(commit, transparency_log.BRANCH, "")

    def insert(value: dict[str, Any]) -> None:
        database.execute("INSERT INTO statements VALUES (?)", (json.dumps(value),))

    pairs = [
        (_seconds(lambda: append(value)), _seconds(lambda: insert(value)))  # noqa: B023 - each runs at once
        for value in _many(APPENDS)
    ]
    database.close()
    return row("durable append (commit and push) / SQLite insert", pairs, 200.0)


def _why(folder: Path) -> dict[str, object]:
    """Measure `factory why` on the oldest line of one of the files that thousands of commits changed in turn."""
    project = folder / "project"
    project.mkdir()
    git("init", "-q", "-b", "main", cwd=project)
    files = [[f"line_{line} = 0" for line in range(500)] for _ in range(_FILES)]
    stream = []
    for number in range(COMMITS):
        lines, line = files[number % _FILES], number // _FILES % 499 + 1
        lines[line] = f"line_{line} = {number}"
        text = "\n".join(lines) + "\n"
        stream.append(
            f"commit refs/heads/main\ncommitter a <a@example.com> {1_700_000_000 + number} +0000\n"
            f"data 2\nx\nM 100644 inline src/app_{number % _FILES}.py\ndata {len(text)}\n{text}\n"
        )
    for path, data in examples.recorded(_many(MERGES * len(examples.STEPS))).items():
        head = f"commit refs/heads/{transparency_log.BRANCH}\n" if len(stream) == COMMITS else ""
        committer = "committer a <a@example.com> 1700000000 +0000\ndata 2\nx\n" if head else ""
        stream.append(f"{head}{committer}M 100644 inline {path}\ndata {len(data)}\n{data.decode('latin-1')}\n")
    subprocess.run(
        ["git", "fast-import", "--quiet"],
        cwd=project,
        input="".join(stream).encode("latin-1"),
        check=True,
        env=TOOL_ENV,
    )
    git("reset", "-q", "--hard", cwd=project)
    argv = [str(Path(sys.executable).parent / "factory"), "why", "src/app_0.py:1", "--json"]
    env = {**TOOL_ENV, "HOME": str(folder), "PATH": os.environ["PATH"]}
    times = sorted(
        _seconds(lambda: subprocess.run(argv, cwd=project, env=env, check=True, stdout=subprocess.DEVNULL))
        for _ in range(_RUNS)
    )
    seconds = times[len(times) // 2]
    return {
        "what": f"factory why, {COMMITS} commits, {MERGES * len(examples.STEPS)} statements",
        "seconds": round(seconds, 3),
        "limit": _WHY_SECONDS,
        "holds": seconds <= _WHY_SECONDS,
    }


if __name__ == "__main__":
    for found in rows():
        print(json.dumps(found))  # noqa: T201 - a program's output
