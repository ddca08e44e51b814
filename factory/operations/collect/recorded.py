"""Reads the evidence branch of a checkout without verifying it; `factory evidence verify` verifies it."""

import json
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from factory.errors import EvidenceInvalid
from factory.evidence import sign, transparency_log
from factory.system import process

_BRANCHES = ("refs/remotes/origin/factory/evidence", "refs/heads/factory/evidence")


def statements(root: Path, env: Mapping[str, str], *, kinds: Collection[str]) -> tuple[str, list[Mapping[str, object]]]:
    """Return the evidence branch (empty: none) and the predicates of the statements of some kinds, in order.

    Raises ``EvidenceInvalid`` if a statement cannot be read.
    """

    def git(*arguments: str, stdin: bytes = b"") -> process.CompletedProcess:
        return process.run(["git", *arguments], cwd=root, env=env, stdin=stdin, check=False)

    ref = next((ref for ref in _BRANCHES if git("rev-parse", "--verify", "--quiet", ref).returncode == 0), "")
    if not ref:
        return "", []
    listed = git("ls-tree", "-r", "-z", ref, transparency_log.STATEMENTS).text.split("\0")
    wanted = [
        entry.partition("\t")[0].split()[2] for entry in sorted(listed, key=_path) if _of_kind(_path(entry), kinds)
    ]
    return ref, [
        _predicate(data) for data in _blobs(git("cat-file", "--batch", stdin="\n".join(wanted).encode()).stdout)
    ]


def _path(entry: str) -> str:
    return entry.partition("\t")[2]


def _of_kind(path: str, kinds: Collection[str]) -> bool:
    return transparency_log.index_of(path) is not None and path.split("-")[1] in kinds


def _blobs(output: bytes) -> Iterator[bytes]:
    """Yield the contents in the output of ``git cat-file --batch``: a line that ends with the size, then the bytes."""
    while output:
        head, _, rest = output.partition(b"\n")
        size = int(head.split()[-1])
        yield rest[:size]
        output = rest[size + 1 :]


def _predicate(data: bytes) -> Mapping[str, object]:
    try:
        value = json.loads(sign.payload_of(transparency_log.decode_envelope(data)))
    except ValueError as error:
        raise EvidenceInvalid("the payload of a recorded statement is not JSON") from error
    predicate = value.get("predicate") if isinstance(value, dict) else None
    return predicate if isinstance(predicate, dict) else {}
