"""What ``factory spec`` reads from a checkout: spec files, git's history, test results and recorded evidence."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from factory.checks import cited, junit
from factory.cli import environment
from factory.errors import EvidenceInvalid, InvalidInput
from factory.evidence import log, sign
from factory.policies import read as policy_files
from factory.specs import read as specs
from factory.specs.trace import Commit, MergeRequest, Trace, Waiver, trace
from factory.specs.trailers import trailers
from factory.system import clock, files, process

_BRANCHES = ("refs/remotes/origin/factory/evidence", "refs/heads/factory/evidence")
# A checkout that is looked at brings no programs of its own.
_NO_TOOLS = Path("/nonexistent")


@dataclass(frozen=True)
class Recorded:
    """What the evidence branch says, unverified: each requirement's digest at its last pass, and merges by commit."""

    ref: str = ""
    passes: tuple[tuple[str, str], ...] = ()
    merges: tuple[tuple[str, MergeRequest], ...] = ()


def repository() -> Path:
    """Return the git checkout that the current folder lies in, or the folder itself."""
    here = Path.cwd()
    return next((folder for folder in (here, *here.parents) if (folder / ".git").exists()), here)


def contents(root: Path) -> dict[str, bytes]:
    """Return the files of ``specs/`` by path."""
    return {path.relative_to(root).as_posix(): files.read_bytes(path) for path in sorted((root / "specs").glob("*.md"))}


def traced(root: Path, reports: Sequence[Path]) -> tuple[Trace, Recorded]:
    """Return the trace of a checkout and the evidence it relies on; raises ``InvalidInput`` and ``EvidenceInvalid``.

    ``reports`` are JUnit files, of which a later one counts more; by default those that the checks left.
    """
    given = environment.snapshot()
    env = environment.tool_env(given, environment.toolchain(given, _NO_TOOLS))
    recorded = _recorded(root, env)
    commits, requests = _history(root, env, dict(recorded.merges))
    found = trace(
        [specs.read(content, source=path) for path, content in contents(root).items()],
        tests=cited.collect(root),
        results=_results(reports or _left(root)),
        merge_requests=requests,
        commits=commits,
        passes=dict(recorded.passes),
        waivers=_waivers(root),
        today=clock.timestamp()[:10],
    )
    return found, recorded


def _left(root: Path) -> list[Path]:
    return sorted((root / ".factory" / "claims").glob("*.xml"), key=lambda path: path.stat().st_mtime)


def _results(reports: Sequence[Path]) -> dict[str, str]:
    found: dict[str, str] = {}
    for path in reports:
        run = junit.read(files.read_bytes(path))
        if run.problem:
            raise InvalidInput(f"{path}: {run.problem}")
        found |= {case.name: case.outcome for case in run.cases}
    return found


def _waivers(root: Path) -> list[Waiver]:
    found = {f"policies/{path.name}": files.read_bytes(path) for path in sorted((root / "policies").glob("*.yml"))}
    if not found:
        return []
    return [
        Waiver(item.rule, item.subject, item.owner, item.reason, item.expires)
        for item in policy_files.read(found).exceptions.exceptions
        if item.rule.startswith("trace.")
    ]


def _git(root: Path, env: Mapping[str, str], *arguments: str, stdin: bytes = b"") -> process.Completed:
    return process.run(["git", *arguments], cwd=root, env=env, stdin=stdin, check=False)


