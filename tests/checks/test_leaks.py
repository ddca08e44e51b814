"""What the secret shapes find, and what they leave alone: measured on lines written before the shapes."""

import random
import re
import string
from pathlib import Path

import pytest

from factory.checks import leaks
from tests.checks.leak_lines import HARMLESS, MISSED, SECRETS
from tests.servers import TOOL_ENV, git

_ALPHABETS = {
    "a": string.ascii_letters + string.digits,
    "h": "0123456789abcdef",
    "A": string.ascii_uppercase + string.digits,
    "d": string.digits,
    "s": string.ascii_letters + string.digits + "!#%^&*-_+=.?~@",
}
_ROUNDS = 50


def drawn(line: str, rng: random.Random) -> str:
    """Return a line with its random parts drawn."""

    def value(found: "re.Match[str]") -> str:
        return "".join(rng.choice(_ALPHABETS[found[1]]) for _ in range(int(found[2])))

    plain = line.replace("{{", "\1").replace("}}", "\2")
    return re.sub(r"\{([ahAds])(\d+)\}", value, plain).replace("\1", "{").replace("\2", "}")


def share(lines: tuple[str, ...]) -> float:
    """Return the share of lines in which a secret is found, over many draws."""
    rng = random.Random(7)
    found = [any(leaks.shapes(drawn(line, rng))) for _ in range(_ROUNDS) for line in lines]
    return sum(found) / len(found)


def test_recall_and_false_alarms() -> None:
    assert share(SECRETS) >= 0.99
    assert share(HARMLESS) == 0
    assert share(MISSED) == 0


@pytest.mark.parametrize("line", SECRETS)
def test_each_line_is_found_in_nearly_every_draw(line: str) -> None:
    assert share((line,)) >= 0.9


@pytest.mark.parametrize("first", ["-", "@@ ", "index ", "commit ", "+", "diff --git "])
def test_a_commit_message_is_searched_whole(tmp_path: Path, first: str) -> None:
    git("init", "-q", cwd=tmp_path)
    git("commit", "-q", "--allow-empty", "-m", "start", cwd=tmp_path)
    secret = drawn("glpat-{a20}", random.Random(7))
    git("commit", "-q", "--allow-empty", "--cleanup=verbatim", "-m", f"Title\n\n{first}{secret}\n", cwd=tmp_path)
    found = leaks.in_history(tmp_path, "HEAD~1", "HEAD", env=TOOL_ENV)
    head = git("rev-parse", "--short", "HEAD", cwd=tmp_path).stdout.strip()
    assert [(item.rule, item.path) for item in found.problems] == [("gitlab-token", f"commit {head}")]


def test_a_removed_line_is_no_leak_of_the_change_and_an_added_one_is(tmp_path: Path) -> None:
    git("init", "-q", cwd=tmp_path)
    secret = drawn("glpat-{a20}", random.Random(7))
    for content in (f"{secret}\n", "", f"-- {secret}\ncommit {secret}\0\n"):
        (tmp_path / "a").write_text(content)
        git("add", "a", cwd=tmp_path)
        git("commit", "-q", "--allow-empty", "-m", "change", cwd=tmp_path)
    assert leaks.in_history(tmp_path, "HEAD~2", "HEAD~1", env=TOOL_ENV).problems == ()
    assert [item.rule for item in leaks.in_history(tmp_path, "HEAD~1", "HEAD", env=TOOL_ENV).problems] == [
        "gitlab-token"
    ]
