"""``factory infra``: plan and apply stacks, as CI does; what a person does with a state."""

from collections.abc import Mapping

import click

from factory.cli.lazy import Commands

# Jobs call the first ones; each loads what it needs and no more.
COMMANDS: Mapping[str, tuple[str, str]] = {
    "plan": ("factory.cli.infra.plan:plan", "Plan the stacks that the change touches."),
    "apply": ("factory.cli.infra.apply:apply", "Apply a stack's saved plan, only if it is the approved one."),
    "verify": ("factory.cli.infra.check:verify", "Ask every app of a stack for its health, from outside."),
    "return": ("factory.cli.infra.check:go_back", "Give the traffic back to the releases that took it before."),
    "drift": ("factory.cli.infra.drift:drift", "Look for what was changed outside terraform."),
    "locks": ("factory.cli.infra.operator:locks", "Show which states are locked, by whom and until when."),
    "unlock": ("factory.cli.infra.operator:unlock", "Take off a state's lock that its owner left behind."),
    "recover": ("factory.cli.infra.operator:recover", "Look at what an interrupted apply left, and plan anew."),
    "rollback": ("factory.cli.infra.operator:rollback", "Go back to the last verified release."),
    "restore": ("factory.cli.infra.operator:restore", "Bring an earlier version of a state back."),
}


@click.group(cls=Commands.of(COMMANDS))
def command() -> None:
    """Plan, apply and verify infrastructure; unlock, recover and go back."""
