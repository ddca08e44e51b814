"""``factory session``: lists and shows sessions, and lets a person intervene."""

import json
import re
import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path

import click

from factory.agents import events
from factory.cli import output
from factory.cli.current import current
from factory.cli.session import attempt_rows, session_record, start
from factory.errors import Conflict, InvalidInput, NotFound, Refused
from factory.gitlab import accounts, issues
from factory.instance import person_remote
from factory.instance.context import make, opened
from factory.instance.workspace import OPERATOR, Workspace
from factory.model.issue import FrozenIssue
from factory.model.session import Session
from factory.operations import own_session
from factory.policies.folder import read_folder
from factory.system import clock, files
from factory.workflow.claim import lease, sessions
from factory.workflow.context import Context
from factory.workflow.session import control, handover, results, transcript
from factory.workflow.session.control import ControlSignal
from factory.worktrees.repository import Author

_STDERR_LINES = 20
_PAUSE = 0.3
_ATTEMPT = re.compile(r"attempt-([1-9][0-9]*)")


@click.group()
def command() -> None:
    """Start one of your own, list sessions, show what an agent did, and intervene."""


command.add_command(session_record.command, name="record")
command.add_command(start.command, name="start")


@command.command(name="list")
@output.as_json
def list_(as_json: bool) -> None:
    """List the newest session of each claimed issue, and the worktrees of your own sessions."""
    workspace = current()
    context = make(workspace, holder="", say=output.say)
    context.fetch()
    found = [asdict(item) | {"state": _state(item)} for item in sessions.every(context)]
    for worktree, own in own_session.every(person_remote.clone_of(workspace)):
        helper = f"you, with {own.agent}" if own.agent else "you"
        row = {"session": worktree.path.name, "issue": own.issue, "state": "yours", "holder": helper}
        found.append({**row, "token": "", "expires_at": ""})
    columns = ("session", "issue", "state", "holder", "token", "expires_at")
    output.rows(found, columns, json_wanted=as_json, empty="no sessions")


@command.command()
@click.argument("session")
@output.as_json
def show(session: str, as_json: bool) -> None:
    """Show a session's attempts: agent, end reason, tokens, cost, and the lines that a person changed."""
    workspace = current()
    found = attempt_rows.rows(_folder(workspace, session), read_folder(workspace.settings.clone).budgets)
    output.rows(found, ("attempt", "by", "reason", "head", "tokens", "money"), json_wanted=as_json, empty="no attempts")


@command.command()
@click.argument("session")
@click.option("-f", "--follow", is_flag=True, help="Keep printing until the session ends.")
@output.as_json
def logs(session: str, follow: bool, as_json: bool) -> None:
    """Show the agent's prompts, messages, requests and actions."""
    folder = _folder(current(), session)
    shown = _show(folder, 0, as_json=as_json)
    while follow and _at_work(folder):
        time.sleep(_PAUSE)
        shown = _show(folder, shown, as_json=as_json)
    if not shown and not as_json:
        click.echo("nothing was recorded")


@command.command()
@click.argument("session")
def attach(session: str) -> None:
    """Follow a session live: p pauses, r resumes, t takes over, c cancels, d detaches."""
    workspace = current()
    folder = _folder(workspace, session)
    keys = {"p": ControlSignal.PAUSE, "r": ControlSignal.WORK, "t": ControlSignal.TAKEOVER, "c": ControlSignal.CANCEL}
    click.echo("p pause · r resume · t take over · c cancel · d detach", err=True)
    shown = _show(folder, 0, as_json=False)
    while _at_work(folder):
        key = _key()
        if key == "d":
            return
        if key in keys:
            control.send(folder, keys[key], by=_me(workspace)[0])
            click.echo(f"· {keys[key]}", err=True)
        shown = _show(folder, shown, as_json=False)


@command.command()
@click.argument("session")
@output.as_json
def pause(session: str, as_json: bool) -> None:
    """Pause the agent; paused time does not count towards time limits."""
    _tell(session, ControlSignal.PAUSE, as_json=as_json)


@command.command()
@click.argument("session")
@output.as_json
def cancel(session: str, as_json: bool) -> None:
    """End the session and mark the issue as blocked."""
    _tell(session, ControlSignal.CANCEL, as_json=as_json)


@command.command()
@click.argument("session")
@output.as_json
def takeover(session: str, as_json: bool) -> None:
    """End the agent's attempt and work in its worktree yourself."""
    workspace = current()
    _tell(
        session,
        ControlSignal.TAKEOVER,
        as_json=as_json,
        more=f"; the worktree is {_folder(workspace, session) / 'worktree'}",
    )


@command.command(name="hand-back")
@click.argument("session")
@click.option("--done", is_flag=True, help="Propose the change as it is, without the agent.")
@output.as_json
def hand_back(session: str, done: bool, as_json: bool) -> None:
    """Commit your changes under your name, and return the session to the factory."""
    workspace = current()
    folder = _folder(workspace, session)
    with opened(workspace, say=output.say) as (context, _, _):
        context.fetch()
        held, frozen = _lease(context, session)
        if not held.holder.endswith(f"/{lease.PERSON}"):
            raise Conflict(f"session {session} was not taken over", hint=f"Run `factory session takeover {session}`.")
        username, name, email = _me(workspace)
        handed = handover.hand_back(
            context,
            Session(session, held.issue, folder),
            frozen,
            after=_newest(session, folder),
            author=Author(name or username, email),
            done=done,
        )
        control.send(folder, ControlSignal.WORK, by=username)
        free = replace(held, expires_at=clock.timestamp(), token=held.token + 1)
        lease.write(context.mirror, free, frozen, author=context.bot_author, token=context.accounts.bot_token)
    change = f"+{handed.added} -{handed.removed} lines committed as {handed.by}" if handed else "nothing was changed"
    text = f"{change}; continue with `factory work --issue {held.issue}`"
    output.one({"session": session, "handover": asdict(handed) if handed else None}, json_wanted=as_json, text=text)


