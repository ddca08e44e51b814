"""``factory infra locks|unlock|recover|rollback|restore``: an operator's commands for states, with their account."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

from factory.cli import output
from factory.cli.current import current, number
from factory.gitlab.connect import project_id
from factory.instance.context import make
from factory.instance.workspace import OPERATOR
from factory.model.gitlab import MAIN
from factory.terraform.state import State
from factory.workflow.context import Context
from factory.workflow.release import recovery
from factory.workflow.release import rollback as rollback_plans

_REASON = click.option("--reason", required=True, help="The reason, recorded in the evidence.")


@click.command()
@output.as_json
def locks(as_json: bool) -> None:
    """Show which states are locked, by whom and until when."""
    with _opened() as (context, state_of):
        found = []
        for stack in context.policies().terraform.stacks:
            lock = state_of(stack).holder()
            held = lock.to_json() | {"expires": lock.expires, "expired": lock.expired()} if lock else {}
            found.append(
                {
                    "stack": stack,
                    "locked": lock is not None,
                    "by": held.get("Who", ""),
                    "since": held.get("Created", ""),
                    "until": held.get("expires", ""),
                    "expired": held.get("expired", False),
                }
            )
    columns = ("stack", "locked", "by", "since", "until", "expired")
    output.rows(found, columns, json_wanted=as_json, empty="there are no stacks")


@click.command()
@click.argument("stack")
@_REASON
@click.option("--force", is_flag=True, help="Release the lock even if its job or its owner may still be running.")
@output.as_json
def unlock(stack: str, reason: str, force: bool, as_json: bool) -> None:
    """Force-release an abandoned state lock, after recording its owner, who released it and why."""
    with _opened() as (context, state_of):
        lock = recovery.unlock(context, state_of(stack), stack, by=OPERATOR, reason=reason, force=force)
    output.one(lock.to_json(), json_wanted=as_json, text=f"the state of {stack} is unlocked; {lock.who} held the lock")


@click.command()
@click.argument("merge_request")
@output.as_json
def recover(merge_request: str, as_json: bool) -> None:
    """Examine an interrupted apply, restore its state, and plan main again; apply nothing."""
    with _opened() as (context, state_of):
        found = recovery.recover(context, number(merge_request, "!"), state_of, by=OPERATOR)
    lines = [
        f"job {found.job} ended as {found.phase} in {found.stack}",
        *(f"  done      {address}" for address in found.done),
        *(f"  half done {address}" for address in found.partial),
        *(f"  not done  {address}" for address in found.undone),
        f"state: serial {found.serial_before} before, {found.serial_now} now"
        + (", restored from the job" if found.state_restored else "")
        + (", lock released" if found.unlocked else ""),
        f"pipeline {found.pipeline} plans main again; `factory work --once` then goes on:",
        "  if that plan proves that nothing is left to apply, it closes the issue; else it asks for your approval",
    ]
    output.one(found, json_wanted=as_json, text="\n".join(lines))


@click.command()
@click.option("--to", help="The commit of a verified deployment (default: the last one before the current one).")
@_REASON
@output.as_json
def rollback(to: str | None, reason: str, as_json: bool) -> None:
    """Plan a return to an earlier verified release; it is applied once a person approves it."""
    with _opened() as (context, _):
        now, target, pipeline = rollback_plans.plan(context, to=to, by=OPERATOR, reason=reason)
    value = {"from": now, "to": target, "pipeline": pipeline}
    text = (
        f"pipeline {pipeline} plans from {now[:12]} back to {target[:12]}; "
        "`factory work --once` then asks for your approval"
    )
    output.one(value, json_wanted=as_json, text=text)


@click.command()
@click.argument("stack")
@click.argument("serial", type=click.IntRange(1))
@_REASON
@output.as_json
def restore(stack: str, serial: int, reason: str, as_json: bool) -> None:
    """Write an earlier version of a state, from GitLab's history, as the newest one."""
    with _opened() as (context, state_of):
        newest = recovery.restore(context, state_of(stack), stack, serial, by=OPERATOR, reason=reason)
    value: dict[str, object] = {"stack": stack, "from": serial, "serial": newest}
    text = f"version {serial} of {stack} is now serial {newest}; plan it with `factory pipeline run --ref {MAIN}`"
    output.one(value, json_wanted=as_json, text=text)


@contextmanager
def _opened() -> Iterator[tuple[Context, Callable[[str], State]]]:
    """Return the recorder's context, and a function that opens a stack's state as the operator."""
    workspace = current()
    context = make(workspace, holder="operator", say=output.say)
    token = workspace.token(OPERATOR)
    project = project_id(workspace.connection())

    def state_of(stack: str) -> State:
        address = f"{workspace.url}/api/v4/projects/{project}/terraform/state/{stack}"
        return State(address, username=workspace.username(OPERATOR), token=token)

    yield context, state_of