def _history(
    root: Path, env: Mapping[str, str], merges: Mapping[str, MergeRequest]
) -> tuple[list[Commit], list[MergeRequest]]:
    """Return the commits on HEAD, newest first, and the merge requests that brought them."""
    done = _git(root, env, "log", "-z", "--topo-order", "--format=%H%n%P%n%B", "HEAD", "--")
    commits: list[Commit] = []
    parents: dict[str, list[str]] = {}
    requests: dict[str, MergeRequest] = {}
    for record in done.text.split("\0") if done.returncode == 0 else ():
        sha, _, rest = record.strip("\n").partition("\n")
        if not sha:
            continue
        above, _, message = rest.partition("\n")
        said = trailers(message)
        parents[sha] = above.split()
        commits.append(Commit(sha, said.spec, said.requirements, said.issue))
        known = merges.get(sha)
        if known or said.merge_request:
            iid, issue = (known.iid, known.issue) if known else (said.merge_request, said.issue)
            requests[sha] = MergeRequest(iid, said.spec, said.requirements, issue)
    brought = {sha: requests[merge].iid for merge, sha in _brought(parents, requests)}
    return [replace(item, merge_request=brought.get(item.sha, 0)) for item in commits], list(requests.values())


def _brought(parents: Mapping[str, Sequence[str]], merges: Mapping[str, MergeRequest]) -> Iterator[tuple[str, str]]:
    """Give (merge, commit) for each commit that a merge brought to the first-parent line, the merge itself included."""
    line = []
    sha = next(iter(parents), "")
    while sha in parents:
        line.append(sha)
        sha = next(iter(parents[sha]), "")
    seen = set(line)
    for merge in reversed(line):
        waiting = [merge, *parents[merge][1:]]
        while waiting:
            sha = waiting.pop()
            if sha != merge and (sha in seen or sha not in parents):
                continue
            seen.add(sha)
            if merge in merges:
                yield merge, sha
            waiting += parents[sha] if sha != merge else ()


def _recorded(root: Path, env: Mapping[str, str]) -> Recorded:
    ref = next(
        (ref for ref in _BRANCHES if _git(root, env, "rev-parse", "--verify", "--quiet", ref).returncode == 0), ""
    )
    if not ref:
        return Recorded()
    listed = _git(root, env, "ls-tree", "-r", "-z", ref, log.STATEMENTS).text.split("\0")
    wanted = [entry.partition("\t")[0].split()[2] for entry in sorted(listed, key=_path) if _kind(_path(entry))]
    passes: dict[str, str] = {}
    merges: dict[str, MergeRequest] = {}
    for data in _blobs(_git(root, env, "cat-file", "--batch", stdin="\n".join(wanted).encode()).stdout):
        predicate = _predicate(data)
        passes |= _passed(predicate)
        if "merge_commit" in predicate:
            iid, issue = predicate.get("merge_request"), predicate.get("issue")
            if isinstance(iid, int) and isinstance(issue, int):
                merges[str(predicate["merge_commit"])] = MergeRequest(iid, issue=issue)
    return Recorded(
        ref.removeprefix("refs/remotes/").removeprefix("refs/heads/"), tuple(passes.items()), tuple(merges.items())
    )


def _path(entry: str) -> str:
    return entry.partition("\t")[2]


def _kind(path: str) -> bool:
    return log.index_of(path) is not None and path.split("-")[1] in {"verdict", "merge"}


def _blobs(output: bytes) -> Iterator[bytes]:
    """Give the contents in what ``git cat-file --batch`` prints: a line that ends with the size, then the bytes."""
    while output:
        head, _, rest = output.partition(b"\n")
        size = int(head.split()[-1])
        yield rest[:size]
        output = rest[size + 1 :]


def _predicate(data: bytes) -> Mapping[str, Any]:
    try:
        value = json.loads(sign.payload_of(log.decode_envelope(data)))
    except ValueError as error:
        raise EvidenceInvalid("the payload of a recorded statement is not JSON") from error
    predicate = value.get("predicate") if isinstance(value, dict) else None
    return predicate if isinstance(predicate, dict) else {}


def _passed(predicate: Mapping[str, Any]) -> dict[str, str]:
    listed = predicate.get("requirements", [])
    return {
        str(item["id"]): str(item["digest"])
        for item in (listed if isinstance(listed, list) else [])
        if isinstance(item, dict) and item.get("result") == "passed" and {"id", "digest"} <= item.keys()
    }
