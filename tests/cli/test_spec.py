"""``factory spec`` in a real repository: write, lint, trace, and messages."""

import json
import os
import pty
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from factory.evidence import sign
from factory.specs.read import read
from factory.system import canonical
from tests.cli import command_line
from tests.evidence.examples import signer
from tests.servers import ROOT, git

SPEC = """---
id: shop
title: The shop
status: decided
version: 1
owner: ada
---

# The shop

## Outcome

People buy things.

## Structure

One program.

## Contract

- **SHOP-1**: it sells.
- **SHOP-2**: it refunds.

## Validation

- SHOP-1: Given stock, When one buys, Then it is sold.
- SHOP-2: Given a sale, When one returns it, Then it is refunded.
"""
TEST = """import pytest


@pytest.mark.spec("SHOP-1")
@pytest.mark.parametrize("n", [1, 2])
def test_sells(n): assert n


class TestRefund:
    @pytest.mark.spec("SHOP-2")
    def test_refunds(self): assert True
"""
JUNIT = """<testsuites><testsuite>
<testcase classname="apps.shop.tests.test_shop" name="test_sells[1]"/>
<testcase classname="apps.shop.tests.test_shop" name="test_sells[2]"/>
<testcase classname="apps.shop.tests.test_shop.TestRefund" name="test_refunds">{}</testcase>
</testsuite></testsuites>"""


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / "policies", tmp_path / "policies")
    for path, text in (
        ("specs/shop.md", SPEC),
        ("apps/shop/tests/test_shop.py", TEST),
        (".factory/claims/unit/junit.xml", JUNIT.format("")),
    ):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    git("init", "-qb", "main", cwd=tmp_path)
    git("add", "specs", "policies", cwd=tmp_path)
    git("commit", "-qm", "Say what the shop does\n\nSpec: shop\nIssue: #1", cwd=tmp_path)
    return tmp_path


def run(folder: Path, *arguments: str, code: int = 0) -> "subprocess.CompletedProcess[str]":
    done = command_line.run(["spec", *arguments], cwd=folder, env={"PATH": os.environ["PATH"]})
    assert done.returncode == code, done.stderr + done.stdout
    assert "Traceback" not in done.stderr
    return done


def test_new_says_which_options_are_missing(repository: Path) -> None:
    assert "missing: ID, --title, --owner" in run(repository, "new", code=3).stderr
    assert "missing: --owner" in run(repository, "new", "x", "--title", "t", code=3).stderr
    assert not (repository / "specs/x.md").exists()


def test_new_writes_once_and_says_what_is_open(repository: Path) -> None:
    done = run(
        repository / "specs", "new", "x", "--title", "t: u", "--owner", "ada", "--requirement", "It runs.", "--json"
    )
    value = json.loads(done.stdout)
    assert value["path"] == "specs/x.md"
    assert {item["rule"] for item in value["open"]} == {"spec.undecided"}
    assert "- **X-1**: It runs." in (repository / "specs/x.md").read_text()
    assert "already exists" in run(repository, "new", "x", "--title", "t", "--owner", "ada", code=7).stderr
    assert "lower-case letters" in run(repository, "new", "../x", "--title", "t", "--owner", "ada", code=3).stderr


def test_new_asks_at_a_terminal(repository: Path) -> None:
    ours, theirs = pty.openpty()
    answers = ["y", "A title", "ada", "", "", "", "It runs.", "Given a, When b, Then c.", ""]
    argv = [sys.executable, "-m", "factory", "spec", "new"]
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    os.write(ours, "".join(f"{line}\n" for line in answers).encode())
    done = subprocess.run(argv, cwd=repository, env=env, stdin=theirs, capture_output=True, text=True, check=False)
    os.close(ours)
    os.close(theirs)
    assert done.returncode == 0, done.stderr
    made = read((repository / "specs/y.md").read_bytes(), source="specs/y.md")
    assert (made.title, made.owner, made.requirements[0].text) == ("A title", "ada", "It runs.")
    assert made.requirements[0].scenarios[0].text == "Given a, When b, Then c."


def test_list_and_show(repository: Path) -> None:
    (repository / "specs/bad.md").write_bytes(b"\xff")
    found = json.loads(run(repository, "list", "--json").stdout)
    assert [(item["id"], item["status"]) for item in found] == [("bad", "unreadable"), ("shop", "decided")]
    assert "unreadable" in run(repository, "list").stdout
    assert json.loads(run(repository, "show", "shop", "--json").stdout)["requirements"][0]["id"] == "SHOP-1"
    assert "it refunds" in run(repository, "show", "shop").stdout
    assert "specs/none.md does not exist" in run(repository, "show", "none", code=4).stderr


