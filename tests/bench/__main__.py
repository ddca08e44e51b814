"""`make bench`: start-up, status, gates and agents' turns as ratios to bare baselines, and the job time of a change."""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.bench import agents, evidence, gates, minutes, switch, terraform
from tests.instances import Instance, make_instance
from tests.measure import row

_RUNS = 9
_OWN, _SHARE = 5.0, 0.25


def seconds(argv: list[str], instance: Instance) -> float:
    """Return the wall time of one whole process."""
    start = time.perf_counter()
    subprocess.run(argv, cwd=instance.clone, env=instance.env(), check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def ratio(name: str, argv: list[str], baseline: list[str], limit: float, instance: Instance) -> dict[str, object]:
    """Run both in turn and return the median of the ratios pair by pair."""
    seconds(argv, instance), seconds(baseline, instance)
    pairs = [(seconds(argv, instance), seconds(baseline, instance)) for _ in range(_RUNS)]
    return row(name, pairs, limit)


def main() -> None:
    """Measure and print; exit 1 where a limit is passed."""
    python = [sys.executable, "-P", "-c"]
    factory = str(Path(sys.executable).parent / "factory")
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    with tempfile.TemporaryDirectory() as folder:
        instance = make_instance(Path(folder))
        try:
            instance.run("up")
            found = [
                ratio("factory --help / import click", [factory, "--help"], [*python, "import click"], 2.0, instance),
                ratio("factory status / import gitlab", [factory, "status"], [*python, "import gitlab"], 3.0, instance),
            ]
        finally:
            instance.run("down", check=False)
        instance.json("demo", "--yes")  # the measured one is warm, as a person's second is
        demo = instance.json("demo", "--yes")["seconds"]
        found += gates.rows(instance)
    found += agents.rows()
    found += terraform.rows()
    found += evidence.rows()
    found += switch.rows()
    found.append(minutes.row())
    share = demo["factory"] / demo["whole"]
    own = demo["factory"]
    found.append({"what": "demo: the factory's own seconds", "seconds": own, "limit": _OWN, "holds": own <= _OWN})
    found.append({"what": "demo: its share", "ratio": round(share, 2), "limit": _SHARE, "holds": share <= _SHARE})
    for line in found:
        print(json.dumps(line))  # noqa: T201 - a program's output
    sys.exit(not all(line["holds"] for line in found))


if __name__ == "__main__":
    main()
