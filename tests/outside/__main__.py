"""`python -m tests.outside`: run python-gitlab's own functional tests against the loopback GitLab and count results.

Each test passed, was skipped, is absent (it needs a route that the server does not have), or is wrong.
"""

import argparse
import collections
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from tests.servers import ROOT, TOOL_ENV, running_gitlab

VERSION = "8.6.0"
SHA256 = "d1602164fb58ab280ceef460faf015cec6e7d83bb2d9cbae44ba448adb5568ef"
SUITES, TIERS = ("api", "cli"), ("premium", "free")
HERE = Path(__file__).parent
_SECONDS_OF_A_TEST = "120"


@dataclass(frozen=True)
class Result:
    """What a test came to, as the plugin writes it."""

    test: str
    outcome: str
    endpoint: str
    reason: str
    served: bool


def sources(cache: Path) -> Path:
    """Return the folder of python-gitlab's sources, downloaded once; exit if they are not the pinned ones."""
    archive = cache / f"python_gitlab-{VERSION}.tar.gz"
    if not archive.exists():
        wanted = ["--no-binary", ":all:", "--no-deps", f"python-gitlab=={VERSION}"]
        _pip("download", *wanted, "--dest", str(cache))
    if sha256(archive.read_bytes()).hexdigest() != SHA256:
        sys.exit(f"{archive} is not the pinned archive")
    with tarfile.open(archive) as packed:
        packed.extractall(cache, filter="data")
    return cache / f"python_gitlab-{VERSION}"


def packages(cache: Path) -> Path:
    """Return a folder with the packages that only these tests need, installed once."""
    folder = cache / "packages"
    if not folder.exists():
        needed = ["--require-hashes", "--no-deps", "-r", str(HERE / "requirements.txt")]
        _pip("install", *needed, "--target", str(folder))
    return folder


def _pip(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "pip", "--quiet", *arguments], check=True)


def results(cache: Path, suite: str, tier: str, extra: list[str]) -> list[Result]:
    """Run one suite against a new server; return what each test came to."""
    source, added = sources(cache), packages(cache)
    with tempfile.TemporaryDirectory() as folder, running_gitlab(Path(folder) / "state", tier=tier) as server:
        found = Path(folder) / "results"
        found.touch()
        env = TOOL_ENV | {
            "HOME": folder,
            "TMPDIR": folder,
            "PYTHONPATH": os.pathsep.join(map(str, (source, added, HERE, HERE / "recorder"))),
            "OUTSIDE_URL": server.url,
            "OUTSIDE_TOKEN": server.root_token,
            "OUTSIDE_TIER": tier,
            "OUTSIDE_RESULTS": str(found),
            "OUTSIDE_EXCHANGES": f"{folder}/exchanges",
        }
        plugins = ["-p", "python_gitlab", "-p", "no:cacheprovider", "-o", "xfail_strict=false"]
        plugins += ["--script-launch-mode=subprocess", f"--basetemp={folder}/pytest", "--timeout", _SECONDS_OF_A_TEST]
        options = [*plugins, "--tb=short", f"tests/functional/{suite}", *extra]
        with (cache / f"{suite}-{tier}.log").open("wb") as log:
            command = [sys.executable, "-m", "pytest", *options]
            subprocess.run(command, cwd=source, env=env, stdout=log, stderr=log, check=False)
        return [Result(**json.loads(line)) for line in found.read_text().splitlines()]


def report(title: str, found: list[Result]) -> str:
    """Return the numbers of a run, its wrong tests, and the routes that absent tests need."""
    count = collections.Counter(result.outcome for result in found)
    served = [result for result in found if result.served and result.outcome != "skipped"]
    passed = sum(result.outcome == "passed" for result in served)
    numbers = ", ".join(f"{outcome} {count[outcome]}" for outcome in ("passed", "absent", "wrong", "skipped"))
    lines = [f"{title}: {numbers}; of {len(served)} that use only routes of the server, {passed} passed"]
    wrong = [result for result in found if result.outcome == "wrong"]
    lines += [f"  wrong: {result.test}\n    {result.endpoint}: {result.reason}" for result in wrong]
    absent = collections.Counter(result.endpoint for result in found if result.outcome == "absent")
    return "\n".join([*lines, *(f"  absent: {endpoint} ({times})" for endpoint, times in absent.most_common())])


def main() -> None:
    """Run the suites on the tiers and print the numbers; exit 1 if a test is wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.outside", description=__doc__)
    parser.add_argument("--suite", choices=SUITES, action="append")
    parser.add_argument("--tier", choices=TIERS, action="append")
    parser.add_argument("--cache", type=Path, default=ROOT / ".venv" / "outside")
    arguments, extra = parser.parse_known_args()
    arguments.cache.mkdir(parents=True, exist_ok=True)
    wrong = False
    for tier in arguments.tier or TIERS:
        for suite in arguments.suite or SUITES:
            found = results(arguments.cache, suite, tier, extra)
            print(report(f"{suite}, {tier}", found))  # noqa: T201 - a program's output
            wrong = wrong or not found or any(result.outcome == "wrong" for result in found)
    sys.exit(wrong)


if __name__ == "__main__":
    main()
