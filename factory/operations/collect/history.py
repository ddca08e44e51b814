"""Judges the last merges of main as if they were proposed now, by the gates that need no code to run."""

import re
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from factory.errors import NotFound
from factory.gates.run import decide
from factory.model.facts import Origin
from factory.model.verdict import Verdict
from factory.operations.collect import checkout
from factory.operations.collect import facts as judging
from factory.policies.model import Policies
from factory.specs.trailers import trailers
from factory.system import process

_SESSION = re.compile(r"^Factory-Session: ", re.MULTILINE)


@dataclass(frozen=True)
class PastMerge:
    """A commit of main's own line: its subject, and the merge request that its message names (0: none)."""

    commit: str
    subject: str
    merge_request: int


@dataclass(frozen=True)
class JudgedMerge:
    """What the gates say about a merge: the required ones that fail, and the gates that were not run."""

    merge: PastMerge
    failed: tuple[Verdict, ...]
    skipped: tuple[str, ...]


def judged(given: Mapping[str, str], rules: Policies, judge: Path, *, count: int) -> Iterator[JudgedMerge]:
    """Yield the verdict on each of the last ``count`` commits of main's own line, the newest first.

    ``given`` is the process' environment, the current folder the repository, ``judge`` the folder of its specs. A
    merge of a session is judged by the agents' rules. Raises ``NotFound`` if main has no such commit.
    """
    now = checkout.checkout(given, None)
    with tempfile.TemporaryDirectory(prefix="factory-history-") as name:
        clone = Path(name) / "clone"
        argv = ["git", "clone", "--quiet", "--no-checkout", "--shared", str(now.folder), str(clone)]
        process.run(argv, env=now.env)

        def git(*arguments: str) -> str:
            return process.run(["git", *arguments], cwd=clone, env=now.env).text.strip()

        listed = git("log", "--first-parent", f"-{count}", "--format=%H%x00%P%x00%B%x01", now.base).split("\x01")
        found = [item.strip("\n").split("\0") for item in listed if item.strip("\n")]
        merged = [(commit, parents.split(), message) for commit, parents, message in found if parents]
        if not merged:
            raise NotFound("main has no merge to judge", hint="Merge a branch into main, then run it again.")
        for commit, parents, message in merged:
            # The second parent of a merge commit is what was proposed.
            head = parents[-1] if len(parents) > 1 else commit
            parent = git("merge-base", parents[0], head)
            git("checkout", "--quiet", "--detach", head)
            text = message + "\n" + git("log", "--format=%B", f"{parent}..{head}")
            whose = Origin() if _SESSION.search(text) else Origin("you")
            place = judging.Checkout(clone, parent, head, "", whose, now.date, now.env)
            facts = judging.facts(place, rules, judge=checkout.reader(judge))
            # What runs code of those commits is left out.
            facts = replace(facts, checks_before=(), checks_after=())
            decision = decide(facts, rules, where="local", judge_sha="")
            failed = [item for item in decision.verdicts if item.result == "failed" and item.gate in decision.required]
            yield JudgedMerge(
                PastMerge(commit, message.strip().splitlines()[0], trailers(message).merge_request),
                tuple(failed),
                tuple(item.gate for item in decision.verdicts if item.result == "skipped"),
            )
