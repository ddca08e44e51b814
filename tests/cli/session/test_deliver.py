"""Delivers unusual issues: small, unclear, with a question, or failing the same way twice."""

import difflib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.instances import Instance, founded
from tests.servers import ROOT

pytestmark = [pytest.mark.long, pytest.mark.matrix(4, group="flows")]

HELLO = "apps/hello/src/hello.py"
USAGE = {"input": 10, "output": 5}


def patch(path: str, old: str, new: str) -> str:
    """Return the patch that replaces a text in a file of this repository."""
    text = (ROOT / path).read_text()
    assert old in text
    before, after = text.splitlines(keepends=True), text.replace(old, new).splitlines(keepends=True)
    return f"diff --git a/{path} b/{path}\n" + "".join(difflib.unified_diff(before, after, f"a/{path}", f"b/{path}"))


def recording(spec: str, title: str, *attempts: dict[str, Any]) -> dict[str, Any]:
    return {"spec": spec, "title": title, "attempts": [{"turns": [{**turn, "usage": USAGE}]} for turn in attempts]}


RECORDINGS = {
    "small": recording(
        "small",
        "Name the standard",
        {"say": "I name it.", "patch": patch(HELLO, "without dependencies", "on Python alone")},
    ),
    "asks": recording("hello", "Greet in the evening", {"say": "Question: When does the evening begin?"}),
    "stuck": recording(
        "hello", "Break it", *[{"say": "Done.", "patch": patch(HELLO, "Hello, world!", "Hi")} for _ in range(3)]
    ),
}


def with_recordings(clone: Path) -> None:
    folder = clone / "docs" / "recordings"
    folder.mkdir(parents=True)
    for name, value in RECORDINGS.items():
        (folder / f"{name}.json").write_text(json.dumps(value))
    agents = clone / "policies" / "agents.yml"
    agents.write_text(agents.read_text().replace("agent, replay]", "agent, replay, --recordings, docs/recordings]"))
    gates = clone / "policies" / "gates.yml"
    at_hand = "".join(f"  {name}: {{where: pipeline, required: true}}\n" for name in ("evidence", "up_to_date"))
    gates.write_text(gates.read_text().replace("gates:\n", f"gates:\n{at_hand}", 1))
    vague = (clone / "specs/hello.md").read_text().replace("id: hello", "id: vague").replace("HELLO-", "VAGUE-")
    assert "are greeted," in vague
    (clone / "specs/vague.md").write_text(vague.replace("are greeted,", "are greeted quickly,"))


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    made = founded(tmp_path_factory.mktemp("deliver"), change=with_recordings)
    yield made
    made.run("down", check=False)


def new(running: Instance, title: str, *options: str) -> str:
    return str(running.json("issue", "new", title, *options)["iid"])


def test_a_small_issue_needs_no_spec_but_a_list(running: Instance) -> None:
    number = new(running, "Name the standard", "--small")
    refused = running.run("work", "--once", "--issue", number, check=False)
    assert refused.returncode == 3
    assert "factory-small" in refused.stderr
    number = new(
        running,
        "Name the standard",
        "--small",
        "--text",
        "- [ ] the first line of hello.py says that it needs Python alone",
    )
    done = running.run("work", "--once", "--issue", number)
    assert "is ready for review" in done.stderr
    shown = running.run("mr", "show", str(running.json("mr", "list")[0]["iid"])).stdout
    assert "names no spec: does the change do what its list says?" in shown


def test_files_of_ended_sessions_are_deleted_after_their_retention(running: Instance) -> None:
    new(running, "Name the standard", "--small", "--text", "- first")
    running.run("work", "--once")
    old = next(running.folder().glob("sessions/*"))
    for path in (*old.iterdir(), old):
        os.utime(path, (1, 1))
    new(running, "Name the standard", "--small", "--text", "- again")
    running.run("work", "--once")
    assert not old.exists()
    assert list(running.folder().glob("sessions/*"))


def test_an_ambiguous_spec_is_reported_on_the_issue(running: Instance) -> None:
    number = new(running, "Greet", "--spec", "vague")
    refused = running.run("work", "--once", "--issue", number, check=False)
    assert refused.returncode == 3
    shown = running.run("issue", "show", number).stdout
    assert "specs/vague.md:13" in shown
    assert "factory::blocked" in shown


def test_an_answer_becomes_a_proposed_change_of_the_spec(running: Instance) -> None:
    number = new(running, "Greet in the evening", "--spec", "hello")
    asked = running.run("work", "--once", "--issue", number, check=False)
    assert asked.returncode == 14, asked.stderr
    assert "When does the evening begin?" in asked.stderr
    running.run("issue", "answer", number, "At 18:00, the server's time.")
    running.run("work", "--once", check=False)
    running.run("work", "--once", check=False)
    proposed = [item for item in running.json("mr", "list") if item["source_branch"].startswith(f"spec/{number}-")]
    assert len(proposed) == 1
    diff = running.run("mr", "diff", str(proposed[0]["iid"])).stdout
    assert "+- **HELLO-5**: At 18:00, the server's time. (answers" in diff
    assert "+version: 4" in diff
    assert proposed[0]["author"] == "factory-bot"


def test_the_same_finding_twice_asks_for_a_sharper_spec(running: Instance) -> None:
    number = new(running, "Break it", "--spec", "hello")
    failed = running.run("work", "--once", "--issue", number, check=False)
    assert failed.returncode == 6, failed.stderr
    shown = running.run("issue", "show", number).stdout
    assert "The same finding came back" in shown
    assert "sharpen it" in shown
    brief = next(running.folder().glob("sessions/*/attempt-3/brief.md")).read_text()
    assert "rule: unit.failed" in brief
    assert "fix: Fix the code" in brief
    log = brief.partition("whole log: ")[2].splitlines()[0]
    assert "Hello, world!" in Path(log).read_text()
