"""The terraform program, through python-terraform with our own process handling.

python-terraform builds the command lines; it would run them with the whole environment, without time limit, and log
them, so running is replaced here: a named environment, a limit, a process group.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import python_terraform

from factory.errors import ToolFailed
from factory.system import process

_LIMIT = 900.0
CHANGES = 2


class Terraform(python_terraform.Terraform):  # type: ignore[misc]  # python-terraform has no types
    """Terraform in one folder; every call raises ``ToolFailed`` with terraform's own error."""

    def __init__(self, folder: Path, *, program: str, env: Mapping[str, str]) -> None:
        super().__init__(working_dir=str(folder), terraform_bin_path=program, is_env_vars_included=False)
        self._folder = folder
        self._env = {**env, "TF_IN_AUTOMATION": "1", "TF_INPUT": "0", "CHECKPOINT_DISABLE": "1"}

    def cmd(self, cmd: str, *args: Any, capture_output: bool = True, **kwargs: Any) -> tuple[int, str, str]:
        """Run one command; return exit code, output and errors. Exit code 2 of ``plan`` means changes, not failure."""
        del capture_output
        argv = [part for part in self.generate_cmd_string(cmd, *args, **kwargs) if part]
        done = process.run(argv, cwd=self._folder, env=self._env, timeout=_LIMIT, check=False)
        if done.returncode not in {0, CHANGES} or (done.returncode == CHANGES and cmd != "plan"):
            raise ToolFailed(f"terraform {cmd} failed: {_reason(done.errors or done.text)}")
        return done.returncode, done.text, done.errors

    def start(self, *, lockfile: str | None = None) -> None:
        """Initialise the folder; ``lockfile="readonly"`` refuses providers that the lock file does not name."""
        options: dict[str, Any] = {"lockfile": lockfile} if lockfile else {}
        self.cmd("init", input=False, no_color=python_terraform.IsFlagged, **options)

    def write_plan(self, name: str, *, lock: bool) -> bool:
        """Write a plan file; tell whether it changes anything. ``lock=False`` needs no right to write the state."""
        code, _, _ = self.cmd(
            "plan",
            input=False,
            no_color=python_terraform.IsFlagged,
            detailed_exitcode=python_terraform.IsFlagged,
            lock=lock,
            out=name,
        )
        return code == CHANGES

    def show(self, name: str) -> str:
        """Return a plan file as terraform's JSON."""
        return self.cmd("show", name, json=python_terraform.IsFlagged, no_color=python_terraform.IsFlagged)[1]

    def pull_state(self) -> str:
        """Return the state's JSON; empty where there is none."""
        return self.cmd("state", "pull")[1]

    def apply_plan(self, name: str) -> None:
        """Apply exactly this plan file; raises ``ToolFailed`` half-way through or before."""
        self.cmd("apply", name, input=False, no_color=python_terraform.IsFlagged)

    def version(self) -> str:
        """Return terraform's version."""
        return self.cmd("version")[1].splitlines()[0].removeprefix("Terraform v")


def _reason(text: str) -> str:
    lines = [line.strip("│╷╵ ") for line in text.splitlines()]
    told = [line for line in lines if line]
    return next((line.removeprefix("Error: ") for line in told if line.startswith("Error: ")), told[-1] if told else "")
