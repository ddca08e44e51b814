"""The terraform program, through python-terraform with our own process handling.

python-terraform builds the command lines; it would run them with the whole environment, without time limit, and log
them, so running is replaced here: a named environment, a limit, a process group.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import python_terraform

from factory.errors import Conflict, DiskFull, FactoryError, Refused, ToolFailed, Unauthorized, Unreachable
from factory.system import files, process

_LIMIT = 900.0
# Well below the time limit of the job: terraform needs a while to stop and to save the state.
_APPLY_LIMIT, _GRACE = 600.0, 90.0
CHANGES = 2
_OVERRIDDEN = "Provider development overrides are in effect"
_FLAG = python_terraform.IsFlagged
# Terraform and its providers are Go programs that live for a second: they collect garbage only near the limit, which
# takes 4 % off the time of a plan (Go's guide to the garbage collector, "Memory limit").
_SETTINGS = {
    "TF_IN_AUTOMATION": "1",
    "TF_INPUT": "0",
    "CHECKPOINT_DISABLE": "1",
    "GOGC": "off",
    "GOMEMLIMIT": "1GiB",
}
_Family = type[ToolFailed] | type[Unauthorized] | type[Unreachable] | type[DiskFull] | type[Conflict]
# What terraform says where the reason is not in the configuration: retry and people go by the error's class.
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
        "api does not take it",
        "requires auth",
        "invalid auth",
    ),
    # The state's lock is another's by now.
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
    """Terraform was ended in the middle: the state may lack what it did last, and nobody else may write it."""


class Terraform(python_terraform.Terraform):  # type: ignore[misc]  # python-terraform has no types
    """Terraform in one folder; a call raises ``ToolFailed`` with terraform's own error.

    Where terraform's words say so it is ``Unauthorized`` (a token), ``Unreachable`` (a server), ``Conflict`` (a lock)
    or ``DiskFull``.
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

        Raises ``Refused`` where the CLI configuration overrides a provider: terraform then looks at no lock file.
        """
        options: dict[str, Any] = {"lockfile": lockfile} if lockfile else {}
        _, said, _ = self.cmd("init", input=False, no_color=_FLAG, **options)
        if _OVERRIDDEN in said:
            raise Refused("the CLI configuration overrides a provider (dev_overrides), which no lock file vouches for")

    def write_plan(self, name: str, *, lock: bool, refresh_only: bool = False) -> bool:
        """Write a plan file; tell whether it changes anything. ``lock=False`` needs no right to write the state."""
        options: dict[str, Any] = {"refresh_only": _FLAG} if refresh_only else {}
        code, _, _ = self.cmd(
            "plan", input=False, no_color=_FLAG, detailed_exitcode=_FLAG, lock=lock, out=name, **options
        )
        return code == CHANGES

    def show(self, name: str) -> str:
        """Return a plan file as terraform's JSON."""
        return self.cmd("show", name, json=_FLAG, no_color=_FLAG)[1]

    def pull_state(self) -> str:
        """Return the state's JSON; empty where there is none."""
        return self.cmd("state", "pull")[1]

    def apply_plan(self, name: str, events: Path, *, lock: bool, seconds: float = _APPLY_LIMIT) -> None:
        """Apply exactly this plan file, and write terraform's events to ``events`` as they happen, one JSON a line.

        Past ``seconds``, or where this process is to end, terraform is asked to stop in order, so that it saves the
        state of what it has done. Raises as every call does, half-way through or before (the events tell which), and
        ``Killed`` where terraform did not stop in order.
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
                    raise Killed("terraform apply did not stop in order: what it did last may be in no state")
        if code < 0:
            raise Killed(f"terraform apply was ended by signal {-code}: what it did last may be in no state")
        if code:
            raise failure("apply", diagnostics(events.read_bytes()))

    def version(self) -> str:
        """Return terraform's version."""
        return self.cmd("version")[1].splitlines()[0].removeprefix("Terraform v")


def read_events(data: bytes) -> tuple[Mapping[str, Any], ...]:
    """Return terraform's events in a log that may end in the middle of a line or hold other text."""
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
    """Return what a log of events says of errors, as terraform writes it for people."""
    told = []
    for event in read_events(data):
        said = event.get("diagnostic")
        if isinstance(said, dict) and said.get("severity") == "error":
            where = f" ({said['address']})" if said.get("address") else ""
            told.append(f"Error: {said.get('summary', '')}{where}\n{said.get('detail', '')}")
    return "\n".join(told) or data.decode(errors="replace")[-2000:]


def failure(cmd: str, text: str) -> FactoryError:
    """Return the error that terraform's words mean, in one line."""
    low = text.lower()
    family: _Family = next(
        (kind for kind, words in _FAMILIES.items() if any(word in low for word in words)), ToolFailed
    )
    return family(f"terraform {cmd} failed: {_reason(text)}")


def _reason(text: str) -> str:
    lines = [line.strip("│╷╵ ") for line in text.splitlines()]
    told = [line for line in lines if line]
    at = next((number for number, line in enumerate(told) if line.startswith("Error: ")), None)
    if at is None:
        return told[-1] if told else "no message"
    first = told[at].removeprefix("Error: ")
    detail = next((line for line in told[at + 1 :] if not line.startswith(("on ", "with ", "Error: "))), "")
    return f"{first}: {detail}" if detail and not first.endswith(".") else first