@command.command()
@click.argument("session")
@output.as_json
def resume(session: str, as_json: bool) -> None:
    """Resume a paused agent, or restart a cancelled session from its last state."""
    workspace = current()
    folder = _folder(workspace, session)
    if control.read(folder).signal is not ControlSignal.CANCEL:
        if not _at_work(folder):
            _refuse_ended(workspace, session)
        _tell(session, ControlSignal.WORK, as_json=as_json)
        return
    with opened(workspace, say=output.say) as (context, _, held_slot):
        context.fetch()
        held, frozen = _lease(context, session)
        if not held.released:
            raise Conflict(f"session {session} is still ending", hint="Wait a moment and run it again.")
        handover.begin_again(Session(session, held.issue, folder), _newest(session, folder))
        control.send(folder, ControlSignal.WORK, by=_me(workspace)[0])
        again = replace(held, released=False, token=held.token + 1, expires_at=clock.timestamp(), not_before="")
        lease.write(context.mirror, again, frozen, author=context.bot_author, token=context.accounts.bot_token)
        labels = context.policies().session.labels
        issues.relabel(context.bot, held.issue, add=[labels.claimed], remove=[labels.blocked])
        del held_slot
    text = f"continue session {session} with `factory work --issue {held.issue}`"
    output.one({"session": session, "issue": held.issue}, json_wanted=as_json, text=text)


def _refuse_ended(workspace: Workspace, session: str) -> None:
    """Raise ``Refused`` if a session ended and waits for no further attempt."""
    context = make(workspace, holder="", say=output.say)
    context.fetch()
    held, _ = _lease(context, session)
    if held.released and not held.not_before:
        raise Refused(f"session {session} has ended", hint=f"See `factory session show {session}`.")


def _newest(session: str, folder: Path) -> int:
    """Return the number of the session's newest attempt that ended; raises ``NotFound`` if none did."""
    found = results.read_all(folder)
    if not found:
        raise NotFound(f"no attempt of session {session} ended on this machine", hint="See `factory session list`.")
    return found[-1].attempt


def _tell(session: str, signal: ControlSignal, *, as_json: bool, more: str = "") -> None:
    workspace = current()
    folder = _folder(workspace, session)
    if not _at_work(folder) and signal is not ControlSignal.WORK:
        raise InvalidInput(f"no agent is working in session {session}", hint="See `factory session list`.")
    sent = control.send(folder, signal, by=_me(workspace)[0])
    text = f"session {session}: {signal} by {sent.by}{more}"
    output.one({"session": session, "signal": signal.value, "by": sent.by}, json_wanted=as_json, text=text)


def _folder(workspace: Workspace, session: str) -> Path:
    folder = workspace.state / "sessions" / session
    if not session.isalnum() or not folder.is_dir():
        raise NotFound(f"there is no session {session} on this machine", hint="List them with `factory session list`.")
    return folder


def _lease(context: Context, session: str) -> tuple[lease.Lease, FrozenIssue]:
    """Return the lease of a session and its frozen issue; raises ``NotFound``."""
    for item in sessions.every(context):
        if item.session == session:
            found = lease.read(context.mirror, item.issue)
            if found is not None:
                return found
    raise NotFound(f"session {session} has no lease of an issue", hint="List them with `factory session list`.")


def _me(workspace: Workspace) -> tuple[str, str, str]:
    return accounts.myself(workspace.connection(OPERATOR))


def _state(item: lease.Lease) -> str:
    if item.released:
        return f"waits until {item.not_before}" if item.not_before else "released"
    return "taken over" if item.holder.endswith(f"/{lease.PERSON}") else "held"


def _attempts(folder: Path) -> list[Path]:
    found = {item: match for item in files.subfolders(folder) if (match := _ATTEMPT.match(item.name))}
    return sorted(found, key=lambda item: (int(found[item][1]), item.name))


def _at_work(folder: Path) -> bool:
    """Return whether an agent is working: an attempt has an open transcript."""
    return any((item / transcript.LIVE).exists() for item in _attempts(folder))


def _show(folder: Path, shown: int, *, as_json: bool) -> int:
    """Print the events after the first ``shown`` ones; return the number of all events."""
    found = [
        {"attempt": item.name.removeprefix("attempt-"), **event}
        for item in _attempts(folder)
        for event in [*transcript.events(item), *_stderr(item)]
    ]
    fresh = found[shown:]
    if as_json:
        click.echo("\n".join(json.dumps(event) for event in fresh), nl=bool(fresh))
        return len(found)
    for event in fresh:
        if line := events.line(event):
            click.echo(output.visible(f"{event['attempt']}  {str(event.get('time', ''))[11:19]:8}  {line}"))
    return len(found)


def _stderr(folder: Path) -> list[Mapping[str, object]]:
    """Return the last lines that an ended agent wrote to standard error."""
    path = folder / "stderr.log"
    if not path.exists() or (folder / transcript.LIVE).exists():
        return []
    lines = path.read_text(errors="replace").splitlines()[-_STDERR_LINES:]
    return [{"event": "stderr", "text": line} for line in lines]


def _key() -> str:
    """Return the first letter of a line typed within a short time, or an empty string."""
    import select  # noqa: PLC0415 - only for `attach`
    import sys  # noqa: PLC0415 - same

    ready, _, _ = select.select([sys.stdin], [], [], _PAUSE)
    return sys.stdin.readline().strip()[:1].lower() if ready else ""
