"""The stub over HTTP, in each of the three APIs."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import requests

from factory.errors import PortInUse
from factory.local_model import server
from factory.local_model.script import Call, Fail, Garbage, Hang, Run, Say, Step, Usage, Write

SCRIPTS: dict[str, tuple[Step, ...]] = {
    "work": (Say("I run it. "), Run("make", Usage(40, 4, cached=8)), Write("d/a.txt", "one\n"), Say("Built.")),
    "mcp": (Call("done", {"summary": "s"}),),
    "limited": (Fail(429, retry_after=7),),
    "broken": (Garbage(),),
    "slow": (Hang(0.2), Say("late")),
}
PARAMETERS = {"type": "object", "properties": {"cmd": {"type": "string"}}}


@pytest.fixture(scope="module")
def stub() -> Iterator[server.Server]:
    with server.running(lambda prompt: SCRIPTS.get(prompt, ())) as running:
        yield running


def post(stub: server.Server, path: str, body: Mapping[str, Any], **headers: str) -> Any:
    return requests.post(stub.url + path, json=body, headers=headers, timeout=30)


def events(text: str) -> list[Any]:
    lines = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: ")]
    return [json.loads(line) for line in lines if line != "[DONE]"]


def responses_body(prompt: str, results: int = 0, *, stream: bool = False) -> dict[str, Any]:
    items: list[Any] = [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": prompt}]}]
    items += [{"type": "function_call_output", "call_id": "c", "output": "ok"}] * results
    tools = [
        {"type": "function", "name": "exec_command", "parameters": PARAMETERS},
        {"type": "custom", "name": "apply_patch"},
        {"type": "namespace", "name": "mcp__factory__", "tools": [{"type": "function", "name": "done"}]},
    ]
    return {"model": "m", "stream": stream, "input": items, "tools": tools}


def messages_body(prompt: str, results: int = 0, *, stream: bool = False) -> dict[str, Any]:
    aside = {"type": "text", "text": "<system-reminder>what else</system-reminder>"}
    messages: list[Any] = [{"role": "user", "content": [aside, {"type": "text", "text": prompt}]}]
    for _ in range(results):
        messages.append(
            {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "Bash", "input": {}}]}
        )
        messages.append({"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t"}, aside]})
    tools = [{"name": name, "input_schema": PARAMETERS} for name in ("Bash", "Write", "mcp__factory__done")]
    return {"model": "m", "stream": stream, "messages": messages, "tools": tools}


def chat_body(prompt: str, results: int = 0, *, stream: bool = False) -> dict[str, Any]:
    messages: list[Any] = [{"role": "system", "content": "s"}, {"role": "user", "content": prompt}]
    messages += [{"role": "tool", "tool_call_id": "c", "content": "ok"}] * results
    tools = [{"type": "function", "function": {"name": name}} for name in ("bash", "write", "factory_done")]
    return {"model": "m", "stream": stream, "messages": messages, "tools": tools}


def test_responses_call_the_tools_that_codex_offers(stub: server.Server) -> None:
    first = post(stub, "/v1/responses", responses_body("work")).json()
    assert first["output"][0]["content"][0]["text"] == "I run it. "
    assert (first["output"][1]["name"], json.loads(first["output"][1]["arguments"])) == (
        "exec_command",
        {"cmd": "make"},
    )
    assert first["usage"]["input_tokens_details"] == {"cached_tokens": 8}
    patch = post(stub, "/v1/responses", responses_body("work", 1)).json()["output"][0]
    assert (patch["type"], "+one" in patch["input"]) == ("custom_tool_call", True)
    done = post(stub, "/v1/responses", responses_body("mcp")).json()["output"][0]
    assert (done["namespace"], done["name"]) == ("mcp__factory__", "done")


def test_responses_stream(stub: server.Server) -> None:
    sent = events(post(stub, "/v1/responses", responses_body("work", stream=True)).text)
    assert sent[0]["type"] == "response.created"
    assert sent[-1]["response"]["usage"]["total_tokens"] == 44
    assert [each["item"]["type"] for each in sent if each["type"] == "response.output_item.done"] == [
        "message",
        "function_call",
    ]


def test_messages_call_the_tools_that_claude_offers(stub: server.Server) -> None:
    first = post(stub, "/v1/messages?beta=true", messages_body("work")).json()
    assert (first["content"][1]["name"], first["content"][1]["input"]["command"]) == ("Bash", "make")
    assert (first["stop_reason"], first["usage"]["cache_read_input_tokens"]) == ("tool_use", 8)
    second = post(stub, "/v1/messages", messages_body("work", 1)).json()
    assert second["content"][0]["input"] == {"file_path": "d/a.txt", "content": "one\n"}
    last = post(stub, "/v1/messages", messages_body("work", 2)).json()
    assert (last["content"][0]["text"], last["stop_reason"]) == ("Built.", "end_turn")
    assert post(stub, "/v1/messages", messages_body("mcp")).json()["content"][0]["name"] == "mcp__factory__done"
    assert post(stub, "/v1/messages/count_tokens", messages_body("work")).json() == {"input_tokens": 100}


def test_messages_stream(stub: server.Server) -> None:
    sent = events(post(stub, "/v1/messages", messages_body("work", stream=True)).text)
    assert [each["type"] for each in sent] == [
        "message_start",
        *("content_block_start", "content_block_delta", "content_block_stop") * 2,
        "message_delta",
        "message_stop",
    ]
    assert json.loads(sent[5]["delta"]["partial_json"])["command"] == "make"


def test_chat_calls_the_tools_that_opencode_offers(stub: server.Server) -> None:
    first = post(stub, "/v1/chat/completions", chat_body("work")).json()
    call = first["choices"][0]["message"]["tool_calls"][0]["function"]
    assert (call["name"], json.loads(call["arguments"])["command"]) == ("bash", "make")
    assert first["usage"]["prompt_tokens"] == 40
    done = post(stub, "/v1/chat/completions", chat_body("mcp")).json()["choices"][0]["message"]["tool_calls"][0]
    assert done["function"]["name"] == "factory_done"


def test_chat_streams(stub: server.Server) -> None:
    text = post(stub, "/v1/chat/completions", chat_body("work", 1, stream=True)).text
    sent = events(text)
    assert sent[1]["choices"][0]["delta"]["tool_calls"][0]["function"]["name"] == "write"
    assert sent[-2]["choices"][0]["finish_reason"] == "tool_calls"
    assert text.endswith("data: [DONE]\n\n")


@pytest.mark.parametrize(
    ("path", "body"),
    [("/v1/responses", responses_body), ("/v1/messages", messages_body), ("/v1/chat/completions", chat_body)],
)
def test_failures(stub: server.Server, path: str, body: Any) -> None:
    limited = post(stub, path, body("limited"))
    assert (limited.status_code, limited.headers["Retry-After"]) == (429, "7")
    assert limited.json()["error"]["type"] == "rate_limit_error"
    assert b"\x00" in post(stub, path, body("broken", stream=True)).content
    assert "late" in post(stub, path, body("slow", stream=True)).text


def test_a_model_without_a_fitting_tool_says_so(stub: server.Server) -> None:
    body = {**chat_body("work"), "tools": []}
    assert "no tool is offered" in post(stub, "/v1/chat/completions", body).json()["choices"][0]["message"]["content"]


def test_what_was_asked_is_remembered_without_the_credential(stub: server.Server) -> None:
    post(stub, "/v1/responses", responses_body("work", 1), Authorization="Bearer very-secret")
    seen = stub.requests[-1]
    assert (seen.path, seen.prompt, seen.results, seen.model) == ("/v1/responses", "work", 1, "m")
    assert seen.tools == ("exec_command", "apply_patch", "done")
    assert "secret" not in f"{seen.credential}{seen!r}"
    post(stub, "/v1/responses", responses_body("work"))
    assert stub.requests[-1].credential == server.ABSENT


def test_other_routes(stub: server.Server) -> None:
    models = requests.get(stub.url + "/v1/models", timeout=30)
    assert (models.json()["data"][0]["id"], models.headers["X-Local-Model"]) == ("stub", "stub")
    assert requests.head(stub.url + "/", timeout=30).status_code == 200
    assert post(stub, "/v1/images", {}).status_code == 404
    assert requests.post(stub.url + "/v1/responses", data="not json", timeout=30).status_code == 400


def test_a_port_that_is_taken(stub: server.Server) -> None:
    with pytest.raises(PortInUse), server.running(lambda _: (), port=int(stub.url.rsplit(":", 1)[1])):
        pass


def test_a_prompt_after_an_interrupted_call_begins_anew(stub: server.Server) -> None:
    body = messages_body("work", 1)
    interrupted = {"type": "text", "text": "[Request interrupted by user for tool use]"}
    body["messages"][-1]["content"] += [interrupted, {"type": "text", "text": "slow"}]
    assert post(stub, "/v1/messages", body).json()["content"][0]["text"] == "late"


def test_it_ends_while_a_model_still_thinks() -> None:
    with server.running(lambda _: (Hang(60),)) as running, pytest.raises(requests.Timeout):
        requests.post(running.url + "/v1/responses", json=responses_body("x"), timeout=0.2)
