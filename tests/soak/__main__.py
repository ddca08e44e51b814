"""`make soak`: every row of every matrix, defects seeded in the factory's own deciders, and faults during appends.

The rows are those of the tests with the mark `matrix` or `soak`, of which CI runs a few. A decider is a pure module.
The mutants of all deciders are shuffled by a seed; the tests of a decider run against a copy of the repository with
one mutant in it. Prints a table of each part and the survivors; exits 1 if a row fails or fewer than 95 % are noticed.
"""

import argparse
import io
import queue
import random
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from xml.etree import ElementTree as ET

from factory.checks.mutation import operators
from factory.model.challenge import Defect
from factory.reports.tables import table
from tests import matrix
from tests.servers import ROOT
from tests.soak import appends

# Deciders, and the tests that hold them.
DECIDERS: Mapping[str, tuple[str, ...]] = {
    "factory/agents/permissions.py": ("tests/agents/test_permissions.py",),
    "factory/model/cloudflare.py": ("tests/model/test_cloudflare.py",),
    "factory/policies/evaluate.py": ("tests/policies/test_rulings.py", "tests/policies/test_evaluate.py"),
    "factory/policies/plans.py": (
        "tests/policies/test_rulings.py",
        "tests/policies/test_plans.py",
        "tests/policies/test_evaluate.py",
    ),
    "factory/sandbox/egress_rules.py": ("tests/sandbox/test_egress_rules.py",),
    "factory/terraform/diagnostics.py": ("tests/terraform/test_diagnostics.py",),
    "factory/terraform/rulesets.py": ("tests/terraform/test_rulesets.py",),
    "factory/workflow/budget/budget.py": ("tests/workflow/budget/test_budget.py",),
    "factory/workflow/claim/lease.py": ("tests/workflow/test_deciders.py", "tests/workflow/claim/test_lease.py"),
    "factory/workflow/retry.py": ("tests/workflow/test_deciders.py",),
    "factory/workflow/work_queue.py": ("tests/workflow/test_deciders.py",),
    "factory/workflow/session/escalation.py": ("tests/workflow/session/test_escalation.py",),
    "factory/workflow/session/next_move.py": ("tests/workflow/session/test_next_move.py",),
    "factory/workflow/session/routing.py": ("tests/workflow/session/test_routing.py",),
}
_LEAST, _SECONDS, _COPIES = 95, 120.0, 2
_APPENDS = 300


def mutants(chosen: Sequence[str]) -> list[Defect]:
    """Return the mutants of deciders that change a decision: not those of a sentence, or of a dataclass' decorator."""
    found = []
    for path in chosen:
        text = (ROOT / path).read_text()
        lines = text.splitlines()
        found += [item for item in operators.mutations(path, text) if not _is_of_words(item, lines[item.line - 1])]
    return found


def _is_of_words(item: Defect, line: str) -> bool:
    before = item.summary.partition(" became ")[0]
    return (item.kind == "mutation.string" and " " in before.strip("`")) or line.lstrip().startswith("@dataclass")


def noticed(copy: Path, defect: Defect) -> bool:
    """Tell whether the decider's tests fail with the defect in the copy; a test that hangs notices it too."""
    path = copy / defect.path
    sound = path.read_bytes()
    path.write_bytes(dict(defect.files)[defect.path] or b"")
    tests = [name for name in DECIDERS[defect.path] if (copy / name).exists()]
    argv = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-x",
        "-p",
        "no:xdist",
        "-p",
        "no:schemathesis",
        "--every-row",
        *tests,
    ]
    try:
        done = subprocess.run(argv, cwd=copy, capture_output=True, timeout=_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return True
    finally:
        path.write_bytes(sound)
    return done.returncode != 0


def rows() -> tuple[str, bool]:
    """Run every row; return a table of the tests, and whether all rows held."""
    with tempfile.TemporaryDirectory(prefix="factory-soak-") as name:
        report = Path(name) / "rows.xml"
        argv = [sys.executable, "-m", "pytest", "-n", "4", "--dist", "load", "--maxschedchunk", "1", "--every-row"]
        done = subprocess.run([*argv, "-m", "soak or matrix", f"--junitxml={report}"], cwd=ROOT, check=False)
        found = [] if not report.exists() else list(ET.parse(report).iter("testcase"))
    tests: dict[str, list[ET.Element]] = {}
    for item in found:
        tests.setdefault(f"{item.get('classname')}::{str(item.get('name')).partition('[')[0]}", []).append(item)
    lines = [
        [
            name,
            len(items),
            sum(item.find("failure") is not None or item.find("error") is not None for item in items),
            round(sum(float(item.get("time") or 0) for item in items)),
        ]
        for name, items in sorted(tests.items())
    ]
    return table(["test", "rows", "failed", "seconds"], lines), done.returncode == 0


def defects(seed: int, limit: int, chosen: Sequence[str]) -> tuple[str, bool]:
    """Seed defects; return a table of the deciders with the survivors, and whether enough were noticed."""
    drawn = mutants(chosen)
    random.Random(seed).shuffle(drawn)
    drawn = drawn[:limit]
    with ExitStack() as stack:
        copies: queue.Queue[Path] = queue.Queue()
        for _ in range(_COPIES):
            copies.put(_copied(Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="factory-soak-")))))

        def look(defect: Defect) -> bool:
            copy = copies.get()
            try:
                return noticed(copy, defect)
            finally:
                copies.put(copy)

        with ThreadPoolExecutor(_COPIES) as pool:
            hits = list(pool.map(look, drawn))
    found: dict[str, list[bool]] = {path: [] for path in chosen}
    for defect, hit in zip(drawn, hits, strict=True):
        found[defect.path].append(hit)
    survivors = [defect for defect, hit in zip(drawn, hits, strict=True) if not hit]
    percent = 100 * sum(hits) // max(1, len(drawn))
    lines = [
        table(["decider", "seeded", "noticed"], [[path, len(each), sum(each)] for path, each in found.items() if each]),
        *(f"  {item.path}:{item.line}  {item.kind}  {item.summary}" for item in survivors),
        f"seed {seed}: {sum(hits)} of {len(drawn)} defects noticed ({percent} %)",
    ]
    return "\n".join(lines), percent >= _LEAST


def _copied(folder: Path) -> Path:
    archive = subprocess.run(["git", "archive", "HEAD"], cwd=ROOT, capture_output=True, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        tar.extractall(folder, filter="data")
    return folder


def main() -> None:
    """Run all parts, or the defects alone, and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=matrix.seed(), help="which defects are drawn, and in which order")
    parser.add_argument("--limit", type=int, default=200, help="how many defects")
    parser.add_argument("--only", default="", help="defects only, in deciders whose path contains this")
    given = parser.parse_args()
    parts = [] if given.only else [rows()]
    parts.append(defects(given.seed, given.limit, [path for path in DECIDERS if given.only in path]))
    parts += [] if given.only else [appends.runs(given.seed, _APPENDS)]
    sys.stdout.write("\n".join(text for text, _ in parts) + "\n")
    sys.exit(not all(held for _, held in parts))


if __name__ == "__main__":
    main()
