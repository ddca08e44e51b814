"""The tools by which an agent asks for writes, as an MCP server on standard input and output.

Newline-delimited JSON-RPC as in the Model Context Protocol 2025-06-18 (modelcontextprotocol.io: Lifecycle, Tools); by
hand, because the SDK brings a web server and costs half a second at each start.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import IO, Any

from factory import __version__
from factory.agents import outputs
from factory.agents.outputs import KINDS, Request
from factory.errors import FactoryError, InvalidInput

VERSIONS = ("2025-06-18", "2025-03-26", "2024-11-05")
Ask = Callable[[Request], None]

_LINE = 1024 * 1024
_PARSE_ERROR, _INVALID_REQUEST, _NO_METHOD, _INVALID_PARAMS = -32700, -32600, -32601, -32602
_INSTRUCTIONS = (
    "Ask the factory for what you may not do yourself: a comment or label on your issue, a question, a follow-up "
    "issue. Requests are checked against policy and applied after your turn; nothing is answered during it."
)
_ABOUT: Mapping[str, str] = {
    "comment": "Ask for a comment on the issue you work on.",
    "question": "Ask a person, instead of guessing; end your turn afterwards.",
    "label": "Ask for a label on the issue you work on, one that policy lists.",
    "follow_up": "Ask for a new issue about something that is not part of this one.",
    "done": "Say that the work is done, and how one sees that.",
    "blocked": "Say that the work can't be done, and what is in its way.",
}
_FIELDS: Mapping[str, str] = {
    "why": "Why you ask for this, in one line.",
    "text": "The text; it is shown as it is, without markup.",
    "label": "The label's name.",
    "title": "The issue's title: letters, digits and plain punctuation.",
    "id": "A name for this request, to ask for the same twice; by default its content is its name.",
}


class _RpcError(Exception):
    """A JSON-RPC error: its code and message."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


def serve(source: IO[bytes], target: IO[bytes], ask: Ask) -> None:
    """Answer one client until its input ends; ``ask`` gets each request that a tool call makes."""
    while line := source.readline(_LINE + 1):
        answer = handle(line, ask)
        if answer is not None:
            target.write(json.dumps(answer).encode() + b"\n")
            target.flush()


def handle(line: bytes, ask: Ask) -> dict[str, Any] | None:
    """Return the answer to one message; a notification, a response and an empty line have none."""
    if not line.strip():
        return None
    number: Any = None
    try:
        message = _message(line)
        number = message.get("id")
        if "id" not in message or "method" not in message:
            return None
        return {"jsonrpc": "2.0", "id": number, "result": _answer(message["method"], message.get("params"), ask)}
    except _RpcError as failed:
        return {"jsonrpc": "2.0", "id": number, "error": {"code": failed.code, "message": str(failed)}}


def _message(line: bytes) -> dict[str, Any]:
    if len(line) > _LINE:
        raise _RpcError(_INVALID_REQUEST, f"a message has at most {_LINE} bytes")
    try:
        message = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise _RpcError(_PARSE_ERROR, "the message is no JSON") from error
    wrong = not isinstance(message, dict) or message.get("jsonrpc") != "2.0"
    if wrong or not isinstance(message.get("id", 0), int | str) or not isinstance(message.get("method", ""), str):
        raise _RpcError(_INVALID_REQUEST, "the message is no JSON-RPC 2.0 request")
    return dict(message)


def _answer(method: str, params: Any, ask: Ask) -> dict[str, Any]:
    given = params if isinstance(params, dict) else {}
    if method == "initialize":
        wanted = given.get("protocolVersion")
        return {
            "protocolVersion": wanted if wanted in VERSIONS else VERSIONS[0],
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "factory", "version": __version__},
            "instructions": _INSTRUCTIONS,
        }
    if method == "ping":
        return {}
    if method == "tools/list":
        return {"tools": [_tool(kind) for kind in KINDS]}
    if method == "tools/call":
        return _call(given, ask)
    raise _RpcError(_NO_METHOD, "there is no such method")


def _tool(kind: str) -> dict[str, Any]:
    names = [field.name for field in fields(KINDS[kind])]
    return {
        "name": kind,
        "description": _ABOUT[kind],
        "inputSchema": {
            "type": "object",
            "properties": {name: {"type": "string", "description": _FIELDS[name]} for name in names},
            "required": [name for name in names if name != "id"],
            "additionalProperties": False,
        },
    }


def _call(params: Mapping[str, Any], ask: Ask) -> dict[str, Any]:
    """Make a request; what is wrong with its arguments is told as the tool's result, so that the agent can mend it."""
    kind, given = params.get("name"), params.get("arguments", {})
    if not isinstance(kind, str) or kind not in KINDS or not isinstance(given, dict):
        raise _RpcError(_INVALID_PARAMS, "there is no such tool")
    said = {name: value for name, value in given.items() if name not in {"kind", "why", "id"}}
    try:
        if "why" not in given:
            raise InvalidInput("why is missing")
        request = outputs.compose(kind, said, why=given["why"], name=given.get("id"))
        ask(request)
    except FactoryError as error:
        return {"content": [{"type": "text", "text": str(error)}], "isError": True}
    told = f"Asked for ({request.id}); the factory checks it after your turn."
    return {"content": [{"type": "text", "text": told}], "isError": False}
