"""``factory host``: a machine of one's own that runs the releases which the evidence names."""

from collections.abc import Mapping

import click

from factory.cli.lazy import Commands

COMMANDS: Mapping[str, tuple[str, str]] = {
    "run": ("factory.cli.host.run:command", "Run an environment's releases on this machine."),
    "key": ("factory.cli.host.key:command", "Show the key with which this machine says what it runs."),
    "install": ("factory.cli.host.install:command", "Write the systemd units of a host."),
    "doctor": ("factory.cli.host.doctor:command", "Check what this machine lacks to run releases."),
    "logs": ("factory.cli.host.logs:command", "Show what the releases on this machine print."),
    "secret": ("factory.cli.host.secret:command", "Give an app a secret, or show which it has."),
    "backup": ("factory.cli.host.backup:command", "Back up the state of an app."),
    "restore": ("factory.cli.host.restore:command", "Replace the state of an app by a backup."),
    "restart": ("factory.cli.host.restart:command", "Start a release again."),
    "status": ("factory.cli.host.status:command", "Show what this machine runs, and by which evidence."),
}


@click.group(cls=Commands.of(COMMANDS))
def command() -> None:
    """Run releases on a machine of your own, as the evidence says; nothing else can start one."""
