"""Judges a person's change where it lies: the gates that need no server, as ``factory gate run`` does."""

from dataclasses import replace
from pathlib import Path

from factory.gates.run import Decision, decide
from factory.model.facts import Facts
from factory.operations.collect import facts as judging
from factory.policies.model import Policies
from factory.system.toolchain import readable


def judged(place: judging.Checkout, facts: Facts, rules: Policies, *, scratch: Path, judge_sha: str = "") -> Decision:
    """Run the local checks on a checkout, whose other ``facts`` are given, and decide.

    ``scratch`` receives the reports of the checks. Raises ``MachineError`` if a check cannot start.
    """
    tests, covered, leaked = judging.claims(place, rules, scratch=scratch, readable=readable())
    return decide(
        replace(facts, tests=tests, coverage=covered, scanned=leaked), rules, where="local", judge_sha=judge_sha
    )
