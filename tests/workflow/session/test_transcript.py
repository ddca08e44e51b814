"""Tests that transcripts are complete, readable after a crash, reproducible and without secrets."""

import base64
import gzip
import json
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from factory.system import process
from factory.workflow.session import redaction, transcript
from tests.servers import ROOT, TOOL_ENV, wait_for

SECRET = 'pä"ss\\wörd/with\n27'
TOKEN = "glpat-" + "a1B2" * 5
KEY = "-----BEGIN RSA PRIVATE KEY-----\n" + base64.b64encode(b"x" * 90).decode() + "\n-----END RSA PRIVATE KEY-----"


def stored(folder: Path, events: list[Any], secrets: tuple[str, ...] = (SECRET,)) -> str:
    with transcript.recording(folder, secrets) as record:
        for event in events:
            record(event)
    return gzip.decompress((folder / transcript.KEPT).read_bytes()).decode()


def test_the_agents_own_session_is_that_of_the_same_agent(tmp_path: Path) -> None:
    assert transcript.own_session(tmp_path, "codex") == ""
    opened = [{"event": "attempt", "agent": "codex"}, {"event": "session", "id": "a"}, {"event": "session", "id": "b"}]
    stored(tmp_path, opened)
    assert transcript.own_session(tmp_path, "codex") == "b"
    assert transcript.own_session(tmp_path, "claude") == ""


def test_an_attempt_that_opened_no_session_has_none(tmp_path: Path) -> None:
    stored(tmp_path, [{"event": "attempt", "agent": "codex"}])
    assert transcript.own_session(tmp_path, "codex") == ""


def leaks(text: str, secret: str) -> bool:
    forms = {secret, json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}
    return any(form in text for form in forms)


@pytest.mark.parametrize(
    "message",
    [
        SECRET,
        f"it is {SECRET}!",
        json.dumps({"key": SECRET}),
        json.dumps({"key": SECRET}, ensure_ascii=False),
        "https://x.example/?key=p%C3%A4%22ss%5Cw%C3%B6rd%2Fwith%0A27",
    ],
)
def test_a_secret_does_not_show_in_any_encoding(tmp_path: Path, message: str) -> None:
    text = stored(
        tmp_path,
        [
            {"event": "message", "text": message, "raw": {message: [{"deep": (message,)}]}},
            {"event": "output", "text": message},
        ],
    )
    assert not leaks(text, SECRET)
    assert "w%C3%B6rd" not in text
    assert text.count("[redacted credential]") >= 4
    assert all(json.loads(line) for line in text.splitlines())


@pytest.mark.parametrize(
    "secret", [TOKEN, KEY, "AKIA" + "A" * 16, "sk-ant-" + "x" * 40, "https://me:secret-word@host/x"]
)
def test_text_with_the_shape_of_a_secret_does_not_show(tmp_path: Path, secret: str) -> None:
    text = stored(
        tmp_path, [{"event": "tool", "id": "1", "raw": {"rawInput": {"command": f"echo '{secret}' > x"}}}], ()
    )
    assert not leaks(text, secret)
    assert json.loads(text)["raw"]["rawInput"]["command"].startswith("echo '")
    assert base64.b64encode(b"x" * 30).decode() not in text


@pytest.mark.parametrize("size", [1, 3, 7])
@pytest.mark.parametrize("secret", [TOKEN, "hunter2-hunter2", "AKIA" + "A" * 16])
def test_a_secret_in_pieces_does_not_show(tmp_path: Path, secret: str, size: int) -> None:
    whole = f"The key is {secret} and that is all of it. "
    pieces = [whole[start : start + size] for start in range(0, len(whole), size)]
    events: list[Any] = [{"event": "message", "text": piece, "raw": {"content": {"text": piece}}} for piece in pieces]
    events.insert(len(events) // 2, {"event": "network", "status": 200})
    text = stored(tmp_path, events, ("hunter2-hunter2",))
    written = [json.loads(line) for line in text.splitlines()]
    message = "".join(str(event["text"]) for event in written if event["event"] == "message")
    raw = "".join(event["raw"]["content"]["text"] for event in written if "raw" in event)
    assert secret not in message + raw
    assert "The key is [redacted" in message
    assert message.endswith("and that is all of it. ")


WORDS = st.lists(st.text(st.sampled_from("ab \n")), max_size=30)


@given(WORDS, st.lists(st.sampled_from(["message", "thought", "tool", "network"]), min_size=30, max_size=30))
def test_events_without_secrets_are_unchanged_and_in_order(pieces: list[str], kinds: list[str]) -> None:
    stream = redaction.Stream(("zzz",))
    events = [
        {"event": kind, "text": piece, "n": n} for n, (kind, piece) in enumerate(zip(kinds, pieces, strict=False))
    ]
    out = [ready for event in events for ready in stream.pass_on(event)] + stream.let_go()
    assert sorted(out, key=lambda event: int(str(event["n"]))) == events
    for kind in ("message", "thought", "tool"):
        assert [event["n"] for event in out if event["event"] == kind] == [e["n"] for e in events if e["event"] == kind]


@given(st.lists(st.integers(1, 5), min_size=1), st.text(st.sampled_from("ab "), max_size=10))
def test_a_secret_in_pieces_of_any_size_does_not_show(cuts: list[int], around: str) -> None:
    whole, pieces = f"{around} hunter2-hunter2 {around}", []
    for size in cuts * 20:
        pieces.append(whole[:size])
        whole = whole[size:]
    stream = redaction.Stream(("hunter2-hunter2",))
    out = [ready for piece in [*pieces, whole] for ready in stream.pass_on({"event": "message", "text": piece})]
    assert "hunter2" not in "".join(str(event["text"]) for event in [*out, *stream.let_go()])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=60)
