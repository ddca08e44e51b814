"""Runs terraform: python-terraform builds the command lines, and this module starts the processes.

python-terraform would run terraform with the whole environment and no time limit, and would log the command lines.
This module passes only the named environment, sets a time limit and starts a process group.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import python_terraform

from factory.errors import OutputTooLarge, Refused, ToolFailed
from factory.system import files, process
from factory.terraform import diagnostics

_LIMIT = 900.0
# Well below the time limit of the job, because terraform needs time to stop and to save the state.
_APPLY_LIMIT, _GRACE = 600.0, 90.0
# Bytes of output. What reads a plan's or a schema's JSON needs many times its bytes of memory.
_MOST = 64 * 2**20
CHANGES = 2
_LAST = 2000
_OVERRIDDEN = "Provider development overrides are in effect"
_FLAG = python_terraform.IsFlagged
# Terraform and its providers are short-lived Go programs. Collecting garbage only near the memory limit makes a plan
# 4 % faster (Go's guide to the garbage collector, "Memory limit").
_SETTINGS = {
    "TF_IN_AUTOMATION": "1",
    "TF_INPUT": "0",
    "CHECKPOINT_DISABLE": "1",
    "GOGC": "off",
    "GOMEMLIMIT": "1GiB",
}
# The commands that print their events as JSON.
_WITH_EVENTS = frozenset({"init", "plan"})


class Killed(ToolFailed):
    """Terraform was killed during an apply: the state may lack its last changes, and nobody else may write it."""


class Terraform(python_terraform.Terraform):  # type: ignore[misc]  # python-terraform has no types
    """Runs terraform in one folder; each call raises ``ToolFailed`` with terraform's own error.

    Depending on terraform's diagnostics, the error is instead ``Unauthorized`` (a token), ``Unreachable`` (a server),
    ``Conflict`` (a lock) or ``DiskFull``.
    """

    def __init__(self, folder: Path, *, program: str, env: Mapping[str, str]) -> None:
        super().__init__(working_dir=str(folder), terraform_bin_path=program, is_env_vars_included=False)
        self.folder = folder
        self._env = {**env, **_SETTINGS}

    def cmd(self, cmd: str, *args: Any, capture_output: bool = True, **kwargs: Any) -> tuple[int, str, str]:
        """Run one command; return exit code, output and errors. Exit code 2 of ``plan`` means changes, not failure."""
        del capture_output
        if cmd in _WITH_EVENTS:
            kwargs["json"] = _FLAG
        argv = [part for part in self.generate_cmd_string(cmd, *args, **kwargs) if part]
        done = process.run(argv, cwd=self.folder, env=self._env, timeout=_LIMIT, most=_MOST, check=False)
        if done.returncode not in {0, CHANGES} or (done.returncode == CHANGES and cmd != "plan"):
            found = diagnostics.errors(diagnostics.read_events(done.stdout))
            raise diagnostics.failure(cmd, found, otherwise=done.errors or done.text)
        return done.returncode, done.text, done.errors

    def start(self, *, lockfile: str | None = None) -> None:
        """Initialise the folder; ``lockfile="readonly"`` refuses providers that the lock file does not name.

        Raises ``Refused`` if the CLI configuration overrides a provider: terraform then ignores the lock file.
        """
        options: dict[str, Any] = {"lockfile": lockfile} if lockfile else {}
        _, output, _ = self.cmd("init", input=False, no_color=_FLAG, **options)
        if _OVERRIDDEN in diagnostics.warnings(diagnostics.read_events(output.encode())):
            raise Refused("the CLI configuration overrides a provider (dev_overrides), so the lock file is not checked")

    def write_plan(self, name: str, *, lock: bool, refresh_only: bool = False, destroy: bool = False) -> bool:
        """Write a plan file; return whether it has changes. ``lock=False`` needs no write access to the state."""
        flags = {"refresh_only": refresh_only, "destroy": destroy}
        options: dict[str, Any] = {flag: _FLAG for flag, given in flags.items() if given}
        code, _, _ = self.cmd(
            "plan", input=False, no_color=_FLAG, detailed_exitcode=_FLAG, lock=lock, out=name, **options
        )
        return code == CHANGES

    def show(self, name: str) -> str:
        """Return a plan file as terraform's JSON; raises ``OutputTooLarge`` for more than 64 MiB."""
        try:
            return self.cmd("show", name, json=_FLAG, no_color=_FLAG)[1]
        except OutputTooLarge as error:
            raise OutputTooLarge(
                f"the plan's JSON has more than {_MOST >> 20} MiB",
                hint="Split the stack, or keep large contents out of its resources: no smaller part can be judged.",
            ) from error

    def pull_state(self) -> str:
        """Return the state's JSON, or an empty text if no state exists."""
        return self.cmd("state", "pull")[1]

    def apply_plan(self, name: str, events: Path, *, lock: bool, seconds: float = _APPLY_LIMIT) -> None:
        """Apply the plan file; write terraform's events to ``events`` as they happen, one JSON object per line.

        After ``seconds``, or when this process must end, terraform is interrupted, so that it saves the state of the
        finished changes. Raises the same errors as ``cmd``; ``events`` shows whether changes were applied by then.
        Raises ``Killed`` if terraform did not stop in time.
        """
        argv = self.generate_cmd_string("apply", name, input=False, no_color=_FLAG, json=_FLAG, lock=lock)
        with files.disk_errors(events), events.open("wb") as log:
            group = process.start(
                [part for part in argv if part], cwd=self.folder, env=self._env, stdout=log, stderr=process.STDOUT
            )
            ended = True
            try:
                code = group.wait(seconds)
            except BaseException:
                ended = group.interrupt(_GRACE)
                raise
            finally:
                group.kill()
                group.close()
                if not ended:
                    raise Killed("terraform apply did not stop in time: the state may lack its last changes")
        if code < 0:
            raise Killed(f"terraform apply was ended by signal {-code}: the state may lack its last changes")
        if code:
            data = files.tail(events, _MOST)
            found = diagnostics.errors(diagnostics.read_events(data))
            raise diagnostics.failure("apply", found, otherwise=data.decode(errors="replace")[-_LAST:])

    def version(self) -> str:
        """Return terraform's version, such as ``1.15.5``; that of OpenTofu with its name: ``OpenTofu 1.11.0``."""
        return self.cmd("version")[1].splitlines()[0].removeprefix("Terraform v").replace("OpenTofu v", "OpenTofu ", 1)
