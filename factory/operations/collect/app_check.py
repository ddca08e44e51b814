"""Judges one app as its files lie in the working tree, by the gates that need no server, and lists what is left."""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from factory.errors import InvalidInput
from factory.gates import commits
from factory.gates.run import Decision
from factory.model.app_paths import APPS, AppPaths
from factory.model.verdict import Verdict
from factory.operations.collect import checkout, local
from factory.operations.collect.facts import Checkout
from factory.operations.repository import app_source
from factory.policies.apps import FILE
from factory.policies.model import Policies
from factory.specs.read import path_of
from factory.system import files, process

_IDENTITY = {f"GIT_{who}_{what}": "check@localhost" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
_UNCHANGED = "scope.empty"
# The factory's own folder, which is never part of a commit.
_OWN = b"/.factory/\n"


@dataclass(frozen=True)
class AppPlace:
    """The app to judge: the repository with its policies, the app's name, and the spec that the change is for."""

    root: Path
    name: str
    known: AppPaths
    spec: str

    @property
    def paths(self) -> tuple[str, ...]:
        """Return what the change of this app may touch."""
        return (".",) if self.known.root else (f"{APPS}{self.name}", path_of(self.spec))


@dataclass(frozen=True)
class Step:
    """What is left to do: the gate or file that asks for it, what is wrong and where, and what to do next."""

    asked_by: str
    problem: str
    next: str
    path: str = ""
    line: int = 0
    required: bool = True


@dataclass(frozen=True)
class AppCheck:
    """The result: the gates' verdicts, which are empty if none could run, and the steps that are left, in order."""

    app: str
    base: str
    verdicts: tuple[Verdict, ...]
    steps: tuple[Step, ...]

    @property
    def green(self) -> bool:
        """Whether no step is left that a gate requires."""
        return not any(step.required for step in self.steps)


def check(
    app: AppPlace, place: Checkout, rules: Policies, *, scratch: Path, environments: Path, say: Callable[[str], None]
) -> AppCheck:
    """Judge the app of the working tree against its files at ``place.base``; arguments are those of ``local.judged``.

    The person's commits are not judged, and other apps are left out. Raises ``MachineError``, and ``Refused`` for a
    link that leads out of the app.
    """
    with tempfile.TemporaryDirectory(prefix="factory-app-check-") as folder:
        staged = _staged(app, place, Path(folder) / "clone")
        steps = _unclear(app, staged.folder / app.known.below(app.name))
        decision = None
        if not steps or not steps[0].required:
            say(f"running the local gates on {app.name}, compared with {place.base[:12]}")
            # The only commit is one that is made here: what a secret's line is said of is the file alone.
            facts = replace(checkout.collect(staged, rules, app.root), history=None)
            try:
                decision = local.judged(staged, facts, rules, scratch=scratch, environments=environments)
            except InvalidInput as error:  # of the app's own files: its packages cannot be had
                steps.append(Step("packages", str(error), error.hint))
    verdicts = _of_the_app(decision)
    steps += _left(app, verdicts, decision)
    return AppCheck(app.name, place.base, verdicts, tuple(sorted(steps, key=lambda step: not step.required)))


def _unclear(app: AppPlace, folder: Path) -> list[Step]:
    """Return what an app's own files leave open; it is required of an app that will be deployed."""
    try:
        app_source.read(folder, app.name)
    except InvalidInput as error:
        try:
            required = bool(app_source.environments(folder, app.name))
        except InvalidInput:
            required = True
        return [Step(FILE, str(error), error.hint, f"{app.known.below(app.name)}{FILE}", required=required)]
    return []


def _of_the_app(decision: Decision | None) -> tuple[Verdict, ...]:
    """Return the verdicts on the app: without that on commits, and an app that has not changed is no finding."""
    found = [item for item in decision.verdicts if item.gate != commits.GATE] if decision else []
    same = [item for item in found if [finding.rule for finding in item.findings] == [_UNCHANGED]]
    reason = "the app is as it was"
    return tuple(replace(item, result="passed", findings=(), reason=reason) if item in same else item for item in found)


def _left(app: AppPlace, verdicts: Sequence[Verdict], decision: Decision | None) -> list[Step]:
    """Return a step for each finding, and for each gate that was skipped."""
    steps: list[Step] = []
    required = decision.required if decision else frozenset()
    for verdict in verdicts:
        if verdict.result == "passed":
            continue
        needed = verdict.gate in required
        if verdict.result == "skipped" or not verdict.findings:
            hint = f"See `factory policy show gates`, and .factory/local/{verdict.gate} for logs."
            steps.append(Step(verdict.gate, verdict.reason or verdict.result, hint, required=needed))
        for finding in verdict.findings:
            steps.append(Step(verdict.gate, finding.message, finding.fix, finding.path, finding.line, needed))
            if finding.rule == "spec.missing" and not (app.root / path_of(app.spec)).exists():
                problem, fix = f"{path_of(app.spec)} does not exist", f"Write it: factory spec new {app.spec}"
                steps[-1] = Step(verdict.gate, problem, fix, required=needed)
    return steps


def _staged(app: AppPlace, place: Checkout, clone: Path) -> Checkout:
    """Return a checkout of two commits in a clone of its own: the base without other apps, and the app as it lies.

    The person's repository gets no object, no index and no branch.
    """
    env = {**place.env, **_IDENTITY}
    process.run(["git", "clone", "--quiet", "--shared", "--no-checkout", str(app.root), str(clone)], env=env)
    files.write_atomic(clone / ".git/info/exclude", _OWN)
    git = _Git(clone, env)
    git("read-tree", place.base)
    if not app.known.root:
        git("rm", "-r", "-q", "--cached", "--ignore-unmatch", "--", APPS, f":(exclude){APPS}{app.name}")
    base = git("commit-tree", git("write-tree"), "-m", "Base")
    git("rm", "-r", "-q", "--cached", "--ignore-unmatch", "--", *app.paths)
    present = [path for path in app.paths if (app.root / path).exists()]
    if present:
        tree = ["git", f"--git-dir={clone / '.git'}", f"--work-tree={app.root}"]
        process.run([*tree, "add", "--all", "--", *present], cwd=app.root, env=env)
    trailer = ["-m", f"Spec: {app.spec}"] if (app.root / path_of(app.spec)).exists() else []
    head = git("commit-tree", git("write-tree"), "-p", base, "-m", f"Check {app.name}", *trailer)
    git("checkout", "--quiet", "--force", "--detach", head)
    return replace(place, folder=clone, base=base, head=head, target="")


@dataclass(frozen=True)
class _Git:
    """Runs git in a folder, and returns what it prints."""

    folder: Path
    env: Mapping[str, str]

    def __call__(self, *arguments: str) -> str:
        return process.run(["git", *arguments], cwd=self.folder, env=self.env).text.strip()
