"""Implements OpenAI's Responses API, which Codex uses."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from factory.local_model.conversation import Conversation, Tool, ToolCall
from factory.local_model.script import Usage

Event = tuple[str, Mapping[str, Any]]


def read(body: Mapping[str, Any]) -> Conversation:
    """Return the conversation in a request's body."""
    prompt, prompts, results = "", 0, 0
    items = body.get("input", [])
    for item in [{"role": "user", "content": items}] if isinstance(items, str) else items:
        if str(item.get("type", "")).endswith("_call_output"):
            results += 1
        elif item.get("role") == "user":
            prompt, prompts, results = _text(item.get("content", "")), prompts + 1, 0
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
        "id": f"resp_{conversation.call_id}",
        "object": "response",
        "created_at": 0,
        "status": "completed",
        "model": conversation.model,
        "output": list(_items(conversation, text, call)),
        "usage": {
            "input_tokens": usage.input,
            "input_tokens_details": {"cached_tokens": usage.cached},
            "output_tokens": usage.output,
            "output_tokens_details": {"reasoning_tokens": usage.reasoning},
            "total_tokens": usage.input + usage.output,
        },
    }


def events(conversation: Conversation, text: str, call: ToolCall | None, usage: Usage) -> Iterator[bytes]:
    """Yield the answer as server-sent events."""
    done = whole(conversation, text, call, usage)
    begun = {**done, "status": "in_progress", "output": [], "usage": None}
    sent: list[Event] = [("response.created", {"response": begun})]
    for index, item in enumerate(done["output"]):
        sent.append(("response.output_item.added", {"output_index": index, "item": _empty(item)}))
        if item["type"] == "message":
            delta = {"item_id": item["id"], "output_index": index, "content_index": 0, "delta": text}
            sent.append(("response.output_text.delta", delta))
        sent.append(("response.output_item.done", {"output_index": index, "item": item}))
    sent.append(("response.completed", {"response": done}))
    for number, (name, data) in enumerate(sent):
        payload = json.dumps({"type": name, "sequence_number": number, **data})
        yield f"event: {name}\ndata: {payload}\n\n".encode()


def failure(kind: str, message: str) -> Mapping[str, Any]:
    """Return the body of an error response."""
    return {"error": {"message": message, "type": kind, "param": None, "code": kind}}


def _items(conversation: Conversation, text: str, call: ToolCall | None) -> Iterator[dict[str, Any]]:
    if text:
        content = [{"type": "output_text", "text": text, "annotations": []}]
        item = {"type": "message", "id": f"msg_{conversation.call_id}", "role": "assistant", "status": "completed"}
        yield {**item, "content": content}
    if call:
        same = {
            "id": f"item_{conversation.call_id}",
            "call_id": conversation.call_id,
            "name": call.tool.name,
            "status": "completed",
        }
        if call.tool.namespace:
            same["namespace"] = call.tool.namespace
        if call.tool.freeform:
            yield {"type": "custom_tool_call", **same, "input": call.text}
        else:
            yield {"type": "function_call", **same, "arguments": call.text}


def _empty(item: Mapping[str, Any]) -> Mapping[str, Any]:
    blank: dict[str, Any] = {"content": [], "arguments": "", "input": ""}
    return {**item, "status": "in_progress", **{key: value for key, value in blank.items() if key in item}}


def _tools(offered: list[Any], namespace: str = "") -> Iterator[Tool]:
    for tool in offered:
        if tool.get("type") == "namespace":
            yield from _tools(tool.get("tools") or [], tool.get("name", ""))
        elif "name" in tool:
            arguments = (tool.get("parameters") or {}).get("properties") or {}
            yield Tool(tool["name"], arguments, freeform=tool.get("type") == "custom", namespace=namespace)


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "".join(part.get("text", "") for part in content if isinstance(part, dict))
