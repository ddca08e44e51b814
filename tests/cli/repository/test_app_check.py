"""``factory app new`` and ``factory app check`` by the real command line, in a company's repository."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.repository.test_init import company
from tests.cli.test_refusals import assert_told
from tests.instances import Instance
from tests.servers import git


@pytest.fixture
def acme(tmp_path: Path) -> Instance:
    person = Instance(tmp_path / "code", tmp_path / "state")
    person.clone.mkdir()
    (Path(person.env()["HOME"]) / ".gitconfig").write_text("[user]\nname = Jane\nemail = jane@example.com\n")
    return company(person)


def steps(made: Instance, *arguments: str, code: int) -> list[dict[str, Any]]:
    done = made.run("app", "check", *arguments, "--json", check=False)
    assert done.returncode == code, done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert found["green"] == (code == 0)
    return list(found["steps"])


@pytest.mark.long
@pytest.mark.parametrize("kind", ["python", "node", "static", "command"])
def test_a_new_app_is_green_and_its_undo_leaves_nothing(acme: Instance, kind: str) -> None:
    head = git("rev-parse", "HEAD", cwd=acme.clone).stdout
    done = acme.json("app", "new", "shop", "--kind", kind)
    assert steps(acme, "shop", code=0) == []
    said = acme.run("app", "check").stdout
    assert "shop: 7 of 7 local gates passed" in said
    assert "next: git add apps/shop specs/shop.md, commit with the trailer `Spec: shop`" in said
    assert git("rev-parse", "HEAD", cwd=acme.clone).stdout == head
    assert git("count-objects", cwd=acme.clone).stdout.startswith(str(loose(acme)))
    assert set(git("status", "--porcelain", "-uall", cwd=acme.clone).stdout.split()) == {"??", *done["files"]}
    if kind == "static":
        git("add", "-A", cwd=acme.clone)
        git("commit", "-qm", "Add it", cwd=acme.clone)
        assert steps(acme, "shop", code=0) == []  # as it is on main
        git("reset", "-q", head.strip(), cwd=acme.clone)
    for path in done["undo"].split()[2:]:
        git("clean", "-qfdx", "--", path, cwd=acme.clone)
    assert git("status", "--porcelain", cwd=acme.clone).stdout == ""


def loose(made: Instance) -> int:
    """Return how many objects the first commit of a repository has."""
    return len(git("rev-list", "--objects", "--all", cwd=made.clone).stdout.splitlines())


@pytest.mark.long
def test_what_is_left_is_said_in_order(acme: Instance) -> None:
    assert_told(acme.run("app", "check", "shop", check=False), 4, "there is no app shop")
    acme.run("app", "new", "shop", "--kind", "python")
    acme.run("app", "new", "other", "--kind", "static")
    folder = acme.clone / "apps/shop"
    (acme.clone / "apps/other/tests/test_other_app.py").write_text("def test_it() -> None:\n    raise ValueError\n")
    (acme.clone / "specs/shop.md").unlink()
    source = folder / "src/shop_app.py"
    source.write_text(source.read_text().replace("Hello", "Bye"))
    (folder / "app.yml").write_text("kind: python\n")
    below = Instance(folder / "src", acme.state)
    found = steps(below, ".", code=6)
    assert [(step["asked_by"], step["required"]) for step in found] == [
        ("spec", True),
        ("unit", True),
        ("unit", True),
        ("app.yml", False),
    ]
    assert (found[0]["problem"], found[0]["next"]) == (
        "specs/shop.md does not exist",
        "Write it: factory spec new shop",
    )
    assert "test_it_greets_every_visitor" in found[1]["problem"]
    assert found[2]["problem"] == "no test passed"
    assert "`run`" in found[3]["problem"]
    told = below.run("app", "check", ".", check=False)
    assert_told(told, 6, "3 steps left before shop is green", "factory app check shop")

    secret = folder / "settings.txt"
    secret.write_text("key = AKIAIOSFODNN7EXAMPLE\n")
    found = [step for step in steps(acme, "shop", code=6) if step["asked_by"] == "secrets"]
    assert [(step["path"], step["line"]) for step in found] == [("apps/shop/settings.txt", 1)]
    secret.unlink()

    (folder / "app.yml").write_text("environments: {production: {hostname: a.acme.com}}\n")
    assert [step["asked_by"] for step in steps(acme, "shop", code=3)] == ["app.yml"]
    (folder / "app.yml").write_text("kind: [\n")
    assert [step["asked_by"] for step in steps(acme, "shop", code=3)] == ["app.yml"]
    (folder / "app.yml").unlink()
    (folder / "requirements.txt").write_text("no-such-package-of-ours==1\n")
    found = steps(acme, "shop", code=3)
    assert [step["asked_by"] for step in found] == ["packages", "app.yml"]


@pytest.mark.long
def test_a_repository_that_is_one_app(tmp_path: Path) -> None:
    shop = Instance(tmp_path / "shop", tmp_path / "state")
    shop.clone.mkdir()
    (Path(shop.env()["HOME"]) / ".gitconfig").write_text("[user]\nname = Jane\nemail = jane@example.com\n")
    git("init", "-q", "-b", "main", cwd=shop.clone)
    (shop.clone / "shop.py").write_text("PRICE = 1\n")
    (shop.clone / "test_shop.py").write_text("from shop import PRICE\n\n\ndef test_it():\n    assert PRICE == 1\n")
    git("add", "-A", cwd=shop.clone)
    git("commit", "-qm", "start", cwd=shop.clone)
    shop.run("init", "--here")
    assert [step for step in steps(shop, ".", code=0) if step["required"]] == []
    (shop.clone / "shop.py").write_text("PRICE = 2\n")
    assert [step["asked_by"] for step in steps(shop, "shop", code=6) if step["required"]] == ["unit", "unit"]
    refused = shop.run("app", "new", "other", "--kind", "static", check=False)
    assert_told(refused, 5, "this repository is the app shop itself", "factory init DIR")


def test_an_app_that_exists_is_not_overwritten(acme: Instance) -> None:
    acme.run("app", "new", "shop", "--kind", "static")
    assert_told(acme.run("app", "new", "shop", "--kind", "python", check=False), 7, "already exists", "another name")
    assert_told(acme.run("app", "new", "../x", "--kind", "python", check=False), 3, "not a valid app name")
