"""Reads the checkout and the judge's files for ``factory gate``."""

import re
import shlex
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from factory.checks import performance
from factory.errors import FactoryError, InvalidInput
from factory.gates.run import decide
from factory.model.facts import Change, Facts, Origin, SessionEvidence
from factory.operations.collect import facts as judging
from factory.operations.collect import origin, recorded
from factory.operations.repository import app_tests
from factory.policies import evaluate
from factory.policies.folder import read_folder
from factory.policies.model import Policies
from factory.system import clock, data, files, process
from factory.system.toolchain import checkout_env, readable

_FROZEN = ("apps/*/openapi.yml", "apps/*/tests/contract/*.py", "apps/*/bench.py")
PERFORMANCE = "performance"
_NEEDS_A_SERVER = {"plan", "evidence"}


def reader(judge: Path) -> Callable[[str], bytes | None]:
    """Return a function that reads the judge's files by their repository path."""

    def read(path: str) -> bytes | None:
        try:
            found = files.contained(judge, path)
        except FactoryError:
            return None
        return found.read_bytes() if found.is_file() else None

    return read


def checkout(given: Mapping[str, str], base: str | None, *, target: str = "") -> judging.Checkout:
    """Return the checkout in the current folder, described by CI's variables; raises ``InvalidInput``.

    ``given`` is the process' environment. ``base`` is the commit to compare with, by default CI's diff base,
    ``origin/main`` or ``main``. Without CI the change is yours, on your branch.
    """
    env = checkout_env(given)
    _refuse_own_facts(env)

    def git(*arguments: str) -> str:
        return process.run(["git", *arguments], env=env).text.strip()

    try:
        head = git("rev-parse", "--verify", "HEAD^{commit}")
        start = base or given.get("CI_MERGE_REQUEST_DIFF_BASE_SHA") or _usual_base(git)
        fork = git("merge-base", git("rev-parse", "--verify", "--end-of-options", f"{start}^{{commit}}"), head)
        branch = git("branch", "--show-current")
    except FactoryError as error:
        hint = error.hint if isinstance(error, InvalidInput) else None
        raise InvalidInput(f"the change cannot be read: {error}", hint=hint) from error
    day = given.get("CI_PIPELINE_CREATED_AT", "") or clock.timestamp()
    whose = origin.in_job(given) if "CI" in given else Origin("you", branch=branch)
    return judging.Checkout(Path.cwd(), fork, head, target, whose, day[:10], env)


def _usual_base(git: Callable[..., str]) -> str:
    """Return the branch that a change is compared with where nobody names a commit; raises ``InvalidInput``."""
    # Whole refs: a tag `origin/main` would come before the remote's branch. The project's own remote comes first, which
    # `factory up` and `connect` name; a repository that has none yet may have another default branch.
    settings = [line.partition("=") for line in git("config", "--local", "--list").splitlines()]
    remotes = [value for key, _, value in settings if key.startswith("factory.") and key.endswith(".remote")]
    usual = [*(f"refs/remotes/{name}/main" for name in (*remotes, "origin")), "refs/heads/main"]
    usual += ["refs/remotes/origin/HEAD", "refs/remotes/origin/master", "refs/heads/master"]
    found = set(git("for-each-ref", "--format=%(refname)", *usual).splitlines())
    if not found:
        raise InvalidInput(
            "there is no branch main or master to compare with, here or on a remote",
            hint="Name the commit before your change with --base COMMIT.",
        )
    return next(name for name in usual if name in found)


def collect(place: judging.Checkout, rules: Policies, judge: Path) -> Facts:
    """Return the facts of a checkout that need no code of it to run; raises ``InvalidInput``."""
    try:
        found = judging.facts(place, rules, judge=reader(judge))
    except FactoryError as error:
        raise InvalidInput(f"the change cannot be read: {error}") from error
    return replace(found, recorded=_recorded(place, found)) if "evidence" in rules.gates.gates else found


def _recorded(place: judging.Checkout, facts: Facts) -> SessionEvidence:
    """Return whether the evidence branch has the claim and the attempt of the change's session."""
    text = "\n".join(facts.change.messages) if facts.change else ""
    session = re.findall(r"^Factory-Session: (\S+)$", text, re.MULTILINE)
    try:
        branch, found = recorded.statements(place.folder, place.env, kinds={"claim", "attempt"})
    except FactoryError as error:
        return SessionEvidence(problem=str(error))
    if not branch:
        return SessionEvidence(problem="the checkout has no evidence branch")
    mine = [item for item in found if session and item.get("session") == session[0]]
    return SessionEvidence(
        claim=any("lease" in item for item in mine), attempt=any(item.get("head") == place.head for item in mine)
    )


def install(place: judging.Checkout, facts: Facts, rules: Policies, judge: Path, environments: Path) -> None:
    """Install what the app's tests need, for a job without network; raises as ``app_tests.of_checkout`` does.

    An agent's change says nothing about what is installed: for it, the protected branch's files do.
    """
    if app_tests.UNIT in rules.gates.checks:
        own = facts.change is not None and names_packages(facts.change, rules)
        app_tests.of_checkout(environments, rules, place.folder if own else judge, env=place.env)


def names_packages(change: Change, rules: Policies) -> bool:
    """Return whether a change's own files name the packages of its tests: not if the agents' rules apply to it.

    Without a token this job does not know who opened the merge request or pushed it, and the branch's name decides.
    That is enough, because an agent has no token to push with: its commits reach GitLab by the factory, which pushes a
    session's commits to a branch below ``factory/`` alone. What it pushes elsewhere has no agent's files. Whoever
    pushes an agent's commits to another branch by hand has a person's rights, and installs what that person may.
    """
    origin = change.origin
    if origin.author or not origin.branch:
        return evaluate.bound(rules, change) is None
    return not origin.branch.casefold().startswith(evaluate.OURS)


