"""`make soak`: defects seeded in the factory's own deciders, each of which their unit tests must notice.

A decider is a pure module. The mutants of all deciders are shuffled by a seed; the tests of a decider run against a
copy of the repository with one mutant in it. Prints a table and the survivors; exits 1 if fewer than 95 % are noticed.
"""

import argparse
import io
import random
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from factory.checks.mutation import operators
from factory.model.challenge import Defect
from factory.reports.tables import table
from tests.servers import ROOT

# Deciders, and the tests that hold them.
DECIDERS: Mapping[str, tuple[str, ...]] = {
    "factory/agents/permissions.py": ("tests/agents/test_permissions.py",),
    "factory/policies/evaluate.py": ("tests/policies/test_evaluate.py", "tests/policies/test_cases.py"),
    "factory/policies/plans.py": ("tests/policies/test_evaluate.py", "tests/policies/test_plans.py"),
    "factory/sandbox/egress_rules.py": ("tests/sandbox/test_egress_rules.py",),
    "factory/terraform/diagnostics.py": ("tests/terraform/test_diagnostics.py",),
    "factory/workflow/budget/budget.py": ("tests/workflow/budget/test_budget.py",),
    "factory/workflow/claim/lease.py": ("tests/workflow/test_deciders.py",),
    "factory/workflow/retry.py": ("tests/workflow/test_deciders.py",),
    "factory/workflow/schedule.py": ("tests/workflow/test_deciders.py",),
    "factory/workflow/session/escalation.py": ("tests/workflow/session/test_escalation.py",),
    "factory/workflow/session/next_move.py": ("tests/workflow/session/test_next_move.py",),
    "factory/workflow/session/routing.py": ("tests/workflow/session/test_routing.py",),
}
_LEAST, _SECONDS = 95, 120.0


def mutants(chosen: Sequence[str]) -> list[Defect]:
    """Return the mutants of deciders."""
    return [item for path in chosen for item in operators.mutations(path, (ROOT / path).read_text())]


def noticed(copy: Path, defect: Defect) -> bool:
    """Tell whether the decider's tests fail with the defect in the copy; a test that hangs notices it too."""
    path = copy / defect.path
    sound = path.read_bytes()
    path.write_bytes(dict(defect.files)[defect.path] or b"")
    tests = [name for name in DECIDERS[defect.path] if (copy / name).exists()]
    argv = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:xdist", "-p", "no:schemathesis", *tests]
    try:
        done = subprocess.run(argv, cwd=copy, capture_output=True, timeout=_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return True
    finally:
        path.write_bytes(sound)
    return done.returncode != 0


def main() -> None:
    """Seed defects, run the tests, and print what was noticed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0, help="which defects are drawn, and in which order")
    parser.add_argument("--limit", type=int, default=200, help="how many")
    parser.add_argument("--only", default="", help="only deciders whose path contains this")
    given = parser.parse_args()
    chosen = [path for path in DECIDERS if given.only in path]
    drawn = mutants(chosen)
    random.Random(given.seed).shuffle(drawn)
    drawn = drawn[: given.limit]
    found: dict[str, list[tuple[Defect, bool]]] = {path: [] for path in chosen}
    with tempfile.TemporaryDirectory(prefix="factory-soak-") as name:
        archive = subprocess.run(["git", "archive", "HEAD"], cwd=ROOT, capture_output=True, check=True).stdout
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            tar.extractall(name, filter="data")
        for defect in drawn:
            found[defect.path].append((defect, noticed(Path(name), defect)))
    rows = [[path, len(items), sum(hit for _, hit in items)] for path, items in found.items() if items]
    survivors = [defect for items in found.values() for defect, hit in items if not hit]
    percent = 100 * (len(drawn) - len(survivors)) // max(1, len(drawn))
    lines = [
        table(["decider", "seeded", "noticed"], rows),
        *(f"  {item.path}:{item.line}  {item.kind}  {item.summary}" for item in survivors),
        f"seed {given.seed}: {len(drawn) - len(survivors)} of {len(drawn)} defects noticed ({percent} %)",
    ]
    sys.stdout.write("\n".join(lines) + "\n")
    sys.exit(percent < _LEAST)


if __name__ == "__main__":
    main()
