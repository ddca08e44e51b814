"""Judges a person's change where it lies: the gates that need no server, as ``factory gate run`` does."""

from pathlib import Path

from factory.gates.run import Decision, decide
from factory.model.facts import Facts
from factory.operations.collect import facts as judging
from factory.operations.repository import app_tests
from factory.operations.repository.app_tests import UNIT
from factory.policies.model import Policies
from factory.system.toolchain import readable


def judged(
    place: judging.Checkout, facts: Facts, rules: Policies, *, scratch: Path, environments: Path, judge_sha: str = ""
) -> Decision:
    """Run the local checks on a checkout, whose other ``facts`` are given, and decide.

    ``scratch`` receives the reports of the checks, ``environments`` is the folder of the apps' environments. Raises
    ``MachineError`` if a check cannot start, ``InvalidInput`` if what the app needs cannot be installed.
    """
    unit = app_tests.of_checkout(environments, rules, place.folder, env=place.env) if UNIT in rules.gates.checks else ()
    found = judging.checked(place, rules, facts, scratch=scratch, readable=readable(), unit=unit)
    return decide(found, rules, where="local", judge_sha=judge_sha)
