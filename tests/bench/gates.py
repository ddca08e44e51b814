"""The gates on a change of 1,000 files, against a plain pre-commit run of the same tools in the same run."""

import json
import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from factory.checks import change as changes
from factory.checks import static
from factory.gates import GATES
from factory.model.facts import Facts
from factory.policies.folder import read_folder
from tests.instances import Instance
from tests.measure import row
from tests.servers import TOOL_ENV, git

FILES = 1000
_LIMIT = 2.0
_RUNS = 3
_SOURCE = '''"""Module {n}."""


def double_{n}(value: int) -> int:
    """Return twice the value."""
    return value * 2


def label_{n}(name: str, *, loud: bool = False) -> str:
    """Return a label."""
    return name.upper() if loud else name
'''


def rows(instance: Instance) -> list[dict[str, object]]:
    """Return one row per gate that wraps a tool, and one for all facts of ``factory gate check``."""
    base = git("rev-parse", "HEAD", cwd=instance.clone).stdout.strip()
    folder = instance.clone / "apps" / "big" / "src"
    folder.mkdir(parents=True)
    for number in range(FILES):
        (folder / f"module_{number}.py").write_text(_SOURCE.format(n=number))
    git("add", "-A", cwd=instance.clone)
    git("commit", "-qm", "Many\n\nIssue: #1\nSpec: hello\nFactory-Session: s", cwd=instance.clone)
    rules = read_folder(instance.clone)
    commands = {name: rules.gates.checks[name] for name in ("lint", "security", "types")}
    _configure(instance.clone, commands)
    found = changes.collect(instance.clone, base, "HEAD", env=TOOL_ENV)
    tools = {"lint": static.lint, "security": static.lint, "types": static.types}

    def ours(name: str) -> Callable[[], object]:
        def run() -> object:
            result = tools[name](commands[name], instance.clone, found, env=TOOL_ENV)
            facts = Facts(change=found, lint=result, security=result, types=result)
            return GATES[name](facts, rules)

        return run

    def plain(*hooks: str) -> Callable[[], object]:
        argv = [sys.executable, "-m", "pre_commit", "run", *hooks, "--from-ref", base, "--to-ref", "HEAD"]
        return lambda: subprocess.run(argv, cwd=instance.clone, env=instance.env(), check=True, capture_output=True)

    def check() -> object:
        return instance.run("gate", "check", "--base", base)

    per_gate = [_row(f"gate {name} / pre-commit {name}", ours(name), plain(name)) for name in commands]
    return [*per_gate, _row("factory gate check / pre-commit", check, plain())]


def _configure(clone: Path, commands: dict[str, tuple[str, ...]]) -> None:
    """Write a pre-commit configuration with the same tools, which is no part of the change."""
    hooks = [
        {
            "id": name,
            "name": name,
            "language": "system",
            "entry": shlex.join([sys.executable, *command[1:]]),
            "files": r"^apps/.*/src/.*\.py$",
            "require_serial": True,
        }
        for name, command in commands.items()
    ]
    (clone / ".pre-commit-config.yaml").write_text(json.dumps({"repos": [{"repo": "local", "hooks": hooks}]}))
    git("add", ".pre-commit-config.yaml", cwd=clone)


def _row(what: str, ours: Callable[[], object], plain: Callable[[], object]) -> dict[str, object]:
    pairs = [(_seconds(ours), _seconds(plain)) for _ in range(_RUNS)]
    return row(what, pairs, _LIMIT)


def _seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start
