"""The MCP tools with which an agent at work requests writes; the factory applies them after its turn."""

from collections.abc import Callable, Mapping
from dataclasses import fields
from functools import partial

from factory.agents import outputs
from factory.agents.outputs import KINDS, Request
from factory.errors import InvalidInput
from factory.system.mcp import Tool, Toolset

Ask = Callable[[Request], None]

_INSTRUCTIONS = (
    "Use these tools to request what you may not do yourself: a comment or label on your issue, a question, a "
    "follow-up issue. The factory checks requests against policy and applies them after your turn; you get no answer "
    "during your turn."
)
_ABOUT: Mapping[str, str] = {
    "comment": "Request a comment on the issue that you work on.",
    "question": "Ask a person, instead of guessing; end your turn afterwards.",
    "label": "Request a label that policy allows, on the issue that you work on.",
    "follow_up": "Request a new issue about something that is not part of this issue.",
    "done": "Report that the work is done, and what proves it.",
    "blocked": "Report that the work cannot be done, and what blocks it.",
}
_FIELDS: Mapping[str, str] = {
    "why": "The reason for this request, in one line.",
    "text": "The text; it is shown literally, without markup.",
    "label": "The label's name.",
    "title": "The issue's title: letters, digits and plain punctuation.",
    "id": "An id for this request: equal requests with one id are applied once. Default: a hash of the content.",
}


def tools(ask: Ask) -> Toolset:
    """Return the tools; ``ask`` receives the request of each call."""
    return Toolset(_INSTRUCTIONS, [_tool(kind, ask) for kind in KINDS])


def _tool(kind: str, ask: Ask) -> Tool:
    names = [field.name for field in fields(KINDS[kind])]
    required = tuple(name for name in names if name != "id")
    return Tool(kind, _ABOUT[kind], {name: _FIELDS[name] for name in names}, required, partial(_request, kind, ask))


def _request(kind: str, ask: Ask, arguments: Mapping[str, object]) -> str:
    said = {name: value for name, value in arguments.items() if name not in {"kind", "why", "id"}}
    why, name = arguments.get("why"), arguments.get("id")
    if not isinstance(why, str) or not isinstance(name, str | None):
        raise InvalidInput("why is missing, or why or id is no text")
    request = outputs.compose(kind, said, why=why, name=name)
    ask(request)
    return f"Request {request.id} recorded; the factory checks it after your turn."
