"""Agents that take too much, do not stop, cheat or break: each ends within our limits, for a reason that is true."""

import json
import resource
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from factory.agents import token_costs
from factory.agents.attempt_limits import Bounds
from factory.agents.provider import Provider
from factory.agents.task import Ending
from factory.agents.token_costs import Rates
from factory.model.agent import Reason
from factory.system import process
from tests.agents.peer import BOUNDS, named, run
from tests.servers import wait_for

TOOLS = (
    "for turn in range(100):\n  tool(f'{number}-{turn}'); time.sleep(0.02)\n"
    "  if cancels.is_set(): stop = 'cancelled'; break"
)
HEEDS = "while not cancels.is_set(): time.sleep(0.02)\nstop = 'cancelled'"
WRAPS_UP = f"if number == 1:\n  say('working')\n  {HEEDS.splitlines()[0]}\n  stop = 'cancelled'\nelse: say('saved')"
DEAF = "while True: time.sleep(0.05); tool(str(time.time()))"


def prompts(events: list[Any]) -> list[str]:
    return [event["text"] for event in named(events, "prompt")]


@pytest.mark.parametrize(
    ("bounds", "reason", "limit"),
    [
        (replace(BOUNDS, turn_seconds=5, warn_percent=10), Reason.TIMED_OUT, "5 s"),
        (replace(BOUNDS, tokens=100, warn_percent=10), Reason.BUDGET_EXHAUSTED, "10 % of 100 tokens"),
        (replace(BOUNDS, usd_micros=1000, warn_percent=10), Reason.BUDGET_EXHAUSTED, "10 % of 0.00 US dollars"),
    ],
    ids=["time", "tokens", "money"],
)
def test_near_a_limit_an_agent_saves_its_work_and_ends(
    tmp_path: Path, bounds: Bounds, reason: Reason, limit: str
) -> None:
    provider = Provider()
    provider.answered(1, 200, {})
    provider.said(1, b'{"usage": {"input_tokens": 40, "output_tokens": 9}}')
    provider.done(1)
    rates = Rates(10, 10, 10)
    ended, events = run(tmp_path, WRAPS_UP, bounds=bounds, provider=provider, rates=rates)
    assert ended.reason is reason
    assert limit in ended.detail
    assert "workingsaved" in ended.message
    assert ended.resume == "s"
    assert len(prompts(events)) == 2
    assert "near a limit" in prompts(events)[1]


def test_tool_calls_are_counted_by_us_and_wrap_up_begins_before_the_last(tmp_path: Path) -> None:
    what = f"if number == 1:\n  {TOOLS.replace(chr(10), chr(10) + '  ')}\nelse: say('saved')"
    ended, events = run(tmp_path, what, bounds=replace(BOUNDS, turns=40, warn_percent=50))
    assert (ended.reason, ended.message) == (Reason.TURN_LIMIT, "saved")
    assert 20 <= ended.calls <= 40
    assert len(prompts(events)) == 2


@pytest.mark.long
@pytest.mark.parametrize("what", [DEAF, f"{HEEDS}\nif number == 2:\n  {DEAF}"], ids=["at once", "in wrapping up"])
def test_an_agent_that_does_not_heed_is_ended_within_its_grace(tmp_path: Path, what: str) -> None:
    began = time.monotonic()
    ended, _ = run(tmp_path, what, bounds=replace(BOUNDS, turn_seconds=2, warn_percent=30))
    assert ended.reason is Reason.TIMED_OUT
    assert time.monotonic() - began < 45
    assert ended.resume == "s"


