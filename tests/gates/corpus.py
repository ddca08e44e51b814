"""A corpus of merge requests: each is made with the real git in a clone of this tree, and judged by the real gates.

The judge reads the base commit, as the pipeline does: a change never judges itself. Tests run for real behind the
launch door, the contract's from the base; what depends on ``apps`` alone is run once per content. Where a case is
refused by what the judge reads, the change claims the base's results: the best that it could claim.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from factory.errors import FactoryError
from factory.gates.run import Decision, decide
from factory.model.facts import Coverage, Origin, Plan, TestRun
from factory.model.tool_run import ToolRun
from factory.operations.collect import checkout as judge_files
from factory.operations.collect import facts as judging
from factory.policies import read as policy_files
from factory.policies.model import Policies
from factory.system import canonical
from factory.system.toolchain import readable
from factory.terraform import manifest, plan, source_check
from tests.servers import ROOT, TOOL_ENV

SRC, MAIN = "apps/hello/src/hello.py", "apps/hello/src/__main__.py"
TEST, CONTRACT = "apps/hello/tests/test_hello.py", "apps/hello/tests/contract/test_contract.py"
OPENAPI, SPEC = "apps/hello/openapi.yml", "specs/hello.md"
GATES, CI = "policies/gates.yml", ".gitlab-ci.yml"
DAY = "2026-11-20"
TRAILERS = "\n\nIssue: #1\nSpec: hello\nFactory-Session: s-1"
_COPIED = ("factory", "apps", "specs", "policies", "terraform", "docs", CI, ".gitignore", "pyproject.toml", "AGENTS.md")
_CONTRACT = (
    "python -I -m pytest {0}/apps -c /dev/null --rootdir={0} --import-mode=importlib -m contract "
    "-p no:cacheprovider -p no:schemathesis"
)

Claims = tuple[tuple[tuple[str, TestRun], ...], Coverage, ToolRun]


@dataclass(frozen=True)
class Link:
    """A symbolic link to a target."""

    target: str


@dataclass(frozen=True)
class Moved:
    """A file moved here from another path, as ``git mv`` does."""

    source: str


# A file's new content, a function from the old one, ``None`` for a deletion.
Edit = str | bytes | Link | Moved | Callable[[str], str] | None
Edits = Mapping[str, Edit]


@dataclass(frozen=True)
class Commit:
    """One more commit of a merge request; ``side`` makes it on a branch that is then merged."""

    edits: Edits
    message: str = "More" + TRAILERS
    email: str = ""
    side: bool = False


@dataclass(frozen=True)
class Case:
    """One merge request: what it changes, whose it is, and what the gates must say.

    ``rules`` must be among the findings, ``blocked`` are required gates that must be skipped; neither means that it
    passes. ``base`` is what the protected branch has that this tree's has not, ``submodule`` a path that becomes one,
    ``plan`` Terraform's JSON, bytes as they stand, or ``None`` for no plan. ``runs`` where the rule needs them.
    """

    name: str
    edits: Edits
    rules: tuple[str, ...] = ()
    blocked: tuple[str, ...] = ()
    author: str = "factory-agent"
    pushers: tuple[str, ...] = ()
    email: str = "factory-agent@localhost"
    branch: str = "factory/1-change"
    message: str = "Change" + TRAILERS
    more: tuple[Commit, ...] = ()
    base: Edits = field(default_factory=dict)
    submodule: str = ""
    plan: Mapping[str, Any] | bytes | None = field(default_factory=dict)
    judge_changed: bool = False
    runs: bool = False

    @property
    def claims(self) -> bool:
        """Tell whether the verdict depends on what the change's tests do."""
        return self.runs or not self.rules or any(rule.startswith(("unit.", "contract.")) for rule in self.rules)


def by_person(name: str, edits: Edits, **more: Any) -> Case:
    """Return a merge request that a person made on a branch of their own."""
    return Case(name, edits, **{"author": "operator", "email": "operator@localhost", "branch": "mine", **more})


