"""MCP server on standard input and output, for whatever tools it is given.

Newline-delimited JSON-RPC as in the Model Context Protocol 2025-06-18 (modelcontextprotocol.io: Lifecycle, Tools). The
SDK is not used, because it includes a web server and adds half a second to each start.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any

from factory import __version__
from factory.errors import FactoryError

VERSIONS = ("2025-06-18", "2025-03-26", "2024-11-05")

_LINE = 1024 * 1024
_PARSE_ERROR, _INVALID_REQUEST, _NO_METHOD, _INVALID_PARAMS = -32700, -32600, -32601, -32602


@dataclass(frozen=True)
class Tool:
    """One tool: what it is for, and its arguments, all of them texts, by name; ``required`` are those without default.

    ``call`` returns the result as a text; what it raises as ``FactoryError`` is told to the agent as the result.
    ``reads`` tells a client that the tool changes nothing.
    """

    name: str
    about: str
    arguments: Mapping[str, str]
    required: tuple[str, ...]
    call: Callable[[Mapping[str, object]], str]
    reads: bool = False


@dataclass(frozen=True)
class Toolset:
    """The tools of a server, and what it tells an agent about them."""

    instructions: str
    tools: Sequence[Tool]


class _RpcError(Exception):
    """A JSON-RPC error: its code and message."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


def serve(source: IO[bytes], target: IO[bytes], given: Toolset) -> None:
    """Answer one client until its input ends."""
    while line := source.readline(_LINE + 1):
        answer = handle(line, given)
        if answer is not None:
            target.write(json.dumps(answer).encode() + b"\n")
            target.flush()


def handle(line: bytes, given: Toolset) -> dict[str, Any] | None:
    """Return the answer to one message, or ``None`` for a notification, a response or an empty line."""
    if not line.strip():
        return None
    number: Any = None
    try:
        message = _message(line)
        number = message.get("id")
        if "id" not in message or "method" not in message:
            return None
        return {"jsonrpc": "2.0", "id": number, "result": _answer(message["method"], message.get("params"), given)}
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


def _answer(method: str, params: Any, given: Toolset) -> dict[str, Any]:
    request = params if isinstance(params, dict) else {}
    if method == "initialize":
        requested = request.get("protocolVersion")
        return {
            "protocolVersion": requested if requested in VERSIONS else VERSIONS[0],
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "factory", "version": __version__},
            "instructions": given.instructions,
        }
    if method == "ping":
        return {}
    if method == "tools/list":
        return {"tools": [_described(tool) for tool in given.tools]}
    if method == "tools/call":
        return _call(request, given)
    raise _RpcError(_NO_METHOD, "unknown method")


def _described(tool: Tool) -> dict[str, Any]:
    return {
        "name": tool.name,
        "description": tool.about,
        "inputSchema": {
            "type": "object",
            "properties": {name: {"type": "string", "description": about} for name, about in tool.arguments.items()},
            "required": list(tool.required),
            "additionalProperties": False,
        },
        "annotations": {"readOnlyHint": tool.reads},
    }


def _call(params: Mapping[str, Any], given: Toolset) -> dict[str, Any]:
    """Call a tool; invalid arguments are reported as the tool's result, so that the agent can correct them."""
    name, arguments = params.get("name"), params.get("arguments", {})
    tool = next((tool for tool in given.tools if tool.name == name), None)
    if tool is None or not isinstance(arguments, dict):
        raise _RpcError(_INVALID_PARAMS, "unknown tool")
    try:
        text, failed = tool.call(arguments), False
    except FactoryError as error:
        text, failed = str(error), True
    return {"content": [{"type": "text", "text": text}], "isError": failed}
