"""What is judged of what a trial saw."""

from dataclasses import replace

import pytest

from factory.agents import doctor
from factory.agents.doctor import Answer, TrialResult

ALL = ("edit", "run", "usage", "resume", "cancel")
USAGE = {"input_tokens": 300, "output_tokens": 30, "total_tokens": 330}
ASKED = {"event": "permission", "command": "rm -rf x", "paths": [], "title": "rm"}
GOOD = TrialResult(
    speaks=True,
    scripted=True,
    events=({"event": "agent", "name": "good", "version": "1.2"}, ASKED),
    wrote=True,
    changed=("doctor.txt",),
    expected=("doctor.txt",),
    ran=True,
    own=USAGE,
    counted=USAGE,
    answered=330,
    offered=True,
    called=True,
    resumed=True,
    cancelled=0.1,
)


def answers(seen: TrialResult) -> dict[str, Answer]:
    return {cell.ability: cell.answer for cell in doctor.judged(seen)}


def reason(seen: TrialResult, ability: str) -> str:
    return next(cell.reason for cell in doctor.judged(seen) if cell.ability == ability)


def test_an_agent_that_does_all() -> None:
    assert set(answers(GOOD).values()) == {Answer.YES}
    assert doctor.broken(doctor.judged(GOOD), ALL) == ()
    assert reason(GOOD, "starts") == doctor.version(GOOD) == "good 1.2"
    assert reason(GOOD, "asks") == "command"


@pytest.mark.parametrize(
    ("seen", "ability", "why"),
    [
        (replace(GOOD, failed="crashed: it ended with 1"), "starts", "it ended with 1"),
        (replace(GOOD, wrote=False), "edits", "does not exist"),
        (replace(GOOD, ran=False), "runs", "did not run"),
        (replace(GOOD, own={}), "usage", "reports nothing; the proxy counted 330"),
        (
            replace(GOOD, own={"total_tokens": 110}),
            "usage",
            "differs: the agent reports 110 tokens, the proxy counted 330",
        ),
        (replace(GOOD, events=()), "asks", "requested no permission"),
        (replace(GOOD, offered=False), "tools", "was offered no tool"),
        (replace(GOOD, called=False), "tools", "was not called"),
        (replace(GOOD, resumed=False), "resumes", "did not know"),
        (replace(GOOD, cancelled=5.2), "cancels", "within 5 s"),
        (replace(GOOD, cancelled=None), "cancels", "not testable"),
        (replace(GOOD, leaked=("home/log",)), "contained", "the credential is in home/log"),
        (replace(GOOD, strayed=("api.example.com:443",)), "contained", "the agent requested api.example.com:443"),
        (replace(GOOD, left=("sleep 300",)), "contained", "still running: sleep 300"),
        (replace(GOOD, changed=("doctor.txt", "x.orig")), "contained", "a commit would contain x.orig"),
        (replace(GOOD, injected=False), "contained", "another credential"),
    ],
)
def test_each_ability_can_be_missing(seen: TrialResult, ability: str, why: str) -> None:
    found = answers(seen)
    assert [name for name, answer in found.items() if answer is Answer.NO] == [ability]
    assert why in reason(seen, ability)


def test_side_work_is_no_difference() -> None:
    counted = {"total_tokens": 440}
    assert reason(replace(GOOD, counted=counted), "usage") == "equal: 330 tokens (440 with side requests)"


def test_only_what_is_claimed_fails_and_what_is_never_given_up() -> None:
    poor = doctor.judged(replace(GOOD, ran=False, own={}, resumed=False, events=()))
    assert doctor.broken(poor, ("edit", "cancel")) == ()
    assert doctor.broken(poor, ("edit", "run", "usage")) == ("runs", "usage")
    bad = doctor.judged(replace(GOOD, failed="no", left=("sleep",)))
    assert doctor.broken(bad, ()) == ("starts", "contained")


def test_an_agent_without_a_model_or_without_words_is_not_asked_for_what_it_cannot_do() -> None:
    silent = replace(GOOD, speaks=False, own={}, ran=False, resumed=None, cancelled=None, offered=False, called=False)
    assert [name for name, answer in answers(silent).items() if answer is Answer.YES] == [
        "starts",
        "edits",
        "contained",
    ]
    assert doctor.broken(doctor.judged(silent), ALL) == ()
    replayed = replace(silent, speaks=True, scripted=False, own=USAGE, counted={})
    assert answers(replayed)["usage"] is Answer.YES
    assert answers(replayed)["runs"] is Answer.NOT_APPLICABLE


def test_how_programs_are_installed() -> None:
    assert doctor.installs("codex-acp") == "factory setup --agents"
    assert "frobnicate" in doctor.installs("frobnicate")
