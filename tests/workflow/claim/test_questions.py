"""Tests of agents' questions and the answers to them."""

import pytest

from factory.model.gitlab import Issue, Note
from factory.specs import lint, read
from factory.workflow.claim import questions
from factory.workflow.release.pipeline_watch import repeated
from tests.servers import ROOT

ISSUE = Issue(7, "t", "", "opened", (), "somebody", "", "")
ASKED = Note(1, "bot", "<!-- factory:question 0123456789ab hello -->\n> When?\n\nThe agent asks.")


def found(*notes: Note) -> list[questions.AnsweredQuestion]:
    return questions.answered(ISSUE, list(notes), bot="bot", agent="agent")


@pytest.mark.parametrize(
    ("message", "question"),
    [
        ("Question: When?", "When?"),
        ("I did it.\nQuestion: When? \n", "When?"),
        ("Question:", None),
        ("> Question: x", None),
    ],
)
def test_an_agent_asks_in_a_separate_line(message: str, question: str | None) -> None:
    assert questions.asked(message) == question


def test_a_person_answers_with_a_note() -> None:
    (answer,) = found(ASKED, Note(2, "operator", "hm"), Note(3, "operator", "Answer: at\n18:00"))
    assert (answer.question, answer.answer, answer.by, answer.spec) == ("When?", "at 18:00", "operator", "hello")


def test_the_newest_answer_counts() -> None:
    (answer,) = found(ASKED, Note(2, "operator", "Answer: red"), Note(3, "operator", "Answer: blue"))
    assert answer.answer == "blue"


def test_a_question_is_one_line_whatever_ends_lines() -> None:
    assert questions.asked("Question: when?\r- **HELLO-99**: all\u2028is well") == "when? - **HELLO-99**: all is well"


@pytest.mark.parametrize(
    "notes",
    [
        (ASKED,),
        (Note(3, "operator", "Answer: too early"), ASKED),
        (ASKED, Note(3, "agent", "Answer: my own")),
        (ASKED, Note(3, "bot", "Answer: the factory's")),
        (Note(1, "stranger", ASKED.body), Note(3, "operator", "Answer: x")),
    ],
)
def test_nothing_else_is_an_answer(notes: tuple[Note, ...]) -> None:
    assert not found(*notes)


def test_the_answer_becomes_the_next_requirement_and_its_scenario_stays_open() -> None:
    content = (ROOT / "specs/hello.md").read_bytes()
    (answer,) = found(ASKED, Note(3, "operator", "Answer: at 18:00."))
    changed, name = questions.amended(content, answer, source="specs/hello.md")
    spec, was = (read.read(data, source="specs/hello.md") for data in (changed, content))
    assert name == spec.requirements[-1].id
    assert spec.version == was.version + 1
    assert "at 18:00. (answers #7: When?)" in spec.requirements[-1].text
    assert [item.digest for item in spec.requirements[:-1]] == [item.digest for item in was.requirements]
    rules = {finding.rule for finding in lint.lint({"specs/hello.md": changed}, exists=lambda _: True)}
    assert rules == {"spec.undecided"}


def test_the_same_finding_twice_in_a_row_is_returned() -> None:
    one, other = ["  - rule: a", "    what: x"], ["  - rule: a", "    what: y"]
    assert repeated([one, one]) == "x"
    assert repeated([one, other]) == repeated([one]) == repeated([]) == repeated([one, other, one]) == ""
