"""Runs terraform: python-terraform builds the command lines, and this module starts the processes.

python-terraform would run terraform with the whole environment and no time limit, and would log the command lines.
This module passes only the named environment, sets a time limit and starts a process group.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import python_terraform

from factory.errors import Conflict, DiskFull, FactoryError, Refused, ToolFailed, Unauthorized, Unreachable
from factory.system import files, process

_LIMIT = 900.0
# Well below the time limit of the job, because terraform needs time to stop and to save the state.
_APPLY_LIMIT, _GRACE = 600.0, 90.0
CHANGES = 2
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
_Family = type[ToolFailed] | type[Unauthorized] | type[Unreachable] | type[DiskFull] | type[Conflict]
# Texts in terraform's errors whose cause is not the configuration. Retries depend on the error's class.
_FAMILIES: Mapping[_Family, tuple[str, ...]] = {
    DiskFull: ("no space left on device", "disk quota exceeded"),
    Unauthorized: (
        "http 401",
        "http 403",
        "http error: 401",
        "http error: 403",
        "status code: 401",
        "status code: 403",
        "403 forbidden",
        "unauthorized",
        "api rejects it",
        "requires auth",
        "invalid auth",
    ),
    # Somebody else has taken the state's lock.
    Conflict: ("http error: 409", "http error: 423"),
    Unreachable: (
        "connection refused",
        "connection reset",
        "no such host",
        "i/o timeout",
        "context deadline exceeded",
        "no answer from",
        "http 429",
        "http 5",
        "http error: 429",
        "http error: 5",
        "status code: 429",
        "status code: 5",
        "giving up after",
    ),
}


class Killed(ToolFailed):
    """Terraform was killed during an apply: the state may lack its last changes, and nobody else may write it."""


class Terraform(python_terraform.Terraform):  # type: ignore[misc]  # python-terraform has no types
    """Runs terraform in one folder; each call raises ``ToolFailed`` with terraform's own error.

    Depending on terraform's message, the error is instead ``Unauthorized`` (a token), ``Unreachable`` (a server),
    ``Conflict`` (a lock) or ``DiskFull``.
    """

    def __init__(self, folder: Path, *, program: str, env: Mapping[str, str]) -> None:
        super().__init__(working_dir=str(folder), terraform_bin_path=program, is_env_vars_included=False)
        self.folder = folder
        self._env = {**env, **_SETTINGS}

    def cmd(self, cmd: str, *args: Any, capture_output: bool = True, **kwargs: Any) -> tuple[int, str, str]:
        """Run one command; return exit code, output and errors. Exit code 2 of ``plan`` means changes, not failure."""
        del capture_output
        argv = [part for part in self.generate_cmd_string(cmd, *args, **kwargs) if part]
        done = process.run(argv, cwd=self.folder, env=self._env, timeout=_LIMIT, check=False)
        if done.returncode not in {0, CHANGES} or (done.returncode == CHANGES and cmd != "plan"):
            raise failure(cmd, done.errors or done.text)
        return done.returncode, done.text, done.errors

    def start(self, *, lockfile: str | None = None) -> None:
        """Initialise the folder; ``lockfile="readonly"`` refuses providers that the lock file does not name.

        Raises ``Refused`` if the CLI configuration overrides a provider: terraform then ignores the lock file.
        """
        options: dict[str, Any] = {"lockfile": lockfile} if lockfile else {}
        _, output, _ = self.cmd("init", input=False, no_color=_FLAG, **options)
        if _OVERRIDDEN in output:
            raise Refused("the CLI configuration overrides a provider (dev_overrides), so the lock file is not checked")

    def write_plan(self, name: str, *, lock: bool, refresh_only: bool = False) -> bool:
        """Write a plan file; return whether it has changes. ``lock=False`` needs no write access to the state."""
        options: dict[str, Any] = {"refresh_only": _FLAG} if refresh_only else {}
        code, _, _ = self.cmd(
            "plan", input=False, no_color=_FLAG, detailed_exitcode=_FLAG, lock=lock, out=name, **options
        )
        return code == CHANGES

    def show(self, name: str) -> str:
        """Return a plan file as terraform's JSON."""
        return self.cmd("show", name, json=_FLAG, no_color=_FLAG)[1]

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
            raise failure("apply", diagnostics(events.read_bytes()))

    def version(self) -> str:
        """Return terraform's version."""
        return self.cmd("version")[1].splitlines()[0].removeprefix("Terraform v")


def read_events(data: bytes) -> tuple[Mapping[str, Any], ...]:
    """Return terraform's events in a log, which may have a truncated last line or other text."""
    found = []
    for line in data.splitlines():
        try:
            value = json.loads(line)
        except ValueError:
            continue
        if isinstance(value, dict):
            found.append(value)
    return tuple(found)


def diagnostics(data: bytes) -> str:
    """Return the errors in a log of events, in terraform's human-readable form."""
    errors = []
    for event in read_events(data):
        item = event.get("diagnostic")
        if isinstance(item, dict) and item.get("severity") == "error":
            where = f" ({item['address']})" if item.get("address") else ""
            errors.append(f"Error: {item.get('summary', '')}{where}\n{item.get('detail', '')}")
    return "\n".join(errors) or data.decode(errors="replace")[-2000:]


def failure(cmd: str, text: str) -> FactoryError:
    """Return the error whose class matches terraform's message, with the message in one line."""
    low = text.lower()
    family: _Family = next(
        (kind for kind, words in _FAMILIES.items() if any(word in low for word in words)), ToolFailed
    )
    return family(f"terraform {cmd} failed: {_reason(text)}")


def _reason(text: str) -> str:
    lines = [line.strip("│╷╵ ") for line in text.splitlines()]
    filled = [line for line in lines if line]
    at = next((number for number, line in enumerate(filled) if line.startswith("Error: ")), None)
    if at is None:
        return filled[-1] if filled else "no message"
    first = filled[at].removeprefix("Error: ")
    detail = next((line for line in filled[at + 1 :] if not line.startswith(("on ", "with ", "Error: "))), "")
    return f"{first}: {detail}" if detail and not first.endswith(".") else first
