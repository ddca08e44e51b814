"""Implements Anthropic's Messages API, which Claude Code uses."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from factory.local_model.conversation import Conversation, Tool, ToolCall
from factory.local_model.script import Usage

_ASIDES = ("<system-reminder>", "[Request interrupted by user")


def read(body: Mapping[str, Any]) -> Conversation:
    """Return the conversation in a request's body; user texts that the agent itself adds do not count as prompts."""
    prompt, prompts, results = "", 0, 0
    for message in body.get("messages", []):
        if message.get("role") != "user":
            continue
        content = message.get("content", "")
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
        tool_results = [block for block in blocks if block.get("type") == "tool_result"]
        texts = [block["text"] for block in blocks if block.get("type") == "text"]
        texts = [text for text in texts if not text.lstrip().startswith(_ASIDES)]
        results += len(tool_results)
        if texts:
            prompt, prompts, results = "\n".join(texts), prompts + 1, 0
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
    return {
        "id": f"msg_{conversation.call_id}",
        "type": "message",
        "role": "assistant",
        "model": conversation.model,
        "content": list(_blocks(conversation, text, call)),
        "stop_reason": "tool_use" if call else "end_turn",
        "stop_sequence": None,
        "usage": {
            "input_tokens": usage.input - usage.cached,
            "cache_read_input_tokens": usage.cached,
            "cache_creation_input_tokens": 0,
            "output_tokens": usage.output,
        },
    }


def events(conversation: Conversation, text: str, call: ToolCall | None, usage: Usage) -> Iterator[bytes]:
    """Yield the answer as server-sent events."""
    done = whole(conversation, text, call, usage)
    opened = {**done, "content": [], "stop_reason": None, "usage": {**done["usage"], "output_tokens": 1}}
    yield _event("message_start", {"message": opened})
    for index, block in enumerate(done["content"]):
        if block["type"] == "text":
            empty, delta = {**block, "text": ""}, {"type": "text_delta", "text": block["text"]}
        else:
            empty, delta = (
                {**block, "input": {}},
                {"type": "input_json_delta", "partial_json": call.text if call else ""},
            )
        yield _event("content_block_start", {"index": index, "content_block": empty})
        yield _event("content_block_delta", {"index": index, "delta": delta})
        yield _event("content_block_stop", {"index": index})
    ended = {"stop_reason": done["stop_reason"], "stop_sequence": None}
    yield _event("message_delta", {"delta": ended, "usage": done["usage"]})
    yield _event("message_stop", {})


def failure(kind: str, message: str) -> Mapping[str, Any]:
    """Return the body of an error response."""
    return {"type": "error", "error": {"type": kind, "message": message}}


def _blocks(conversation: Conversation, text: str, call: ToolCall | None) -> Iterator[Mapping[str, Any]]:
    if text:
        yield {"type": "text", "text": text}
    if call:
        yield {"type": "tool_use", "id": f"toolu_{conversation.call_id}", "name": call.tool.name, "input": call.value}


def _event(name: str, data: Mapping[str, Any]) -> bytes:
    return f"event: {name}\ndata: {json.dumps({'type': name, **data})}\n\n".encode()


def _tools(offered: list[Any]) -> Iterator[Tool]:
    for tool in offered:
        if "name" in tool:
            yield Tool(tool["name"], (tool.get("input_schema") or {}).get("properties") or {})