def test_a_person_who_cancels_is_heeded_at_once_and_nothing_more_is_asked(tmp_path: Path) -> None:
    what = f"permit(toolCallId='1', title='x', kind='execute', rawInput={{'command': 'git push'}})\nsay('on')\n{HEEDS}"
    said: list[object] = []
    began = time.monotonic()

    def tick() -> Ending | None:
        said.append(None)
        return (Reason.CANCELLED_BY_HUMAN, "cancel by me") if len(said) > 4 else None

    ended, events = run(tmp_path, what, bounds=replace(BOUNDS, grace_seconds=90), tick=tick)
    assert (ended.reason, ended.detail) == (Reason.CANCELLED_BY_HUMAN, "cancel by me")
    assert len(prompts(events)) == 1
    assert time.monotonic() - began < 45


def test_an_agent_cannot_say_that_a_person_cancelled_it(tmp_path: Path) -> None:
    ended, _ = run(tmp_path, "stop = 'cancelled'")
    assert ended.reason is Reason.CRASHED


def test_an_agent_that_ends_where_it_is_refused_is_told_and_goes_on(tmp_path: Path) -> None:
    what = """
if number == 1:
    given = permit(toolCallId="1", title="x", kind="execute", rawInput={"command": ["git", "push"]})
    stop = "cancelled" if given == "n" else "end_turn"
else: say(text)
"""
    ended, events = run(tmp_path, what)
    assert ended.reason is Reason.DONE_FOR_REVIEW
    assert "git push" in ended.message
    assert "refused" in prompts(events)[1]


def test_an_agent_that_asks_for_what_is_refused_again_and_again_ends(tmp_path: Path) -> None:
    what = "permit(toolCallId='1', title='x', kind='execute', rawInput={'command': 'git push'}); stop = 'cancelled'"
    ended, events = run(tmp_path, what)
    assert ended.reason is Reason.BLOCKED
    assert len(prompts(events)) < 10


@pytest.mark.parametrize(
    ("told", "asked", "given"),
    [
        ({"kind": "execute", "rawInput": {"command": "git push"}}, {}, "n"),
        ({"kind": "execute", "rawInput": {"command": "ls"}}, {}, "y"),
        ({"kind": "edit", "locations": [{"path": "policies/x"}]}, {}, "n"),
        ({"kind": "edit", "locations": [{"path": "a"}]}, {}, "y"),
        ({"kind": "other", "rawInput": {"server": "factory", "tool": "done"}}, {"kind": "execute"}, "y"),
        ({}, {"kind": "edit"}, "n"),
        ({}, {"kind": "edit", "locations": [{"path": "a"}, {"path": "/etc/x"}]}, "n"),
        ({}, {"kind": "edit", "locations": [{"path": "a\0"}]}, "n"),
    ],
)
def test_requests_that_name_the_call_alone(
    tmp_path: Path, told: dict[str, object], asked: dict[str, object], given: str
) -> None:
    what = f"tool('7', **{told!r})\nopen('given', 'w').write(permit(toolCallId='7', **{asked!r}) or '')"
    run(tmp_path, what)
    assert (tmp_path / "work/given").read_text() == given


FLOODS = {
    "one line": "sys.stdout.write('x' * (1 << 27))",
    "lines": "line = 'x' * 1000 + '\\n'\nwhile True: sys.stdout.write(line * 1000)",
    "updates": "while True: say('x' * 1000)",
    "tools": "import itertools\nfor n in itertools.count(): tool(str(n))",
    "errors": "while True: sys.stderr.write('x' * 1000000)",
    "requests": "for n in range(10**9): send({'id': n, 'method': 'no/such', 'params': {}})",
    "names": "while True: send({'method': 'x' * 100000, 'params': {}})",
}


@pytest.mark.long
@pytest.mark.parametrize("flood", FLOODS)
def test_a_flood_is_stopped_soon_and_costs_us_little_memory(tmp_path: Path, flood: str) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.monotonic()
    ended, events = run(tmp_path, FLOODS[flood], bounds=replace(BOUNDS, output_bytes=8_000_000, turn_seconds=90))
    assert ended.reason is Reason.CRASHED, ended
    assert time.monotonic() - began < 60
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000
    assert events[-1]["event"] == "end"
    assert (tmp_path / "errors").stat().st_size < 2_000_000_000


