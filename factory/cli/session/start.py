"""``factory session start``: a worktree and a brief for one's own work, with one's own agent in the terminal."""

import sys
from pathlib import Path

import click

from factory.cli import output
from factory.cli.current import current
from factory.errors import InvalidInput
from factory.instance import person_remote
from factory.operations import own_session
from factory.policies.folder import read_folder
from factory.policies.model import Policies
from factory.sandbox import launch
from factory.system import process

_PROMPT = f"Read the file {own_session.BRIEF}, then begin."


@click.command()
@click.argument("issue", metavar="ISSUE|TEXT")
@click.option("--mine", is_flag=True, required=True, help="Work yourself, with your own tools, login and settings.")
@click.option("--agent", metavar="NAME", help="Start this agent's own interface in the worktree, supervised by you.")
@output.as_json
def command(issue: str, mine: bool, agent: str | None, as_json: bool) -> None:
    """Start work of your own on an issue, or on a TEXT that becomes one, in a worktree beside this clone.

    The agent runs as you do: no sandbox, your login and your settings. `factory propose` commits what is left in the
    worktree, and the evidence says that the work was supervised.
    """
    del mine
    workspace = current()
    clone, remote = person_remote.clone_of(workspace), person_remote.remote(workspace)
    rules = read_folder(clone.path)
    program = _program(rules, agent) if agent else ""
    found = own_session.opened(workspace.connection(), issue)
    made = own_session.start(clone, found, rules, remote=remote, agent=agent or "")
    place = _shown(made.path)
    output.say(f"#{found.iid} {found.title} · worktree {place} · brief in {own_session.BRIEF}")
    ran = False
    if program and sys.stdin.isatty():
        prepared = launch.supervised((program, _PROMPT), cwd=made.path, env=made.env)
        process.attended(prepared.argv, cwd=prepared.cwd, env=prepared.env)
        ran = True
    step = "" if ran or not program else f'{program} "{_PROMPT}" && '
    value = {"issue": found.iid, "worktree": str(made.path), "branch": made.current(), "agent": agent or "", "ran": ran}
    output.one(value, json_wanted=as_json, text=f"  next: cd {place} && {step}factory propose")


def _program(rules: Policies, agent: str) -> str:
    """Return the program of an agent's own interface; raises ``InvalidInput`` if policy knows none."""
    found = rules.agents.agents.get(agent)
    if found is None or not found.terminal:
        known = sorted(name for name, item in rules.agents.agents.items() if item.terminal)
        raise InvalidInput(f"no agent {agent!r} has an interface of its own", hint=f"Use one of {', '.join(known)}.")
    return found.terminal[0]


def _shown(folder: Path) -> str:
    return f"../{folder.name}" if folder.parent == Path.cwd().parent else str(folder)
