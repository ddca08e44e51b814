"""Runs the releases of a run on this machine, where the person named a folder for their sockets."""

from pathlib import Path

from factory.model.secret import Secret
from factory.operations.prove.command_line import INSTANCE, CommandLine
from factory.operations.prove.request import ENVIRONMENTS
from factory.system import files, process

_TRUST = "trust.json"
# Seconds in which a host lets its releases end.
_PATIENCE = 15.0


class Hosts:
    """The hosts of one run, one for each environment, in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._started: list[process.Group] = []

    def start(self, command: CommandLine, sockets: Path, *, url: str, project: str, token: Secret) -> None:
        """Start them, with the trust root of the run's clone; raises ``ProofFailed``."""
        folder = files.private_folder(self._folder)
        files.write_atomic(folder / _TRUST, command.run("evidence", "trust").encode())
        for environment in ENVIRONMENTS:
            argv = [process.python(), "-P", "-m", "factory", "--instance", INSTANCE, "host", "run", environment]
            argv += ["--url", url, "--project", project, "--trust", str(folder / _TRUST), "--every", "1"]
            argv += ["--sockets", str(sockets / environment), "--state", str(folder / environment)]
            env = {**command.env, "FACTORY_HOST_TOKEN": token.reveal()}
            with (folder / f"{environment}.log").open("ab") as log:
                self._started.append(process.start(argv, env=env, cwd=command.clone, stdout=log, stderr=log))

    def stop(self) -> None:
        """Stop them and their releases."""
        for host in self._started:
            host.interrupt(_PATIENCE)
            host.kill()
        self._started.clear()
