"""Implements OpenAI's Chat Completions API, which opencode and many other agents use."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from factory.local_model.conversation import Conversation, Tool, ToolCall
from factory.local_model.script import Usage


def read(body: Mapping[str, Any]) -> Conversation:
    """Return the conversation in a request's body."""
    prompt, prompts, results = "", 0, 0
    for message in body.get("messages", []):
        if message.get("role") == "tool":
            results += 1
        elif message.get("role") == "user":
            prompt, prompts, results = _text(message.get("content", "")), prompts + 1, 0
    return Conversation(
        model=str(body.get("model", "")),
        stream=bool(body.get("stream")),
        prompt=prompt,
        prompts=prompts,
        results=results,
        tools=tuple(_tools(body.get("tools") or [])),
    )


def whole(conversation: Conversation, text: str, call: ToolCall | None, usage: Usage) -> Mapping[str, Any]:
    """Return the answer as one object."""
    message: dict[str, Any] = {"role": "assistant", "content": text or None}
    if call:
        message["tool_calls"] = [_call(conversation, call)]
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls" if call else "stop"}
    return {**_head(conversation, "chat.completion"), "choices": [choice], "usage": _usage(usage)}


def events(conversation: Conversation, text: str, call: ToolCall | None, usage: Usage) -> Iterator[bytes]:
    """Yield the answer as server-sent events."""
    deltas: list[Mapping[str, Any]] = [{"role": "assistant", "content": ""}]
    if text:
        deltas.append({"content": text})
    if call:
        deltas.append({"tool_calls": [{"index": 0, **_call(conversation, call)}]})
    head = _head(conversation, "chat.completion.chunk")
    for delta in deltas:
        yield _event({**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
    reason = "tool_calls" if call else "stop"
    yield _event({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})
    yield _event({**head, "choices": [], "usage": _usage(usage)})
    yield b"data: [DONE]\n\n"


def failure(kind: str, message: str) -> Mapping[str, Any]:
    """Return the body of an error response."""
    return {"error": {"message": message, "type": kind, "param": None, "code": kind}}


def _head(conversation: Conversation, kind: str) -> Mapping[str, Any]:
    return {"id": f"chatcmpl-{conversation.call_id}", "object": kind, "created": 0, "model": conversation.model}


def _call(conversation: Conversation, call: ToolCall) -> Mapping[str, Any]:
    function = {"name": call.tool.name, "arguments": call.text}
    return {"id": conversation.call_id, "type": "function", "function": function}


def _usage(usage: Usage) -> Mapping[str, Any]:
    return {
        "prompt_tokens": usage.input,
        "completion_tokens": usage.output,
        "total_tokens": usage.input + usage.output,
        "prompt_tokens_details": {"cached_tokens": usage.cached},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning},
    }


def _event(data: Mapping[str, Any]) -> bytes:
    return f"data: {json.dumps(data)}\n\n".encode()


def _tools(offered: list[Any]) -> Iterator[Tool]:
    for tool in offered:
        function = tool.get("function") or {}
        if "name" in function:
            yield Tool(function["name"], (function.get("parameters") or {}).get("properties") or {})


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "".join(part.get("text", "") for part in content if isinstance(part, dict))