def test_an_agent_that_does_not_read_our_answers_is_ended(tmp_path: Path) -> None:
    what = "for n in range(10**9): send({'id': n, 'method': 'no/such', 'params': {}})"
    ended, _ = run(tmp_path, what, before="answers.put = lambda answer: time.sleep(9999)")
    assert ended.reason is Reason.CRASHED


GARBAGE = [
    "print('\\x00' * 100, flush=True); time.sleep(5)",
    "sys.stdout.buffer.write(bytes(range(256)) * 10 + b'\\n'); sys.stdout.flush(); time.sleep(1)",
    "print('5', flush=True)",
    "print('[]', flush=True)",
    "print('[' * 100000, flush=True)",
    'print(\'{"jsonrpc": "2.0", "id": [], "result": 1}\', flush=True)',
    "send({'id': name, 'result': 7}); time.sleep(5)",
    "send({'id': name, 'error': 'no object'}); time.sleep(5)",
    "send({'id': name, 'error': {'code': 'x', 'message': ['y'] * 10000}}); time.sleep(5)",
    "send({'method': 'session/update', 'params': None})",
    "send({'method': 'session/update', 'params': {'sessionId': 's', 'update': {'sessionUpdate': 'nonsense'}}})",
    "send({'id': 5, 'method': 'terminal/create', 'params': {}})",
    "usage = {'totalTokens': -5, 'inputTokens': -5, 'outputTokens': -5}",
]


@pytest.mark.long
@pytest.mark.parametrize("what", GARBAGE)
def test_garbage_ends_soon_for_a_reason_of_ours(tmp_path: Path, what: str) -> None:
    ended, events = run(tmp_path, what, bounds=replace(BOUNDS, silence_seconds=1.5))
    assert ended.reason in {Reason.CRASHED, Reason.STALLED, Reason.DONE_FOR_REVIEW}
    assert len(ended.detail) < 1000
    assert all(value >= 0 for value in ended.usage.values())
    assert events[-1]["event"] == "end"


@pytest.mark.parametrize(
    ("told", "usd"),
    [
        # Apart from the input, as the total says; within it; more than it, so that it cannot be within it.
        ("'totalTokens': 170, 'inputTokens': 30, 'cachedReadTokens': 40, 'cachedWriteTokens': 80", 30 + 4 + 100 + 60),
        ("'totalTokens': 120, 'inputTokens': 100, 'cachedReadTokens': 40, 'cachedWriteTokens': 20", 40 + 4 + 25 + 60),
        ("'totalTokens': 0, 'inputTokens': 10, 'cachedReadTokens': 40", 10 + 4 + 60),
        ("'totalTokens': 57, 'inputTokens': 30, 'thoughtTokens': 7", 30 + 81),
        ("'totalTokens': 50, 'inputTokens': 30, 'thoughtTokens': 7", 30 + 60),
    ],
)
def test_what_an_agent_reports_as_cached_is_priced(tmp_path: Path, told: str, usd: int) -> None:
    ended, _ = run(tmp_path, f"usage = {{{told}, 'outputTokens': 20}}")
    assert ended.source == "agent"
    assert token_costs.cost(ended.usage, Rates(1.0, 0.1, 3.0)) == usd


HISTORY = """
CAPABILITIES = {"loadSession": LOAD, "sessionCapabilities": RESUME}
def replay():
    for n in range(200): tool(f"old-{n}"); say("old")
"""


@pytest.mark.parametrize(
    ("load", "resume"), [("True", "{}"), ("True", '{"resume": {}}'), ("False", '{"resume": {}}'), ("False", "{}")]
)
def test_what_a_resumed_agent_tells_of_its_past_is_not_counted(tmp_path: Path, load: str, resume: str) -> None:
    before = HISTORY.replace("LOAD", load).replace("RESUME", resume)
    ended, events = run(tmp_path, "tool('new'); say('new')", before=before, resume="old")
    assert ended.resume == ("s" if (load, resume) == ("False", "{}") else "old")
    assert (ended.calls, ended.message) == (1, "new")
    assert len(named(events, "tool")) == 1


