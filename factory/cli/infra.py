"""``factory infra``: plan and apply stacks, as CI does; what a person does with a state."""

from collections.abc import Mapping

import click

from factory.cli.lazy import Commands

# Jobs call the first ones; each loads what it needs and no more.
COMMANDS: Mapping[str, tuple[str, str]] = {
    "plan": ("factory.cli.infra_plan:plan", "Plan the stacks that the change touches."),
    "apply": ("factory.cli.infra_apply:apply", "Apply a stack's saved plan, only if it is the approved one."),
    "verify": ("factory.cli.infra_check:verify", "Ask every app of a stack for its health, from outside."),
    "return": ("factory.cli.infra_check:go_back", "Give the traffic back to the releases that took it before."),
    "drift": ("factory.cli.infra_drift:drift", "Look for what was changed outside terraform."),
    "locks": ("factory.cli.infra_operator:locks", "Show which states are locked, by whom and until when."),
    "unlock": ("factory.cli.infra_operator:unlock", "Take off a state's lock that its owner left behind."),
    "recover": ("factory.cli.infra_operator:recover", "Look at what an interrupted apply left, and plan anew."),
    "rollback": ("factory.cli.infra_operator:rollback", "Go back to the last verified release."),
    "restore": ("factory.cli.infra_operator:restore", "Bring an earlier version of a state back."),
}


@click.group(cls=Commands.of(COMMANDS))
def command() -> None:
    """Plan, apply and verify infrastructure; unlock, recover and go back."""
