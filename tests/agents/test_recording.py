"""Recordings are read strictly, written as they are read, and made from what a transcript tells."""

import json
from importlib import resources
from typing import Any

import jsonschema
import pytest

from factory.agents import recording
from factory.agents.outputs import compose
from factory.agents.recording import Attempt, Maker, Recording, Tokens, Turn
from factory.errors import InvalidInput

SCHEMA = recording.schema()
PATCH = "diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n"
FULL = Recording(
    "hello",
    "Greet",
    (
        Attempt(
            (Turn("I look.", ("Read x",)), Turn("I edit.", (), PATCH, Tokens(10, 5, 4, 1))),
            Maker("codex", "codex-acp 2", "gpt", "sha256:1"),
            base="1" * 40,
            reason="done_for_review",
            outputs=(compose("comment", {"text": "Done."}, why="so that it is known"),),
        ),
        Attempt((Turn("Hm."),), question="Why?"),
    ),
    session="abc",
)


def test_what_is_written_is_read_again() -> None:
    assert recording.read(FULL.encode(), source="r") == FULL
    assert FULL.encode().isascii()


@pytest.mark.parametrize(
    "entry",
    [item for item in resources.files("factory.agents.recordings").iterdir() if item.name.endswith(".json")],
    ids=lambda entry: entry.name,
)
def test_those_that_ship_are_right(entry: Any) -> None:
    found = recording.read(entry.read_bytes(), source=entry.name)
    assert recording.read(found.encode(), source="again") == found
    jsonschema.validate(json.loads(entry.read_bytes()), SCHEMA)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda value: value.update(formats=1), "r.json: formats: unknown key"),
        (lambda value: value.update(format=2), "format: Input should be 1"),
        (lambda value: value.pop("title"), "title: is missing"),
        (lambda value: value.update(attempts={}), "attempts: expected a list"),
        (lambda value: value.update(attempts=[]), "attempts: must not be empty"),
        (lambda value: value["attempts"][0].update(turn=1), "attempts.0.turn: unknown key"),
        (lambda value: value["attempts"][0]["turns"][1].update(patch="+++ b/x\n"), "attempts.0.turns.1.patch: a patch"),
        (lambda value: value["attempts"][0]["turns"][1].update(patch=[]), "attempts.0.turns.1.patch: expected a text"),
        (
            lambda value: value["attempts"][0]["turns"][1]["usage"].update(input=-1),
            "usage.input: Input should be greater",
        ),
        (lambda value: value["attempts"][0]["turns"][1]["usage"].update(input=True), "usage.input: expected a whole"),
        (lambda value: value["attempts"][0]["outputs"][0].update(kind="push"), "attempts.0.outputs.0: kind must be"),
        (lambda value: value["attempts"][0]["made_by"].pop("agent"), "attempts.0.made_by.agent: is missing"),
    ],
)
def test_what_does_not_fit_is_named(change: Any, told: str) -> None:
    value = json.loads(FULL.encode())
    jsonschema.validate(value, SCHEMA)
    change(value)
    if "kind" not in told:  # requests have forms of their own
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(value, SCHEMA)
    with pytest.raises(InvalidInput, match=r"^r\.json: ") as caught:
        recording.read(json.dumps(value).encode(), source="r.json")
    assert told in str(caught.value)


@pytest.mark.parametrize("data", [b"", b"\xff", b"[]", b'{"spec": "a", "spec": "b"}', b"[" * 100_000])
def test_what_is_no_recording_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidInput, match=r"^r\.json: "):
        recording.read(data, source="r.json")


def test_a_patch_tells_every_file_that_it_changes() -> None:
    binary = "diff --git a/y z b/y z\nGIT binary patch\n"
    assert recording.paths(PATCH + binary) == ["x", "y z"]
    for hidden in ("--- a/x\n+++ b/x\n", PATCH + 'diff --git "a/\\303" "b/\\303"\n', PATCH + "diff --git a/x b/y\n"):
        with pytest.raises(InvalidInput):
            recording.paths(hidden)


def test_turns_end_where_the_agent_speaks_again_after_a_tool() -> None:
    events = [
        {"event": "prompt", "text": "brief"},
        {"event": "message", "text": "I "},
        {"event": "message", "text": "look."},
        {"event": "tool", "id": "1", "title": "Read x", "status": "pending"},
        {"event": "tool", "id": "1", "title": "", "status": "completed"},
        {"event": "thought", "text": "hm"},
        {"event": "message", "text": "Done.\n"},
    ]
    found = recording.turns(events, patch=PATCH, usage=Tokens(1, 2))
    assert found == (Turn("I look.", ("Read x",)), Turn("Done.", (), PATCH, Tokens(1, 2)))
    assert recording.turns([], patch="", usage=Tokens()) == (Turn(),)


def test_the_longest_title_answers() -> None:
    short, long = (Recording("hello", title, (Attempt((Turn("x"),)),)) for title in ("Greet", "Greet by name"))
    brief = "Attempt: 1\nSpec: hello\n\nGreet by name\n"
    assert recording.fitting([("a", long), ("b", short)], brief) == ("a", long)
    assert recording.fitting([("b", short)], brief.replace("Spec: hello", "Spec: other")) is None


def test_texts_are_cleaned_and_patches_are_not() -> None:
    found = recording.without(FULL, lambda text: text.replace("x", "?").replace("Done", "?"))
    first = found.attempts[0]
    assert first.turns[0].tools == ("Read ?",)
    assert first.turns[1].patch == PATCH
    assert first.outputs[0].said() == {"text": "?."}
