"""Uploads a job's artifacts without following links, and unpacks the artifacts of needed jobs."""

import gzip
import io
import re
import zipfile
from collections.abc import Collection, Iterator, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any

from factory.errors import MachineError, Refused
from factory.system import files, http

_LARGEST = 100 * 2**20
# The innermost braces; alternatives may have alternatives in turn.
_BRACES = re.compile(r"\{([^{}]*,[^{}]*)\}")
_MOST_ALTERNATIVES = 1000


def upload(
    client: http.Client, job: int, token: str, rule: Mapping[str, Any], checkout: Path, tracked: Collection[str]
) -> str | None:
    """Upload the files of one artifact rule; return a warning for the log if none match.

    ``tracked`` are the files of the commit, which ``untracked`` leaves out. Raises ``Refused`` if the files are larger
    than the server takes, or it refuses them.
    """
    left_out = set(matching(checkout, rule.get("exclude") or [], folders=False))
    named = dict.fromkeys(matching(checkout, rule["paths"]))
    named |= dict.fromkeys(_untracked(checkout, tracked) if rule.get("untracked") else ())
    found = [path for path in named if path not in left_out]
    if not found:
        return f"WARNING: {', '.join(rule['paths']) or 'untracked'}: no matching files"
    # Before they are read: a sparse file of terabytes takes no space on the disk.
    if (size := sum(path.lstat().st_size for path in found)) > _LARGEST:
        raise Refused(f"the files have {size} bytes; at most {_LARGEST} are kept")
    archive = rule["artifact_format"] == "zip"
    data = _zip(checkout, found) if archive else gzip.compress(b"\n".join(path.read_bytes() for path in found), mtime=0)
    name = "artifacts.zip" if archive else f"{rule['artifact_type']}.gz"
    answer = client.send(
        "POST",
        f"/jobs/{job}/artifacts",
        headers={"JOB-TOKEN": token},
        data={"artifact_type": rule["artifact_type"], "artifact_format": rule["artifact_format"]},
        files={"file": (name, data)},
    )
    if answer.status != HTTPStatus.CREATED:
        raise Refused(f"the server refused it: {answer.text}")
    return None


def download(client: http.Client, dependency: Mapping[str, Any], checkout: Path) -> None:
    """Unpack a needed job's archive into the checkout; raises ``MachineError`` if the download fails."""
    answer = client.send("GET", f"/jobs/{dependency['id']}/artifacts", headers={"JOB-TOKEN": dependency["token"]})
    if answer.status != HTTPStatus.OK:
        raise MachineError(f"the artifacts of {dependency['name']} cannot be downloaded: {answer.status}")
    with zipfile.ZipFile(io.BytesIO(answer.body)) as archive:
        for item in archive.infolist():
            target = files.contained(checkout, item.filename)
            if not item.is_dir():
                files.write_atomic(target, archive.read(item))


def matching(checkout: Path, patterns: list[str], *, folders: bool = True) -> Iterator[Path]:
    """Yield the regular files that patterns match, each once, without following links out of the checkout.

    ``folders`` also yields the files below a folder that matches, as ``paths`` does, and ``exclude`` does not (docs:
    artifacts:exclude).
    """
    root = checkout.resolve()
    seen: set[Path] = set()
    for pattern in (one for given in patterns for one in braces(given)):
        plain = pattern.strip().rstrip("/").removeprefix("./")
        if plain.startswith("/") or ".." in Path(plain).parts:
            continue
        for match in sorted(_matches(root, plain)):
            all_below = folders or plain.endswith("**")
            inside = [match] if match.is_file() else sorted(files.below(match)) if all_below else []
            for path in inside:
                real = path.resolve()
                if path.is_file() and real == path and root in real.parents and path not in seen and _nameable(path):
                    seen.add(path)
                    yield path


def braces(pattern: str) -> list[str]:
    """Return the patterns that a pattern with alternatives in braces stands for, at most 1,000 of them."""
    found, done = [pattern], list[str]()
    while found and len(found) + len(done) <= _MOST_ALTERNATIVES:
        one = found.pop(0)
        match = _BRACES.search(one)
        if match is None:
            done.append(one)
        else:
            found += [f"{one[: match.start()]}{part}{one[match.end() :]}" for part in match[1].split(",")]
    return list(dict.fromkeys([*done, *found]))


def _untracked(checkout: Path, tracked: Collection[str]) -> Iterator[Path]:
    """Yield the files that are not of the commit; git itself would run by a configuration that the job can write."""
    root = checkout.resolve()
    for path in matching(checkout, ["*"]):
        name = path.relative_to(root)
        if name.parts[0] != ".git" and name.as_posix() not in tracked:
            yield path


def _matches(root: Path, pattern: str) -> list[Path]:
    try:
        return list(root.glob(pattern))
    except RecursionError:
        raise Refused(f"{pattern} leads through more nested folders than can be searched") from None


def _nameable(path: Path) -> bool:
    """Return whether the file's name can be encoded in an archive."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def _zip(checkout: Path, found: list[Path]) -> bytes:
    buffer = io.BytesIO()
    root = checkout.resolve()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, strict_timestamps=False) as archive:
        for path in found:
            archive.write(path, path.relative_to(root).as_posix())
    return buffer.getvalue()
