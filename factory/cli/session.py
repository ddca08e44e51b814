"""``factory session``: sessions and what an agent did in them."""

import json
from dataclasses import asdict
from pathlib import Path

import click

from factory.cli import output
from factory.cli.factory_context import make
from factory.cli.workplace import current
from factory.errors import NotFound
from factory.system import files
from factory.workflow import serve

_STDERR_LINES = 20


@click.group()
def command() -> None:
    """List sessions and show what an agent did."""


@command.command(name="list")
@output.as_json
def list_(as_json: bool) -> None:  # noqa: FBT001 - click passes flags so
    """List the newest session of each issue that was ever claimed."""
    context = make(current(), holder="", say=output.say)
    context.fetch()
    found = [asdict(item) | {"state": "released" if item.released else "held"} for item in serve.sessions(context)]
    columns = ("session", "issue", "state", "holder", "token", "expires_at")
    output.rows(found, columns, json_wanted=as_json, empty="no sessions")


@command.command()
@click.argument("session")
@output.as_json
def show(session: str, as_json: bool) -> None:  # noqa: FBT001 - click passes flags so
    """Show a session's attempts: why each ended and what it used."""
    found = []
    for folder in sorted(_folder(session).glob("attempt-*")):
        turn = folder / "turn.json"
        made = (
            json.loads(files.read_text(turn)) if turn.exists() else {"reason": "unfinished", "head": None, "usage": {}}
        )
        usage = made["usage"].get("total_tokens", "")
        found.append({"attempt": folder.name.removeprefix("attempt-"), "tokens": usage, **made})
    output.rows(found, ("attempt", "reason", "head", "tokens"), json_wanted=as_json, empty="no attempts")


@command.command()
@click.argument("session")
@output.as_json
def logs(session: str, as_json: bool) -> None:  # noqa: FBT001 - click passes flags so
    """Show what the agent was told, said, asked for and did."""
    events = [
        {"attempt": path.parent.name.removeprefix("attempt-"), **json.loads(line)}
        for path in sorted(_folder(session).glob("attempt-*/transcript.jsonl"))
        for line in files.read_text(path).splitlines()
    ]
    for path in sorted(_folder(session).glob("attempt-*/stderr.log")):
        number = path.parent.name.removeprefix("attempt-")
        said = path.read_text(errors="replace").splitlines()[-_STDERR_LINES:]
        events += [{"attempt": number, "time": " " * 19, "event": "stderr", "text": line} for line in said]
    text = "\n".join(f"{event['attempt']}  {event['time'][11:19]}  {_line(event)}" for event in events)
    output.one(events, json_wanted=as_json, text=text or "nothing was recorded")


def _folder(session: str) -> Path:
    folder = current().state / "sessions" / session
    if not session.isalnum() or not folder.is_dir():
        raise NotFound(f"there is no session {session} on this machine")
    return folder


def _line(event: dict[str, object]) -> str:
    kind = event["event"]
    if kind == "update":
        update = event["update"]
        if isinstance(update, dict):
            content = update.get("content")
            text = content.get("text", "") if isinstance(content, dict) else ""
            return f"{update.get('sessionUpdate')}  {update.get('title') or text or update.get('status') or ''}".strip()
    if kind == "prompt":
        return "brief given"
    told = {key: value for key, value in event.items() if key not in {"attempt", "time", "event"} and value}
    return f"{kind}  " + "  ".join(f"{key}={value}" for key, value in told.items())
