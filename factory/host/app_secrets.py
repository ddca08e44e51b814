"""Keeps the secrets of apps on the machine that runs them: a private file for each app, which no release can read.

A release gets those that its app.yml names, as variables of its process. They leave the machine in no way.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from factory.errors import NotFound, ToolFailed
from factory.model.secret import Secret
from factory.system import data, files

_FOLDER = "secrets"


class AppSecrets:
    """The secrets of the apps of one environment."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / _FOLDER

    def names(self, app: str) -> list[str]:
        """Return the names of an app's secrets, sorted."""
        return sorted(self.all(app))

    def put(self, app: str, name: str, value: Secret) -> None:
        """Keep a secret; it takes the place of one of the same name."""
        with self._locked():
            self._write(app, {**self.all(app), name: value.reveal()})

    def remove(self, app: str, name: str) -> None:
        """Delete a secret; raises ``NotFound``."""
        with self._locked():
            known = self.all(app)
            if name not in known:
                there = ", ".join(sorted(known)) or "none"
                raise NotFound(f"{app} has no secret {name} here", hint=f"It has: {there}.")
            self._write(app, {key: value for key, value in known.items() if key != name})

    def of(self, app: str, names: Sequence[str]) -> dict[str, str]:
        """Return the secrets with these names; raises ``ToolFailed`` naming those that are not there."""
        known = self.all(app) if names else {}
        if missing := [name for name in names if name not in known]:
            raise ToolFailed(
                f"the release needs the secret{'s' if len(missing) > 1 else ''} {', '.join(missing)}: "
                f"`factory host secret ENVIRONMENT {app} {missing[0]}` on this machine"
            )
        return {name: known[name] for name in names}

    def _locked(self) -> AbstractContextManager[None]:
        return files.locked(files.private_folder(self._folder) / ".lock")

    def all(self, app: str) -> Mapping[str, str]:
        """Return every secret of an app, by name."""
        path = self._folder / f"{app}.json"
        return data.read(dict[str, str], files.read_bytes(path), source=str(path)) if path.exists() else {}

    def _write(self, app: str, secrets: Mapping[str, str]) -> None:
        files.write_atomic(self._folder / f"{app}.json", data.write(dict(secrets)), mode=0o600)