def test_lint(repository: Path) -> None:
    assert "nothing is open" in run(repository, "lint").stdout
    (repository / "specs/twin.md").write_text(SPEC.replace("id: shop", "id: twin") + "\nSoon. [x](gone.md)\n")
    done = run(repository, "lint", "--json", "--code-quality", "quality.json", code=6)
    rules = ["spec.duplicate-id"] * 2 + ["spec.broken-link", "spec.vague-word"]
    assert sorted(item["rule"] for item in json.loads(done.stdout)) == sorted(rules)
    assert len(json.loads((repository / "quality.json").read_text())) == 4
    assert "specs/twin.md:29" in run(repository / "specs", "lint", "twin.md", code=6).stdout
    assert "nothing is open" in run(repository, "lint", "specs/shop.md").stdout
    assert "cannot read" in run(repository, "lint", "specs/none.md", code=3).stderr


def test_trace_of_a_whole_chain(repository: Path) -> None:
    git("checkout", "-qb", "work", cwd=repository)
    git("add", "apps", cwd=repository)
    git("commit", "-qm", "Sell\n\nRequirement: SHOP-1\nIssue: #3", cwd=repository)
    git("checkout", "-q", "main", cwd=repository)
    git("merge", "-q", "--no-ff", "-m", "Merge branch 'work'\n\nSee merge request a/b!7", "work", cwd=repository)
    rows = json.loads(run(repository, "trace", "--json").stdout)["rows"]
    assert [(row["requirement"], row["issues"], row["merge_requests"], row["result"]) for row in rows] == [
        ("SHOP-1", [1, 3], [7], "passed"),
        ("SHOP-2", [1], [], "passed"),
    ]
    assert [len(row["commits"]) for row in rows] == [2, 1]
    assert "!7" in run(repository, "trace", "SHOP-1").stdout
    assert "requirement NOPE-1" in run(repository, "trace", "NOPE-1", code=4).stderr


def test_trace_reads_named_reports(repository: Path) -> None:
    (repository / "late.xml").write_text(JUNIT.format("<failure>no</failure>"))
    done = run(repository, "trace", "--junit", ".factory/claims/unit/junit.xml", "--junit", "late.xml", code=6)
    assert "trace.failing" in done.stdout
    assert "SHOP-2 fails: TestRefund.test_refunds" in done.stdout
    (repository / "late.xml").write_text("<")
    assert "late.xml: the test report is not XML" in run(repository, "trace", "--junit", "late.xml", code=3).stderr


def test_trace_and_waivers(repository: Path) -> None:
    (repository / ".factory/claims/unit/junit.xml").unlink()
    item = '{{rule: trace.untested, subject: {}, owner: ada, reason: "built in the next week", expires: {}}}'
    lines = [item.format("SHOP-1", "2999-01-01"), item.format("SHOP-2", "2001-01-01")]
    (repository / "policies/exceptions.yml").write_text("exceptions:\n" + "".join(f"  - {line}\n" for line in lines))
    done = run(repository, "trace", code=6)
    assert "waived until 2999-01-01 by ada: SHOP-1" in done.stdout
    assert "trace.waiver-expired" in done.stdout
    assert "SHOP-2: none of its tests has passed" in done.stdout


def test_trace_reads_recorded_passes(repository: Path) -> None:
    (repository / ".factory/claims/unit/junit.xml").unlink()
    shop = read(SPEC.encode(), source="specs/shop.md")
    listed = [{"id": item.id, "digest": item.digest, "result": "passed", "tests": []} for item in shop.requirements]
    head = git("rev-parse", "HEAD", cwd=repository).stdout.strip()
    record(repository, "verdict", {"requirements": listed})
    record(repository, "merge", {"merge_commit": head, "merge_request": 5, "issue": 2})
    done = json.loads(run(repository, "trace", "--json").stdout)
    assert [row["result"] for row in done["rows"]] == ["recorded", "recorded"]
    assert [row["merge_requests"] for row in done["rows"]] == [[5], [5]]
    assert done["evidence"] == {"ref": "factory/evidence", "verified": False}
    (repository / "specs/shop.md").write_text(SPEC.replace("it refunds", "it refunds twice"))
    told = run(repository, "trace", code=6).stdout
    assert "trace.drift" in told
    assert "unverified" in told


def record(repository: Path, kind: str, predicate: dict[str, object]) -> None:
    """Add a statement to the evidence branch, in the layout of factory/evidence/log.py; nothing here verifies it."""
    evidence = repository / ".evidence"
    if not evidence.exists():
        git("init", "-q", str(evidence), cwd=repository)
    folder = evidence / "statements"
    folder.mkdir(exist_ok=True)
    index = len(list(folder.iterdir()))
    data = canonical.encode(sign.seal(canonical.encode({"predicate": predicate}), signer()))
    (folder / f"{index:08}-{kind}-{canonical.digest(data)[7:19]}.json").write_bytes(data)
    git("add", ".", cwd=evidence)
    git("commit", "-qm", kind, cwd=evidence)
    git("fetch", "-q", str(evidence), "+HEAD:refs/heads/factory/evidence", cwd=repository)
