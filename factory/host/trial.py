"""Tries a backup: starts a stored release with the state that the backup has, beside the one that serves."""

import os
from pathlib import Path

from factory.apps import running
from factory.apps.running import RunMachine
from factory.host.app_secrets import AppSecrets
from factory.host.app_state import AppStates
from factory.host.sockets import short_folder
from factory.host.status import HostStatus
from factory.host.supervisor import app_of
from factory.system import files

_SECONDS = 30.0


def release_of(status: HostStatus, app: str) -> str:
    """Return the release of an app that serves: the deployed one, or else one that is ready; empty if there is none."""
    own = [item for item in status.releases if app_of(item.release) == app and item.ready]
    return next((item.release for item in sorted(own, key=lambda item: item.role != "deployed")), "")


def start_with(releases: Path, machine: RunMachine, *, name: str, app: str, backup: Path) -> None:
    """Start a release that is stored below ``releases`` with a backup's state, until it answers; then stop it.

    Raises ``InvalidInput`` for what is no backup of the app, and ``ToolFailed`` if the release does not answer.
    """
    folder = short_folder(releases / "trial" / f"{name}.{os.getpid()}")
    unpacked, place = folder / "release", folder / "place"
    files.remove_tree(unpacked)
    with AppStates(releases, machine).opened(app, backup) as (state, of_backup):
        try:
            manifest = running.unpack(files.read_bytes(releases / f"{name}.archive"), unpacked)
            given = {**AppSecrets(releases).of(app, manifest.secrets), **of_backup}
            started = running.start(
                unpacked, manifest, machine, name=name, place=place, log=folder / "log", variables=given, state=state
            )
            try:
                running.await_health(started, seconds=_SECONDS)
            finally:
                started.stop()
        finally:
            files.remove_tree(folder)
