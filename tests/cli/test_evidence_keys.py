"""Three machines record evidence of one project, one of them is lost, and a stranger verifies it: real commands."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.test_refusals import connect, url
from tests.instances import Instance, founded, name_agent
from tests.servers import ROOT, git, wait_for

pytestmark = [pytest.mark.long, pytest.mark.matrix(4, group="flows")]
REFUSED, EXHAUSTED = 5, 15


class Machine:
    """One machine: a clone and a home of its own, and the words before its commands."""

    def __init__(self, instance: Instance, *words: str) -> None:
        self.instance, self.words = instance, words

    def run(self, *arguments: str, check: bool = True, **more: Any) -> Any:
        return self.instance.run(*self.words, *arguments, check=check, **more)

    def json(self, *arguments: str) -> Any:
        return self.instance.json(*self.words, *arguments)

    def works(self) -> Any:
        """Claim a new issue, whose budget is too small for an attempt: that records a claim."""
        number = str(self.json("issue", "new", "Greet a visitor by name", "--spec", "hello")["iid"])
        return self.run("work", "--once", "--issue", number, check=False)

    def size(self) -> int:
        """Return the size of the log that this machine verifies."""
        return int(self.json("evidence", "verify")["size"])


@pytest.fixture
def first(tmp_path: Path) -> Iterator[Instance]:
    def small_budgets(clone: Path) -> None:
        budgets = clone / "policies/budgets.yml"
        budgets.write_text(budgets.read_text().replace("issue: {tokens: 6000000", "issue: {tokens: 50000"))
        name_agent(clone, "factory-bot")

    made = founded(tmp_path / "first", change=small_budgets)
    yield made
    made.run("down", check=False)


@pytest.fixture
def merge(first: Instance) -> Callable[[Any], None]:
    """Return what a person does with a merge request whose pipeline has passed."""
    project = connect(url(first.folder()), "operator", first.folder()).projects.get("factory/control")

    def merged(proposed: Any) -> None:
        found = project.mergerequests.get(proposed["merge_request"])
        over = {"success", "failed"}
        pipeline = wait_for(lambda: [item for item in found.pipelines.list() if item.status in over])[0]
        jobs = project.pipelines.get(pipeline.id).jobs.list(get_all=True)
        said = {job.name: project.jobs.get(job.id).trace()[-2000:] for job in jobs if job.status == "failed"}
        assert pipeline.status == "success", said
        found.approve()
        status = wait_for(lambda: project.mergerequests.get(found.iid).detailed_merge_status)
        assert status == "mergeable"
        found.merge()

    return merged


def cloned(first: Instance, folder: Path) -> Instance:
    """Return a clone of the project in a home of its own."""
    made = Instance(folder / "clone", folder / "state")
    git("clone", "-q", str(first.folder() / "gitlab/repositories/1.git"), str(made.clone), cwd=ROOT)
    for name in (".venv", ".tools"):
        (made.clone / name).symlink_to(ROOT / name)
    return made


def connected(first: Instance, folder: Path) -> Machine:
    made = Machine(cloned(first, folder), "--instance", "gitlab")
    tokens = first.folder() / "tokens"
    for more, account in (((), "operator"), (("--bot",), "factory-bot")):
        arguments = ("connect", url(first.folder()), "--project", "factory/control", "--yes", *more)
        made.run(*arguments, stdin=(tokens / account).read_text().strip())
    return made


def test_machines_are_enrolled_and_lost_and_everything_still_verifies(
    first: Instance, merge: Callable[[Any], None], tmp_path: Path
) -> None:
    laptop = Machine(first)
    assert laptop.works().returncode == EXHAUSTED
    before = laptop.size()
    assert before > 0

    tower = connected(first, tmp_path / "second")
    told = tower.works()
    assert told.returncode == REFUSED, told.stderr
    assert "evidence keys enrol" in told.stderr
    early = tower.run("evidence", "keys", "enrol", "--name", "tower", check=False)
    assert "another machine's key has recorded" in early.stderr

    merge(laptop.json("evidence", "keys", "enrol", "--name", "laptop"))
    merge(tower.json("evidence", "keys", "enrol", "--name", "tower"))
    assert tower.works().returncode == EXHAUSTED
    assert laptop.works().returncode == EXHAUSTED, "both go on"
    both = laptop.size()
    assert both == tower.size() > before

    merge(tower.json("evidence", "keys", "rotate", "tower"))
    assert tower.works().returncode == EXHAUSTED
    rows = {row["name"]: row for row in tower.json("evidence", "keys", "list")}
    assert rows["tower"]["until"] == rows["tower-2"]["from"] == both
    assert rows["tower-2"]["here"], "the new key is in use without another command"

    phone = connected(first, tmp_path / "third")
    merge(phone.json("evidence", "keys", "enrol", "--name", "phone", "--instead-of", "laptop"))
    assert phone.works().returncode == EXHAUSTED
    lost = laptop.works()
    assert lost.returncode == REFUSED, "the lost machine's key signs no more"
    assert "evidence keys" in lost.stderr
    assert phone.size() == tower.size() > both

    stranger = Machine(cloned(first, tmp_path / "stranger"))
    shown = stranger.json("evidence", "verify")
    assert shown["passed"], shown
    assert shown["size"] == phone.size()
    trust = tmp_path / "trust.json"
    trust.write_text(stranger.run("evidence", "trust").stdout)
    shutil.rmtree(tmp_path / "third")
    elsewhere = cloned(first, tmp_path / "elsewhere")
    assert elsewhere.json("evidence", "verify", "--from", str(elsewhere.clone), "--trust", str(trust))["passed"]


def test_nobody_takes_a_key_out_of_the_file(first: Instance, merge: Callable[[Any], None], tmp_path: Path) -> None:
    merge(Machine(first).json("evidence", "keys", "enrol", "--name", "laptop"))
    clone, judge = cloned(first, tmp_path / "mine").clone, cloned(first, tmp_path / "judge").clone
    text = (clone / "policies/trust.yml").read_text()
    for name, changed in (("since", text.replace("since: 0", "since: 9")), ("gone", "")):
        path = clone / "policies/trust.yml"
        assert changed != text
        path.write_text(changed) if changed else path.unlink()
        git("commit", "-qam", f"Change the keys: {name}", cwd=clone)
        done = Instance(clone, tmp_path / "home").run("gate", "run", "--judge", str(judge), check=False)
        assert "scope.trust" in done.stdout + done.stderr, done
        git("reset", "-q", "--hard", "HEAD~1", cwd=clone)