def test_an_agent_that_cannot_resume_begins_anew(tmp_path: Path) -> None:
    before = HISTORY.replace("RESUME", "{}").replace("LOAD", "True").replace("for n", "raise SystemExit\n    for n")
    answer = "send({'id': name, 'error': {'code': -32002, 'message': 'no'}})"
    refuses = f"CAPABILITIES = {{'loadSession': True}}\ndef replay(): {answer}"
    ended, events = run(tmp_path, "say('new')", before=refuses, resume="gone")
    assert (ended.reason, ended.resume) == (Reason.DONE_FOR_REVIEW, "s")
    assert "cannot resume gone" in named(events, "notice")[0]["text"]
    assert run(tmp_path, "say('new')", before=before, resume="gone")[0].reason is Reason.CRASHED


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (401, Reason.AUTH_FAILED),
        (429, Reason.PROVIDER_LIMITED),
        (500, Reason.PROVIDER_LIMITED),
        (400, Reason.CRASHED),
        (0, Reason.PROVIDER_LIMITED),
    ],
)
def test_an_agent_that_claims_success_where_its_model_failed(tmp_path: Path, status: int, reason: Reason) -> None:
    provider = Provider()
    if status:
        provider.answered(1, status, {"retry-after": "3"})
        provider.done(1)
    else:
        provider.unreachable("it does not answer")
    ended, _ = run(tmp_path, "say('all done')", provider=provider)
    assert ended.reason is reason
    assert "the model's provider" in ended.detail
    assert bool(ended.reset_at) is (reason is Reason.PROVIDER_LIMITED)


def test_an_agent_that_waits_for_a_provider_without_end_is_not_waited_for(tmp_path: Path) -> None:
    provider = Provider()
    provider.answered(1, 429, {"retry-after": "600"})
    ended, _ = run(tmp_path, HEEDS, provider=provider)
    assert ended.reason is Reason.PROVIDER_LIMITED


@pytest.mark.parametrize("claimed", ["None", "{'totalTokens': 1, 'inputTokens': 1, 'outputTokens': 0}"])
def test_spending_without_reporting_ends_by_the_estimate(tmp_path: Path, claimed: str) -> None:
    provider = Provider()

    def tick() -> None:
        provider.asked(4000)
        provider.answered(1, 200, {})
        provider.said(1, b"x" * 400)
        provider.done(1)

    ended, _ = run(
        tmp_path,
        f"usage = {claimed}\n{HEEDS}",
        bounds=replace(BOUNDS, tokens=5000, warn_percent=100),
        provider=provider,
        tick=tick,
    )
    assert (ended.reason, ended.source) == (Reason.BUDGET_EXHAUSTED, "estimate")
    assert ended.usage["total_tokens"] > 5000


def test_an_agent_without_a_model_of_ours_is_estimated_by_what_it_says_and_what_it_reports_is_taken(
    tmp_path: Path,
) -> None:
    ended, _ = run(tmp_path, "while True: say('x' * 1000); time.sleep(0.01)", bounds=replace(BOUNDS, tokens=20_000))
    assert (ended.reason, ended.source) == (Reason.BUDGET_EXHAUSTED, "estimate")
    told = "usage = {'totalTokens': 0, 'inputTokens': 30, 'outputTokens': 12}"
    ended, _ = run(tmp_path, told)
    assert (ended.usage["input_tokens"], ended.source) == (30, "agent")


