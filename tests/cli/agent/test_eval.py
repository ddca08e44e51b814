"""Records a session, and replays the recording in an evaluation with the same resulting tree."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from factory.agents import recording
from factory.workflow.session import brief
from tests.instances import Instance, founded
from tests.servers import git

pytestmark = [pytest.mark.long, pytest.mark.matrix(4, group="flows")]

SET = """
recordings: recordings
issues:
  - name: again
    title: Greet a visitor by name
    text: Visitors who give a name should be greeted by it.
    spec: hello
    check: [python, -m, pytest, apps, -m, contract, -p, "no:cacheprovider", -p, "no:schemathesis"]
"""
SMALL = """
issues:
  - {name: known, title: Say which standard the service keeps, text: "- it is named", small: true, gates: [lint]}
  - {name: unknown, title: Do what was never recorded, text: "- it is done", small: true}
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    instance = founded(tmp_path_factory.mktemp("eval"))
    yield instance
    instance.run("down", check=False)


def write_set(made: Instance, name: str, text: str) -> Path:
    folder = made.clone / "docs/evals" / name
    (folder / "recordings").mkdir(parents=True)
    (folder / "issues.yml").write_text(text)
    return folder


@pytest.mark.slow
def test_a_session_recorded_and_played_again_gives_the_same_tree(made: Instance, tmp_path: Path) -> None:
    number = str(made.json("issue", "new", "Greet a visitor by name", "--spec", "hello")["iid"])
    made.run("work", "--once", "--issue", number)
    session = made.json("session", "list")[0]["session"]
    folder = write_set(made, "again", SET)
    made.run("session", "record", session, "--output", str(folder / "recordings/again.json"))
    found = recording.read((folder / "recordings/again.json").read_bytes(), source="again")
    assert (found.spec, found.title, found.session) == ("hello", "Greet a visitor by name", session)
    assert [item.reason for item in found.attempts] == ["done_for_review", "done_for_review"]
    by = found.attempts[0].made_by
    assert by is not None
    assert (by.agent, by.brief) == ("replay", brief.version())
    assert found.attempts[0].turns[-1].usage == recording.Tokens(18220, 940)

    report = made.json("eval", "docs/evals/again", "--keep", str(tmp_path / "kept"))
    (ran,) = report["outcomes"]
    assert (ran["result"], ran["attempts"], ran["tokens"]) == ("passed", 2, 26710), ran
    kept = json.loads((tmp_path / "kept/sessions/eval1/attempt-2/turn.json").read_text())
    again = git("rev-parse", f"{kept['head']}^{{tree}}", cwd=tmp_path / "kept/mirror-HEAD.git").stdout
    head = made.json("session", "show", session)[-1]["head"]
    assert again == git("rev-parse", f"{head}^{{tree}}", cwd=made.folder() / "mirror.git").stdout


def test_variants_are_compared_on_passed_and_failed_issues(made: Instance) -> None:
    write_set(made, "small", SMALL)
    other = made.clone / "other.md.j2"
    other.write_text(brief.shipped() + "\nThink first.\n")
    done = made.run("eval", "docs/evals/small", "--brief", "shipped", "--brief", "other.md.j2", "--record")
    assert "replay · brief other.md.j2 minus replay · brief shipped:" in done.stdout
    assert "rate: +0.00" in done.stdout
    assert "no significant difference" in done.stdout
    assert "unknown, run 1: failed: blocked: " in done.stdout
    results = {json.loads(path.read_text())["brief"] for path in (made.clone / "docs/evals/results").iterdir()}
    assert results == {brief.version(), brief.version(other.read_text())}
    assert git("status", "--porcelain", "apps", cwd=made.clone).stdout == ""


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--agent", "nobody"), "there is no agent 'nobody'"),
        (("--model", "gpt"), "the agent replay has no model"),
        (("--brief", "missing.md"), "cannot read missing.md"),
        (("--agent", "replay", "--agent", "replay"), "two variants have the same name"),
    ],
)
def test_what_cannot_be_compared_is_refused_before_anything_runs(
    made: Instance, options: tuple[str, ...], told: str
) -> None:
    folder = made.clone / "docs/evals/small"
    if not folder.exists():
        write_set(made, "small", SMALL)
    refused = made.run("eval", "docs/evals/small", *options, check=False)
    assert refused.returncode == 3
    assert told in refused.stderr
    assert "run 1" not in refused.stderr
