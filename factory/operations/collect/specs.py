"""Reads what ``factory spec`` needs from a checkout: spec files, git's history, test results and evidence."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from factory.checks import junit, tests_in_sources
from factory.errors import InvalidInput, NotFound, OutsideRepository
from factory.model.app_paths import FOLDERS, AppPaths
from factory.operations.collect import recorded
from factory.policies.folder import read_folder
from factory.specs import read as specs
from factory.specs.trace import Commit, MergeRequest, Trace, Waiver, trace
from factory.specs.trailers import trailers
from factory.system import clock, files, process
from factory.system.toolchain import checkout_env


@dataclass(frozen=True)
class EvidenceFacts:
    """Unverified evidence: the digest of each requirement at its last pass, and merge requests by merge commit."""

    ref: str = ""
    passes: tuple[tuple[str, str], ...] = ()
    merges: tuple[tuple[str, MergeRequest], ...] = ()


def repository() -> Path:
    """Return the git checkout, or else the folder with specs, that contains the current folder.

    Raises ``OutsideRepository``. A folder specs below a checkout may be another one, such as a package's.
    """
    here = Path.cwd()
    for name in (".git", "specs"):
        for folder in (here, *here.parents):
            if (folder / name).exists():
                return folder
    raise OutsideRepository(here)


def contents(root: Path) -> dict[str, bytes]:
    """Return the files of ``specs/`` by path."""
    return {path.relative_to(root).as_posix(): files.read_bytes(path) for path in sorted((root / "specs").glob("*.md"))}


def traced(given: Mapping[str, str], root: Path, reports: Sequence[Path]) -> tuple[Trace, EvidenceFacts]:
    """Return the trace of a checkout and the evidence it uses; raises ``InvalidInput`` and ``EvidenceInvalid``.

    ``given`` is the process' environment. ``reports`` are JUnit files, by default those in ``.factory/``; a later
    report overrides an earlier one.
    """
    env = checkout_env(given)
    evidence = _recorded(root, env)
    commits, requests = _history(root, env, dict(evidence.merges))
    found = trace(
        [specs.read(content, source=path) for path, content in contents(root).items()],
        tests=tests_in_sources.collect(root, _apps(root), env=env),
        results=_results(reports or _left(root)),
        merge_requests=requests,
        commits=commits,
        passes=dict(evidence.passes),
        waivers=_waivers(root),
        today=clock.timestamp()[:10],
    )
    return found, evidence


@contextmanager
def main_of(mirror: Path, given: Mapping[str, str]) -> Iterator[Path]:
    """Yield a checkout of main and the evidence branch as an instance last fetched them, for the block.

    Raises ``NotFound`` if the instance has fetched nothing yet.
    """
    env = checkout_env(given)
    with tempfile.TemporaryDirectory(prefix="factory-main-") as name:
        folder = Path(name)
        refs = "+refs/remotes/origin/*:refs/remotes/origin/*"
        done = (
            _git(folder, env, "init", "--quiet"),
            _git(folder, env, "fetch", "--quiet", "--no-tags", str(mirror), refs),
            _git(folder, env, "checkout", "--quiet", "--detach", "refs/remotes/origin/main"),
        )
        if any(step.returncode for step in done):
            raise NotFound(f"{mirror} has no main yet", hint="Run `factory up`, then `factory work --once`.")
        yield folder


def _left(root: Path) -> list[Path]:
    return sorted((root / ".factory").glob("[cl]*/*/junit.xml"), key=lambda path: path.stat().st_mtime)


def _results(reports: Sequence[Path]) -> dict[str, str]:
    found: dict[str, str] = {}
    for path in reports:
        run = junit.read_file(path)
        if run.problem:
            raise InvalidInput(f"{path}: {run.problem}")
        found |= {case.name: case.outcome for case in run.cases}
    return found


def _apps(root: Path) -> AppPaths:
    return read_folder(root).apps.paths if (root / "policies").is_dir() else FOLDERS


def _waivers(root: Path) -> list[Waiver]:
    if not (root / "policies").is_dir():
        return []
    return [
        Waiver(item.rule, item.subject, item.owner, item.reason, item.expires)
        for item in read_folder(root).exceptions.exceptions
        if item.rule.startswith("trace.")
    ]


def _git(root: Path, env: Mapping[str, str], *arguments: str, stdin: bytes = b"") -> process.CompletedProcess:
    return process.run(["git", *arguments], cwd=root, env=env, stdin=stdin, check=False)


def _history(
    root: Path, env: Mapping[str, str], merges: Mapping[str, MergeRequest]
) -> tuple[list[Commit], list[MergeRequest]]:
    """Return the commits on HEAD, newest first, and the merge requests that merged them."""
    done = _git(root, env, "log", "-z", "--topo-order", "--format=%H%n%P%n%B", "HEAD", "--")
    commits: list[Commit] = []
    parents: dict[str, list[str]] = {}
    requests: dict[str, MergeRequest] = {}
    for record in done.text.split("\0") if done.returncode == 0 else ():
        sha, _, rest = record.strip("\n").partition("\n")
        if not sha:
            continue
        above, _, message = rest.partition("\n")
        named = trailers(message)
        parents[sha] = above.split()
        commits.append(Commit(sha, named.spec, named.requirements, named.issue))
        known = merges.get(sha)
        if known or named.merge_request:
            iid, issue = (known.iid, known.issue) if known else (named.merge_request, named.issue)
            requests[sha] = MergeRequest(iid, named.spec, named.requirements, issue)
    brought = {sha: requests[merge].iid for merge, sha in _brought(parents, requests)}
    return [replace(item, merge_request=brought.get(item.sha, 0)) for item in commits], list(requests.values())


def _brought(parents: Mapping[str, Sequence[str]], merges: Mapping[str, MergeRequest]) -> Iterator[tuple[str, str]]:
    """Yield (merge, commit) for each commit that a merge added to the first-parent line, including the merge."""
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


def _recorded(root: Path, env: Mapping[str, str]) -> EvidenceFacts:
    ref, found = recorded.statements(root, env, kinds={"verdict", "merge"})
    passes: dict[str, str] = {}
    merges: dict[str, MergeRequest] = {}
    for predicate in found:
        passes |= _passed(predicate)
        if "merge_commit" in predicate:
            iid, issue = predicate.get("merge_request"), predicate.get("issue")
            if isinstance(iid, int) and isinstance(issue, int):
                merges[str(predicate["merge_commit"])] = MergeRequest(iid, issue=issue)
    return EvidenceFacts(
        ref.removeprefix("refs/remotes/").removeprefix("refs/heads/"), tuple(passes.items()), tuple(merges.items())
    )


def _passed(predicate: Mapping[str, object]) -> dict[str, str]:
    listed = predicate.get("requirements", [])
    return {
        str(item["id"]): str(item["digest"])
        for item in (listed if isinstance(listed, list) else [])
        if isinstance(item, dict) and item.get("result") == "passed" and {"id", "digest"} <= item.keys()
    }