@pytest.mark.long
def test_time_in_which_a_person_holds_the_agent_counts_for_nothing(tmp_path: Path) -> None:
    began = time.monotonic()
    what = "say('on')\nfor n in range(10): open('beats', 'a').write('x'); time.sleep(0.1)"
    held: list[int] = []

    def paused() -> bool:
        holds = 1 < time.monotonic() - began < 4.5
        beats = tmp_path / "work/beats"
        if holds and beats.exists():
            held.append(beats.stat().st_size)
        return holds

    ended, events = run(tmp_path, what, bounds=Bounds(3.2, 2, 10_000), paused=paused)
    assert ended.reason is Reason.DONE_FOR_REVIEW, ended
    assert [event["text"] for event in named(events, "notice")] == ["paused", "resumed"]
    assert not held or held[-1] <= held[0] + 1


def test_what_ends_a_held_agent_ends_it(tmp_path: Path) -> None:
    def tick() -> Ending | None:
        return (Reason.CANCELLED_BY_HUMAN, "x") if wished else None

    wished: list[int] = []

    def paused() -> bool:
        wished.append(1)
        return len(wished) < 3

    assert run(tmp_path, DEAF, paused=paused, tick=tick)[0].reason is Reason.CANCELLED_BY_HUMAN


def test_an_agent_whose_child_holds_its_pipes_is_known_to_be_gone(tmp_path: Path) -> None:
    what = (
        "import subprocess, os\nchild = subprocess.Popen(['sleep', '120'], start_new_session=True)\n"
        "open('child', 'w').write(str(child.pid))\nos._exit(7)"
    )
    began = time.monotonic()
    try:
        ended, _ = run(tmp_path, what)
    finally:
        process.signal_process(int((tmp_path / "work/child").read_text()), force=True)
    assert (ended.reason, ended.detail) == (Reason.CRASHED, "the agent ended with 7")
    assert time.monotonic() - began < 45


def test_a_pipe_and_a_huge_file_do_not_hold_us(tmp_path: Path) -> None:
    what = """
import os
os.mkfifo("pipe")
with open("huge", "wb") as file: file.truncate(10**12)
os.symlink("circle", "circle")
asked = [ask("fs/read_text_file", {"sessionId": "s", "path": path}) for path in ("pipe", "huge", "circle", "no", ".")]
asked.append(ask("fs/write_text_file", {"sessionId": "s", "path": "pipe", "content": "x"}))
open("answers", "w").write(json.dumps(["error" in answer for answer in asked]))
"""
    ended, _ = run(tmp_path, what)
    assert ended.reason is Reason.DONE_FOR_REVIEW
    assert json.loads((tmp_path / "work/answers").read_text()) == [True] * 6


def test_nothing_is_left_of_an_agent_that_takes_no_leave(tmp_path: Path) -> None:
    what = (
        "import os, signal, subprocess\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "child = subprocess.Popen(['sh', '-c', 'trap : TERM HUP; sleep 60'])\n"
        f"open('pids', 'w').write(f'{{os.getpid()}} {{child.pid}}')\n{DEAF}"
    )
    run(tmp_path, what, bounds=replace(BOUNDS, turn_seconds=1, grace_seconds=0.3))
    pids = (tmp_path / "work/pids").read_text().split()
    wait_for(lambda: not any(process.started_at(int(pid)) for pid in pids))


def test_what_the_peer_sends_reaches_no_log(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    asks = "send({'id': 1, 'method': 'fs/read_text_file', 'params': {'sessionId': 's', 'path': 'planted\\0'}})"
    run(tmp_path, f"{asks}\nprint('planted', flush=True)\nsend({{'method': 'planted', 'params': 5}})\ntime.sleep(0.2)")
    assert "planted" not in "".join(capfd.readouterr())


def test_our_own_files_are_all_that_is_open_afterwards(tmp_path: Path) -> None:
    run(tmp_path, "pass")
    before = len(list(Path("/proc/self/fd").iterdir()))
    run(tmp_path, "sys.exit(3)")
    run(tmp_path, "pass")
    assert len(list(Path("/proc/self/fd").iterdir())) <= before
