"""``factory evidence``: lists, verifies and hands on the evidence; each command is loaded only when it is called."""

import click

from factory.cli.lazy import Commands

COMMANDS = {
    "list": ("factory.cli.evidence.statements", "List the statements in the log."),
    "verify": ("factory.cli.evidence.verify", "Verify a merge request's whole chain, or the whole log."),
    "timeline": ("factory.cli.evidence.timeline", "Show what happened to an issue, a merge request or a release."),
    "drift": (
        "factory.cli.evidence.drift",
        "Compare the evidence with GitLab's own records.",
    ),
    "bundle": ("factory.cli.evidence.bundle", "Write an archive that anyone verifies and reads."),
    "trust": ("factory.cli.evidence.trust", "Print the trust root, with which anyone verifies the evidence."),
    "keys": ("factory.cli.evidence.keys", "List and propose the keys that sign evidence."),
}


@click.group(cls=Commands.of(COMMANDS))
def command() -> None:
    """List the evidence, verify it offline, and hand it on."""
