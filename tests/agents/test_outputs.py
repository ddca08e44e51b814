"""What agents ask for: every odd line is refused with a reason, and every request is judged by policy's caps."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factory.agents import outputs
from factory.agents.outputs import Caps, EarlierRequest
from factory.checks.leaks import shapes
from factory.errors import InvalidInput

CAPS = Caps(
    most={"comment": 2, "question": 1, "label": 2, "follow_up": 1, "done": 1, "blocked": 1},
    labels=frozenset({"kind::bug", "kind::docs"}),
    characters=100,
)
COMMENT = {"kind": "comment", "why": "because", "text": "hello"}


def line(**fields: Any) -> bytes:
    return json.dumps(COMMENT | fields).encode() + b"\n"


def asked(kind: str = "comment", name: str | None = None, why: str = "because", **said: str) -> outputs.Request:
    return outputs.compose(kind, said, why=why, name=name)


def reasons(*requests: outputs.Request, applied: dict[str, EarlierRequest] | None = None) -> list[str]:
    found = outputs.admit(requests, CAPS, applied or {}, leaks=shapes)
    return [item.reason or item.result for item in found]


def test_what_is_composed_and_appended_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "outputs"
    made = [
        asked(text="one\ntwo"),
        asked("question", text="Which?"),
        asked("label", label="kind::bug"),
        asked("follow_up", title="Greet in Dutch", text="Later."),
        asked("done"),
        asked("blocked", name="mine"),
    ]
    assert outputs.read(path) == outputs.RequestFile()
    for request in made:
        outputs.append(path, request)
    assert outputs.read(path) == outputs.RequestFile(tuple(made))
    assert made[-1].id == "mine"
    assert {request.kind for request in made} == set(outputs.KINDS)


def test_a_request_is_named_by_its_content_and_counts_once(tmp_path: Path) -> None:
    path = tmp_path / "outputs"
    for why in ("first", "again"):
        outputs.append(path, asked(text="same", why=why))
    outputs.append(path, asked(text="same", name="another"))
    assert [request.why for request in outputs.read(path).requests] == ["first", "because"]


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        (b"no json", "Expecting value"),
        (b"[1]", "not a JSON object"),
        (b"[" * 60_000, "recursion"),
        (b'{"kind": ' + b"1" * 5000 + b"}", "digits"),
        (b'{"kind": "comment", "kind": "done", "why": "x"}', "duplicate key"),
        (b'{"kind": NaN}', "NaN is not valid JSON"),
        (b"\xff\xfe", "decode"),
        (line(text="x" * 70_000), "longer than 65536 bytes"),
        (line(text="x" * 20_001), "1 to 20000 characters"),
        (line(kind="merge"), "kind must be one of comment"),
        (line(kind=["comment"]), "kind must be one of"),
        (line(issue=5), "must have exactly the fields"),
        (line(**{"\ud800": "x"}), "must have exactly the fields"),
        (line(kind="done"), "must have exactly the fields"),
        (line(text=None), "text must be a string"),
        (line(text=" \n "), "text must have 1"),
        (line(text="\ud800"), "invisible character"),
        (line(text="a\u202eb"), "invisible character"),
        (line(text="a\U000e0041"), "invisible character"),
        (line(text="a\ufe01"), "invisible character"),
        (line(text="\x1b[2J"), "invisible character"),
        (line(why=""), "why must have 1"),
        (line(why="a\nb"), "why contains an invisible"),
        (line(why="x" * 301), "1 to 300"),
        (line(id="--> <b>"), "id must be"),
        (line(id=7), "id must be"),
        (line(id="x" * 65), "id must be"),
    ],
)
def test_a_line_that_is_no_request_is_refused_and_the_others_count(bad: bytes, told: str) -> None:
    found = outputs.parse(line() + bad.rstrip(b"\n") + b"\n" + line(text="other"))
    assert [request.said()["text"] for request in found.requests if isinstance(request, outputs.Comment)] == [
        "hello",
        "other",
    ]
    assert [refusal.line for refusal in found.refusals] == [2]
    assert told in found.refusals[0].reason
    assert len(found.refusals[0].reason) <= 200
    assert found.refusals[0].reason.isascii()


def test_an_id_stands_for_one_request() -> None:
    found = outputs.parse(line(id="a") + line(id="a", text="other"))
    assert len(found.requests) == 1
    assert found.refusals[0].reason == "its id names another request"


def test_links_pipes_and_huge_files_are_bounded(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(line(text="glpat-aaaaaaaaaaaaaaaaaaaa"))
    (tmp_path / "link").symlink_to(secret)
    os.mkfifo(tmp_path / "pipe")
    for name in ("link", "pipe"):
        found = outputs.read(tmp_path / name)
        assert found.requests == ()
        assert "not a regular file" in found.refusals[0].reason
    with (tmp_path / "huge").open("wb") as file:
        file.write(line())
        file.truncate(1024**3)
    found = outputs.read(tmp_path / "huge")
    assert len(found.requests) == 1
    assert "too large" in found.refusals[0].reason
    found = outputs.parse(b"".join(line(text=str(number)) for number in range(500)))
    assert len(found.requests) == 100
    assert len(found.refusals) == 1


@given(st.binary(max_size=400))
def test_any_bytes_are_read_without_an_error(data: bytes) -> None:
    found = outputs.parse(data + b"\n" + line())
    assert found.requests[-1].why == "because"
    assert outputs.parse(data + b"\n" + line()) == found


@given(st.dictionaries(st.sampled_from(["id", "kind", "why", "text", "x"]), st.text() | st.none() | st.integers()))
def test_any_object_is_a_request_or_refused(value: dict[str, Any]) -> None:
    found = outputs.parse(json.dumps(value).encode())
    assert len(found.requests) + len(found.refusals) == 1


def test_caps_count_what_was_applied_before() -> None:
    three = [asked(text=str(number)) for number in range(3)]
    assert reasons(*three) == ["admitted", "admitted", "more than 2 of kind comment in one session"]
    applied = {three[0].id: EarlierRequest("comment", three[0].digest())}
    assert reasons(*three, applied=applied) == ["repeated", "admitted", "more than 2 of kind comment in one session"]
    assert reasons(asked("done"), asked("done", name="again")) == [
        "admitted",
        "more than 1 of kind done in one session",
    ]
    nothing = Caps({}, frozenset(), 100)
    assert outputs.admit([asked(text="x")], nothing, {})[0].result == "refused"


def test_an_applied_id_cannot_come_to_mean_something_else() -> None:
    applied = {"a": EarlierRequest("comment", asked(text="one").digest())}
    assert reasons(asked(name="a", text="two"), applied=applied) == ["its id names another request"]


@pytest.mark.parametrize(
    "label", ["factory::ready", "Factory::Ready", "kind::bug,factory::ready", "other", "kind::BUG"]
)
def test_only_listed_labels_are_set(label: str) -> None:
    assert reasons(asked("label", label=label)) == ["policies/outputs.yml does not list this label"]
    assert reasons(asked("label", label="kind::docs")) == ["admitted"]


@pytest.mark.parametrize(
    ("title", "fine"),
    [
        ("Greet in the evening too", True),
        ("Grüße auch abends (später)", True),
        ("Tell @all at once", False),
        ("/close this now", False),
        ("Look at #12 first", False),
        ("<b>Look at this</b>", False),
        ("[Look](http://a)", False),
        ("short", False),
    ],
)
def test_titles_of_follow_ups_are_plain(title: str, fine: bool) -> None:  # noqa: FBT001 - parametrized
    assert (reasons(asked("follow_up", title=title, text="x")) == ["admitted"]) is fine


def test_long_texts_and_secrets_are_refused_without_being_repeated() -> None:
    token = "glpat-" + "a" * 20
    assert reasons(asked(text="x" * 101)) == ["its text is longer than 100 characters"]
    for request in (
        asked(text="x", name=token),
        asked("label", label=token),
        asked(text=f"see\n{token}"),
        asked(text="x", why=token),
        asked("follow_up", title=token, text="x"),
    ):
        assert reasons(request) == ["it contains text that looks like a secret: gitlab-token"]


def test_what_is_composed_wrongly_is_an_error_of_the_caller() -> None:
    with pytest.raises(InvalidInput, match="label must have 1"):
        asked("label", label=" ")
