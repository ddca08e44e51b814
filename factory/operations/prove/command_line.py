"""Runs the factory's own commands as a person would, in the throwaway clone and with state of its own."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from factory.errors import ProofFailed, ToolTimeout
from factory.model.secret import Secret
from factory.operations.prove.deadline import Deadline
from factory.system import process

INSTANCE = "prove"
_DROPPED = ("FACTORY_", "CLOUDFLARE_", "CI_", "TF_", "GIT_")


@dataclass(frozen=True)
class CommandLine:
    """Where the commands run, with which environment, and until when."""

    clone: Path
    env: Mapping[str, str]
    deadline: Deadline

    def run(self, *arguments: str, stdin: Secret | None = None, more: Mapping[str, str] | None = None) -> str:
        """Run one command on the run's instance; return what it printed.

        Raises ``ProofFailed`` with the command's own error if its exit code is not 0, or if the time is over.
        """
        argv = [process.python(), "-P", "-m", "factory", "--instance", INSTANCE, *arguments]
        shown = f"factory {' '.join(arguments[:3])}"
        try:
            done = process.run(
                argv,
                env={**self.env, **(more or {})},
                cwd=self.clone,
                stdin=stdin.reveal().encode() if stdin else b"",
                timeout=self.deadline.left(),
                check=False,
            )
        except ToolTimeout:
            raise ProofFailed(f"`{shown}` did not end before the time of the run was over") from None
        if done.returncode:
            raise ProofFailed(f"`{shown}` ended with exit code {done.returncode}: {_error(done.errors, done.text)}")
        return done.text

    def json(self, *arguments: str) -> object:
        """Run one command with ``--json``; return what it printed. Raises the errors of ``run``."""
        found: object = json.loads(self.run(*arguments, "--json"))
        return found


def person(given: Mapping[str, str]) -> dict[str, str]:
    """Return a person's environment without the tokens and settings of the factory, its pipelines and git."""
    return {name: value for name, value in given.items() if not name.startswith(_DROPPED)}


def environment(person: Mapping[str, str], place: Path) -> dict[str, str]:
    """Return the environment of a run's commands: the person's, with state and configuration in ``place``."""
    return {**person, **{f"XDG_{name}_HOME": str(place / name.lower()) for name in ("STATE", "CONFIG")}}


def _error(errors: str, printed: str) -> str:
    """Return the line with which a command says why it failed, or else its last line."""
    lines = [line.strip() for line in (errors or printed).splitlines() if line.strip()]
    told = [line.removeprefix("factory: ") for line in lines if line.startswith("factory: ")]
    return (told or lines or ["(no message)"])[-1]
