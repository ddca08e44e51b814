"""``factory infra``: CI's commands for stacks, and an operator's commands for states."""

from collections.abc import Mapping

import click

from factory.cli.lazy import Commands

# Jobs call the first five; each command imports only what it needs.
COMMANDS: Mapping[str, tuple[str, str]] = {
    "plan": ("factory.cli.infra.plan:plan", "Plan the stacks that the change touches."),
    "apply": ("factory.cli.infra.apply:apply", "Apply a stack's saved plan, only if it is the approved one."),
    "verify": ("factory.cli.infra.verify:verify", "Check the health of every app of a stack over its hostname."),
    "return": ("factory.cli.infra.return_traffic:return_traffic", "Return the traffic to the previous releases."),
    "drift": ("factory.cli.infra.drift:drift", "Find changes that were made outside terraform."),
    "locks": ("factory.cli.infra.states:locks", "Show which states are locked, by whom and until when."),
    "unlock": ("factory.cli.infra.states:unlock", "Force-release an abandoned state lock."),
    "recover": ("factory.cli.infra.states:recover", "Examine an interrupted apply, and plan again."),
    "rollback": ("factory.cli.infra.states:rollback", "Go back to the last verified release."),
    "add": ("factory.cli.infra.add:add", "Add Terraform and the pipeline that deploys, on a branch."),
    "adopt-zone": ("factory.cli.infra.adopt_zone:adopt_zone", "Use a Cloudflare zone that exists already."),
    "restore": ("factory.cli.infra.states:restore", "Restore an earlier version of a state."),
}


@click.group(cls=Commands.of(COMMANDS))
def command() -> None:
    """Plan, apply and verify infrastructure; unlock, recover and roll back."""