def sub(*pairs: tuple[str, str]) -> Callable[[str], str]:
    """Return an edit that replaces texts, each of which must be there."""

    def edit(text: str) -> str:
        for old, new in pairs:
            assert old in text, f"{old!r} is not in the file any more: mend the case"
            text = text.replace(old, new, 1)
        return text

    return edit


def add(more: str) -> Callable[[str], str]:
    """Return an edit that appends a text."""
    return lambda text: text + more


def planned(*changes: tuple[str, str, list[str]]) -> Mapping[str, Any]:
    """Return Terraform's plan JSON with resources by address, type and actions."""
    return {
        "format_version": "1.2",
        "resource_changes": [
            {"address": address, "type": kind, "change": {"actions": actions, "before": None, "after": {}}}
            for address, kind, actions in changes
        ],
    }


class Corpus:
    """A clone whose ``main`` is this tree, and what was already run in it."""

    def __init__(self, folder: Path) -> None:
        self._clone, self._frozen, self._folder = folder / "clone", folder / "frozen", folder
        self._clone.mkdir(parents=True)
        for name in _COPIED:
            source = ROOT / name
            if source.is_dir():
                ignored = shutil.ignore_patterns("__pycache__", ".terraform", ".factory")
                shutil.copytree(source, self._clone / name, ignore=ignored)
            else:
                shutil.copy2(source, self._clone / name)
        judge_files.freeze_contracts(self._clone, self._frozen)
        self._git("init", "-q", "-b", "main")
        self._main = self._commit("Start", "operator@localhost")
        self._done: dict[str, Claims] = {}
        self._claimed = self._claims(self._place(Case("base", {}), self._main, self._main), self._policies(self._main))

    def decision(self, case: Case) -> Decision:
        """Return what the pipeline's gates decide on a case."""
        base = self._start(case.base)
        head = self._make(case)
        rules, read = self._policies(base), self._reader(base)
        place = self._place(case, base, head)
        facts = judging.facts(place, rules, judge=read)
        tests, lines, scanned = self._claims(place, rules) if case.claims else self._claimed
        facts = replace(facts, tests=tests, coverage=lines, scanned=scanned, plans=(self._plan(case, rules),))
        return decide(facts, rules, where="pipeline", judge_sha=base)

    def _start(self, edits: Edits) -> str:
        self._git("checkout", "-qf", "--detach", self._main)
        self._git("clean", "-qfdx")
        if edits:
            self._apply(edits)
            return self._commit("What the protected branch has", "operator@localhost")
        return self._main

    def _make(self, case: Case) -> str:
        base = self._git("rev-parse", "HEAD")
        self._apply(case.edits)
        head = self._commit(case.message, case.email, submodule=case.submodule)
        for commit in case.more:
            if commit.side:
                self._git("checkout", "-qf", "--detach", base)
            self._apply(commit.edits)
            made = self._commit(commit.message, commit.email or case.email)
            if commit.side:
                self._git("checkout", "-qf", "--detach", head)
                self._git("merge", "-q", "--no-ff", "-m", "Merge" + TRAILERS, made, email=case.email)
            head = self._git("rev-parse", "HEAD")
        return head

    def _apply(self, edits: Edits) -> None:
        for name, edit in edits.items():
            path = self._clone / name
            old = path.read_text() if callable(edit) else ""
            if isinstance(edit, Moved):
                edit = (self._clone / edit.source).read_bytes()  # noqa: PLW2901 - what a move leaves is a content
                (self._clone / edits[name].source).unlink()  # type: ignore[union-attr]
            if path.is_symlink() or path.exists():
                path.unlink()
            path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(edit, Link):
                path.symlink_to(edit.target)
            elif edit is not None:
                content = edit(old) if callable(edit) else edit
                path.write_bytes(content.encode() if isinstance(content, str) else content)

    def _commit(self, message: str, email: str, *, submodule: str = "") -> str:
        self._git("add", "--all", "--force")
        if submodule:
            self._git("update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},{submodule}")
        self._git("commit", "-q", "--allow-empty", "--allow-empty-message", "-m", message, email=email)
        return self._git("rev-parse", "HEAD")

    def _policies(self, base: str) -> Policies:
        names = self._git("ls-tree", "-r", "--name-only", base, "policies").split()
        found = policy_files.read({name: self._show(base, name) or b"" for name in names if name.endswith(".yml")})
        checks = {**found.gates.checks, "contract": tuple(_CONTRACT.format(self._frozen).split())}
        return found.model_copy(update={"gates": found.gates.model_copy(update={"checks": checks})})

    def _reader(self, base: str) -> Callable[[str], bytes | None]:
        return lambda path: self._show(base, path)

    def _place(self, case: Case, base: str, head: str) -> judging.Checkout:
        return judging.Checkout(
            self._clone, base, head, base, Origin(case.author, case.pushers, case.branch), DAY, TOOL_ENV
        )

    def _claims(self, place: judging.Checkout, rules: Policies) -> Claims:
        unit, lines, said = self._suite("unit", place, rules)
        contract, _, more = self._suite("contract", place, rules)
        return (*unit, *contract), lines, ToolRun((*said.problems, *more.problems), said.problem or more.problem)

    def _suite(self, name: str, place: judging.Checkout, rules: Policies) -> Claims:
        """Run one suite, once for each content that it can depend on."""
        listed = self._git("ls-tree", "-r", place.head, "apps", "pyproject.toml").splitlines()
        seen = [line for line in listed if name == "unit" or "/src/" in line]
        key = "\n".join([name, *seen])
        if key not in self._done:
            folders = (*readable(), self._frozen)
            scratch = self._folder / "scratch" / name
            self._done[key] = judging.claims(place, rules, scratch=scratch, readable=folders, suites=(name,))
        return self._done[key]

    def _plan(self, case: Case, rules: Policies) -> Plan:
        """Return the plan's facts as the gate reads them; a configuration that the screen refuses has no plan."""
        out = self._folder / "plan"
        shutil.rmtree(out, ignore_errors=True)
        try:
            source_check.check_source(self._clone, "terraform/live/production", rules.terraform.providers)
        except FactoryError:
            return plan.read_facts(out)
        if case.plan is not None:
            out.mkdir()
            data = case.plan if isinstance(case.plan, bytes) else json.dumps(manifest.normalise(case.plan)).encode()
            (out / plan.PLAN_JSON).write_bytes(data)
            texts: dict[str, Any] = {item.name: "" for item in fields(manifest.Manifest)} | {"state_serial": 0}
            texts |= {"stack": "production", "commit": self._git("rev-parse", "HEAD").strip()}
            made = manifest.Manifest(**{**texts, "plan": canonical.digest(data)})
            (out / plan.MANIFEST).write_bytes(made.encode())
        return plan.read_facts(out)

    def _show(self, commit: str, path: str) -> bytes | None:
        argv = ["git", "cat-file", "blob", f"{commit}:{path}"]
        done = subprocess.run(argv, cwd=self._clone, env=TOOL_ENV, capture_output=True, check=False)
        return done.stdout if done.returncode == 0 else None

    def _git(self, *arguments: str, email: str = "operator@localhost") -> str:
        who = {f"GIT_{role}_{key}": email for role in ("AUTHOR", "COMMITTER") for key in ("NAME", "EMAIL")}
        env = {**TOOL_ENV, **who, "HOME": os.fspath(self._folder)}
        done = subprocess.run(
            ["git", *arguments], cwd=self._clone, env=env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


def rules(decision: Decision) -> set[str]:
    """Return the rules that required gates found broken."""
    kept = [verdict for verdict in decision.verdicts if verdict.gate in decision.required]
    return {finding.rule for verdict in kept for finding in verdict.findings}


def skipped(decision: Decision) -> set[str]:
    """Return the required gates that had nothing to judge."""
    return {v.gate for v in decision.verdicts if v.gate in decision.required and v.result == "skipped"}