@given(st.dictionaries(st.text(), JSON, max_size=4), st.text(st.characters(), min_size=3))
def test_any_event_is_returned_without_the_secret(event: dict[str, Any], secret: str) -> None:
    stream = redaction.Stream((secret,))
    out = [*stream.pass_on({**event, "event": "message"}), *stream.let_go()]
    assert len(out) == 1
    assert (
        secret not in str(out[0].get("text", "")).replace("[redacted credential]", "")
        or secret in "[redacted credential]"
    )


def test_a_value_nested_too_deeply_is_replaced(tmp_path: Path) -> None:
    deep: Any = "bottom"
    for _ in range(100_000):
        deep = [deep]
    text = stored(tmp_path, [{"event": "tool", "id": "1", "raw": deep}])
    assert "nested too deeply" in text
    assert "bottom" not in text


@pytest.mark.parametrize("odd", ["a\u2028b", "a\x85b", "a\x0bb\x1cc", "a\ud800b", "a\r\nb"])
def test_other_line_separators_do_not_split_an_event(tmp_path: Path, odd: str) -> None:
    stored(tmp_path, [{"event": "output", "text": odd}, {"event": "end"}])
    found = transcript.events(tmp_path)
    assert [event["event"] for event in found] == ["output", "end"]
    assert found[0]["text"] == odd.replace("\ud800", "?")


def test_equal_content_gives_equal_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / transcript.LIVE).write_bytes(b'{"event": "x"}\n' * 200_000)
        transcript.keep(tmp_path / name)
        transcript.keep(tmp_path / name)
        assert not (tmp_path / name / transcript.LIVE).exists()
    assert (tmp_path / "one" / transcript.KEPT).read_bytes() == (tmp_path / "two" / transcript.KEPT).read_bytes()
    assert len(transcript.events(tmp_path / "one")) == 200_000


def test_a_transcript_is_readable_after_a_crash(tmp_path: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path; from factory.workflow.session import transcript\n"
        f"with transcript.recording(Path({str(tmp_path)!r}), ()) as record:\n"
        "    record({'event': 'message', 'text': 'before é '}); record({'event': 'tool', 'id': '1'})\n"
        "    print('ready', flush=True); time.sleep(60)"
    )
    group = process.start(
        [sys.executable, "-c", script], env={**TOOL_ENV, "PYTHONPATH": str(ROOT)}, stdout=process.PIPE
    )
    assert group.read() == b"ready\n"
    group.kill()
    group.close()
    with (tmp_path / transcript.LIVE).open("ab") as file:
        file.write('{"event": "message", "text": "é'.encode()[:-1])
    assert [event["event"] for event in transcript.events(tmp_path)] == ["message", "tool"]
    transcript.keep(tmp_path)
    assert [event["event"] for event in transcript.events(tmp_path)] == ["message", "tool"]


def test_several_threads_record_whole_lines(tmp_path: Path) -> None:
    with transcript.recording(tmp_path, ()) as record:
        threads = [
            threading.Thread(
                target=lambda n=n: [record({"event": "network", "n": n, "x": "y" * 5000}) for _ in range(50)]
            )
            for n in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(transcript.events(tmp_path)) == 200


def test_events_before_an_exception_are_stored(tmp_path: Path) -> None:
    def fail() -> None:
        with transcript.recording(tmp_path, ()) as record:
            record({"event": "message", "text": "half a wor"})
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert [event["text"] for event in transcript.events(tmp_path)] == ["half a wor"]


def test_tool_calls_are_counted_in_a_growing_transcript(tmp_path: Path) -> None:
    calls = transcript.Calls(tmp_path)
    assert calls.count() == 0
    with transcript.recording(tmp_path, ()) as record:
        for name in ("1", "2", "1"):
            record({"event": "tool", "id": name})
            record({"event": "message", "text": '"event": "tool" '})
        wait_for(lambda: calls.count() == 2)
        with (tmp_path / transcript.LIVE).open("ab") as file:
            file.write(b'{"event": "tool", "id": "3"')
        assert calls.count() == 2
    assert calls.count() == 2


def test_without_a_transcript_there_are_no_events(tmp_path: Path) -> None:
    assert transcript.events(tmp_path) == []
    transcript.keep(tmp_path)