def head(given: Mapping[str, str]) -> str:
    """Return the checked-out commit; raises ``InvalidInput`` if it contains files below .factory/."""
    env = checkout_env(given)
    _refuse_own_facts(env)
    return process.run(["git", "rev-parse", "HEAD"], env=env).text.strip()


def _refuse_own_facts(env: Mapping[str, str]) -> None:
    """Raise ``InvalidInput`` if the commit has files below .factory/, or if .factory is a link."""
    if Path(".factory").is_symlink():
        raise InvalidInput(".factory is a symbolic link; it must be a folder of the factory")
    if process.run(["git", "ls-files", "-z", "--", ".factory"], env=env, check=False).text:
        raise InvalidInput("the commit has files below .factory/, a folder that only pipeline jobs may write to")


def write(facts: Facts, path: Path) -> None:
    """Write facts for a later job."""
    files.write_atomic(path, data.write(facts))


def read(path: Path) -> Facts:
    """Return the facts that ``write`` wrote, or empty facts without the file; raises ``InvalidInput``."""
    if not path.exists():
        return Facts()
    return data.read(Facts, files.read_bytes(path), source=str(path))


@contextmanager
def defect_judge(
    given: Mapping[str, str], app: Path
) -> Iterator[Callable[[Sequence[tuple[str, bytes | None]]], tuple[str, ...]]]:
    """Yield a function that judges defects in a clone of the repository: files to write → ids of the failed rules.

    The function commits the files as an agent in a scratch clone, and runs every gate that needs no server. Raises
    ``InvalidInput`` if the app has uncommitted changes.
    """
    place = checkout(given, "HEAD")
    if process.run(["git", "status", "--porcelain", "--", str(app)], env=place.env).text.strip():
        raise InvalidInput(
            f"{app} has uncommitted changes; commit them first, so that the seeded defects are the only difference"
        )
    with tempfile.TemporaryDirectory(prefix="factory-challenge-") as name:
        clone = Path(name) / "clone"
        git = _git(place.env, clone)
        process.run(["git", "clone", "--quiet", "--no-hardlinks", str(Path.cwd()), str(clone)], env=place.env)
        rules = read_folder(Path.cwd())

        def judge(changes: Sequence[tuple[str, bytes | None]]) -> tuple[str, ...]:
            git("reset", "--quiet", "--hard", place.head)
            git("clean", "-qfdx")
            _write(clone, changes)
            git("add", "--all", "--force")
            git(
                "commit",
                "--quiet",
                "--allow-empty",
                "-m",
                f"Seed a defect\n\nIssue: #0\nSpec: {app.name}\nFactory-Session: x",
            )
            there = replace(place, folder=clone, head=git("rev-parse", "HEAD"), origin=Origin(), target="")
            facts = judging.facts(there, rules, judge=reader(Path.cwd()))
            tests, covered, leaked = judging.claims(
                there, rules, scratch=Path(name) / "scratch", readable=readable(), suites=judging.SUITES
            )
            # Defects are seeded in Python; tests in other languages do not run here.
            found = replace(
                facts,
                tests=tests,
                coverage=covered,
                scanned=leaked,
                own_before=(),
                own_after=(),
                checks_before=(),
                checks_after=(),
            )
            decision = decide(found, rules, where="pipeline", judge_sha=place.head)
            hit = {item.rule for verdict in decision.verdicts for item in verdict.findings}
            skipped = {item.gate for item in decision.verdicts if item.result == "skipped"} & decision.required
            return tuple(sorted(hit | {f"{gate}.skipped" for gate in skipped - _NEEDS_A_SERVER}))

        yield judge


def _git(env: Mapping[str, str], folder: Path) -> Callable[..., str]:
    identity = {
        f"GIT_{who}_{what}": "challenge@localhost" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
    }

    def git(*arguments: str) -> str:
        return process.run(["git", *arguments], cwd=folder, env={**env, **identity}).text.strip()

    return git


def _write(clone: Path, changes: Sequence[tuple[str, bytes | None]]) -> None:
    for name, content in changes:
        path = clone / name
        if content is None:
            path.unlink(missing_ok=True)
        else:
            files.write_atomic(path, content)


def freeze_contracts(judge: Path, out: Path) -> None:
    """Copy the apps' contracts, contract tests and benchmarks from the judge's checkout."""
    files.remove_tree(out)
    for pattern in _FROZEN:
        for path in sorted(judge.glob(pattern)):
            target = out / path.relative_to(judge)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)


def freeze_before(place: judging.Checkout, facts: Facts, out: Path) -> None:
    """Write the earlier files of the apps whose own tests and checks run before and after the change."""
    if facts.earlier:
        app_tests.take_before(place.folder, place.base, facts.earlier, out / app_tests.EARLIER.name, env=place.env)


def freeze_benchmark(rules: Policies, base: str, out: Path) -> None:
    """Write the script that runs the benchmark at the base and at the head, if the gate `performance` is on."""
    command = rules.gates.checks.get(PERFORMANCE)
    if command and PERFORMANCE in rules.gates.gates:
        words = ['"$PY"' if word == "python" and not index else shlex.quote(word) for index, word in enumerate(command)]
        files.write_atomic(out / PERFORMANCE, performance.script(base, " ".join(words)).encode(), mode=0o755)
