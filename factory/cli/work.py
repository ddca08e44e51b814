"""``factory work``: delivers, merges and deploys, in a loop or once."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from urllib.parse import urlsplit

import click

from factory.agents import terminal
from factory.cli import output
from factory.cli.current import current, number
from factory.gitlab import issues
from factory.gitlab import webhook as webhooks
from factory.instance import servers, token_expiry
from factory.instance.context import opened
from factory.instance.workspace import Workspace
from factory.policies.folder import read_folder
from factory.secrets import tokens
from factory.workflow import work_loop
from factory.workflow.work_queue import Idle


@click.command()
@click.option("--once", is_flag=True, help="Do one action and exit.")
@click.option("--issue", help="Work only on this issue and its merge request.")
@click.option("--agent", help="The agent of policies/agents.yml (default: policy chooses).")
@click.option("--interactive", is_flag=True, help="Work with the agent in its terminal interface, if it has one.")
@click.option(
    "--webhook",
    type=click.IntRange(1, 65535),
    metavar="PORT",
    help="Listen on 127.0.0.1:PORT for GitLab's webhooks, which trigger a poll.",
)
@output.as_json
def command(
    once: bool,
    issue: str | None,
    agent: str | None,
    interactive: bool,
    webhook: int | None,
    as_json: bool,
) -> None:
    """Deliver the next ready issue, merge approved merge requests, deploy approved plans."""
    workspace = current()
    if workspace.settings.embedded:
        servers.ensure_up(workspace, say=output.say)
    token_expiry.warn(workspace, say=output.say)
    shown = interactive and terminal.capable(workspace.environment.get("TERM", ""))
    if interactive and not shown:
        output.say("this terminal can't show an agent's interface: working without it")
    with opened(workspace, say=output.say, agent=agent, interactive=shown) as (context, engine, held):
        if not once and issue is None and not interactive:
            with _waking(workspace, webhook) as wait:
                work_loop.forever(context, engine, held, stopped=lambda: False, wait=wait)
            return
        done = work_loop.once(context, engine, held, issue=number(issue, "#") if issue else None)
        if issue and isinstance(done, Idle) and not done.waiting:
            found = issues.get(context.bot, number(issue, "#"))
            carried = ", ".join(found.labels) or "no label"
            done = Idle((f"nothing to do: #{found.iid} is {found.state} and carries {carried}",))
    show(done, as_json=as_json, workspace=workspace)


@contextmanager
def _waking(workspace: Workspace, port: int | None) -> Iterator[Callable[[float], bool] | None]:
    """Listen for webhooks if a port is given."""
    if port is None:
        yield None
        return
    hooks = read_folder(workspace.settings.clone).gitlab.hooks or {}
    names = {urlsplit(url).hostname or "" for url in hooks}
    with webhooks.listening(port, tokens.webhook(workspace.token_folder), names=names) as inbox:
        path = workspace.token_folder / tokens.WEBHOOK
        output.say(f"listening for webhooks on 127.0.0.1:{port}; their secret token is in {path}")
        yield inbox.wait


def show(done: work_loop.WorkResult | Idle, *, as_json: bool, workspace: Workspace) -> None:
    """Print what was done, or what the factory waits for."""
    del workspace
    if isinstance(done, Idle):
        text = "; ".join(done.waiting) or "nothing to do: no issue carries the label factory::ready"
        output.one({"action": None, "waiting": list(done.waiting)}, json_wanted=as_json, text=text)
        return
    sign = "#" if done.action.kind == "deliver" else "!"
    value = {"action": done.action.kind, "number": done.action.number, "result": asdict(done.outcome)}
    output.one(value, json_wanted=as_json, text=f"{done.action.kind} {sign}{done.action.number}: done")
