"""MCP server on standard input and output: its tools let an agent request writes.

Newline-delimited JSON-RPC as in the Model Context Protocol 2025-06-18 (modelcontextprotocol.io: Lifecycle, Tools). The
SDK is not used, because it includes a web server and adds half a second to each start.
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


class _RpcError(Exception):
    """A JSON-RPC error: its code and message."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


def serve(source: IO[bytes], target: IO[bytes], ask: Ask) -> None:
    """Answer one client until its input ends; ``ask`` receives the request of each tool call."""
    while line := source.readline(_LINE + 1):
        answer = handle(line, ask)
        if answer is not None:
            target.write(json.dumps(answer).encode() + b"\n")
            target.flush()


def handle(line: bytes, ask: Ask) -> dict[str, Any] | None:
    """Return the answer to one message, or ``None`` for a notification, a response or an empty line."""
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
        raise _RpcError(_INVALID_REQUEST, f"the message is longer than {_LINE} bytes")
    try:
        message = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise _RpcError(_PARSE_ERROR, "the message is not valid JSON") from error
    wrong = not isinstance(message, dict) or message.get("jsonrpc") != "2.0"
    if wrong or not isinstance(message.get("id", 0), int | str) or not isinstance(message.get("method", ""), str):
        raise _RpcError(_INVALID_REQUEST, "the message is not a JSON-RPC 2.0 request")
    return dict(message)


def _answer(method: str, params: Any, ask: Ask) -> dict[str, Any]:
    request = params if isinstance(params, dict) else {}
    if method == "initialize":
        requested = request.get("protocolVersion")
        return {
            "protocolVersion": requested if requested in VERSIONS else VERSIONS[0],
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "factory", "version": __version__},
            "instructions": _INSTRUCTIONS,
        }
    if method == "ping":
        return {}
    if method == "tools/list":
        return {"tools": [_tool(kind) for kind in KINDS]}
    if method == "tools/call":
        return _call(request, ask)
    raise _RpcError(_NO_METHOD, "unknown method")


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
    """Make a request; invalid arguments are reported as the tool's result, so that the agent can correct them."""
    kind, arguments = params.get("name"), params.get("arguments", {})
    if not isinstance(kind, str) or kind not in KINDS or not isinstance(arguments, dict):
        raise _RpcError(_INVALID_PARAMS, "unknown tool")
    said = {name: value for name, value in arguments.items() if name not in {"kind", "why", "id"}}
    try:
        if "why" not in arguments:
            raise InvalidInput("why is missing")
        request = outputs.compose(kind, said, why=arguments["why"], name=arguments.get("id"))
        ask(request)
    except FactoryError as error:
        return {"content": [{"type": "text", "text": str(error)}], "isError": True}
    text = f"Request {request.id} recorded; the factory checks it after your turn."
    return {"content": [{"type": "text", "text": text}], "isError": False}
