"""`python -m tests.outside.evidence`: let programs of others verify a bundle.

sigstore's DSSE implementation (npm) verifies each envelope, aics-tlog (a C2SP client) the checkpoint and every tile,
and CycloneDX's validator each bill of materials. Each must also refuse a changed bundle. Without ``--bundle`` it is one
with 281 statements.
"""

import argparse
import io
import json
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from factory.evidence import bundle
from factory.evidence.trust import Trust
from tests.evidence import examples
from tests.outside.__main__ import HERE, Source, interpreter
from tests.servers import ROOT, TOOL_ENV

_TOOLS = Source("aics-tlog", "0.2.1", "", "evidence.lock", "", newer=("python3.12", "python3.13", "python3.14"))


@dataclass(frozen=True)
class Program:
    """A program that verifies a bundle's folder, what it verifies, and how a test breaks exactly that."""

    name: str
    argv: tuple[str, ...]
    broken: Callable[[Path], None]


def example() -> bytes:
    """Return a bundle of a merge request with a build, in a log with full and partial tiles."""
    more = [examples.make("claim", key=f"claim/{number}") for number in range(270)]
    tree = examples.recorded([*examples.statements(), examples.make("build"), *more])
    report = examples.report(tree)
    return bundle.pack(tree, examples.trust(), subject="!12", about=set(range(12)), report=report)


def programs(cache: Path, newer: str | None, folder: Path) -> list[Program]:
    """Return the programs, installed once; exit if node or a Python of at least 3.12 is missing."""
    prepared = interpreter(cache, _TOOLS, newer)
    if prepared is None or not shutil.which("npm"):
        sys.exit("not run: it needs npm and a Python of at least 3.12 (--newer)")
    dsse = cache / "dsse"
    if not (dsse / "node_modules").exists():  # the program stands beside the packages that it imports
        dsse.mkdir(exist_ok=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copyfile(HERE / f"dsse.{name}", dsse / name)
        shutil.copyfile(HERE / "dsse.mjs", dsse / "dsse.mjs")
        subprocess.run(["npm", "ci", "--silent", "--ignore-scripts"], cwd=dsse, check=True)
    trust = Trust.read((folder / "trust.json").read_bytes(), source="trust.json")
    (key,) = trust.log_keys()
    python, script = prepared[0], str(HERE / "read_bundle.py")
    log = (python, script, str(folder), key.text)
    return [
        Program("sigstore (DSSE)", ("node", str(dsse / "dsse.mjs"), str(folder)), _break_signature),
        Program("aics-tlog (C2SP)", log, _break_tile),
        Program("CycloneDX", log, _break_bom),
    ]


def _break_signature(folder: Path) -> None:
    path = max((folder / "log/statements").iterdir())
    envelope = json.loads(path.read_bytes())
    path.write_text(json.dumps({**envelope, "payloadType": "application/json"}))


def _break_tile(folder: Path) -> None:
    path = min(path for path in (folder / "log/tile/entries").rglob("*") if path.is_file())
    path.write_bytes(path.read_bytes()[:-1] + b"x")


def _break_bom(folder: Path) -> None:
    for path in folder.glob("builds/*.cdx.json"):
        path.write_text(json.dumps({**json.loads(path.read_bytes()), "specVersion": 3}))


def run(program: Program, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a program on a bundle's folder."""
    env = TOOL_ENV | {"HOME": str(folder)}
    return subprocess.run(program.argv, env=env, capture_output=True, text=True, check=False)


def main() -> None:
    """Run each program on the bundle and on a changed one; exit 1 if one refuses the first or accepts the second."""
    parser = argparse.ArgumentParser(prog="python -m tests.outside.evidence", description=__doc__)
    parser.add_argument("--bundle", type=Path, help="an archive of `factory evidence bundle`")
    parser.add_argument("--newer", help="a Python of at least 3.12")
    parser.add_argument("--cache", type=Path, default=ROOT / ".venv" / "outside")
    arguments = parser.parse_args()
    arguments.cache.mkdir(parents=True, exist_ok=True)
    content = arguments.bundle.read_bytes() if arguments.bundle else example()
    held = True
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "bundle"
        for number in range(3):
            shutil.rmtree(folder, ignore_errors=True)
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                archive.extractall(folder)
            program = programs(arguments.cache, arguments.newer, folder)[number]
            good = run(program, folder)
            program.broken(folder)
            bad = run(program, folder)
            holds = good.returncode == 0 and bad.returncode != 0
            said = (good.stdout or good.stderr).strip()
            print(f"{program.name}: {'agrees' if holds else 'DISAGREES'}: {said}")  # noqa: T201 - output
            held = held and holds
    sys.exit(not held)


if __name__ == "__main__":
    main()
