"""What agents may do where they ask: no way of writing a command or a path leads around policy, none breaks us."""

import shlex
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from factory.agents.permissions import Permissions, commands, writable
from factory.errors import Refused
from tests.policies.shipped import POLICIES

RULES = POLICIES.agents.permissions


def permissions(folder: Path = Path("/nowhere")) -> Permissions:
    return Permissions(folder, (".git", "policies", "AGENTS.md"), RULES.allow, RULES.deny)


@pytest.mark.parametrize(
    "command",
    [
        "git push",
        "git  push origin main",
        "/usr/bin/git push",
        "cd . && git push",
        "true; git push",
        "true\ngit push",
        "echo x | sudo tee /etc/passwd",
        "GIT_DIR=x git push",
        "env A=b git push",
        "command git push",
        "git -C /tmp push",
        "git -c user.name=x --no-pager commit -m x",
        "bash -c 'git push'",
        "bash -lc 'cd . && git push'",
        "bash -ce 'git push'",
        "bash -x -c 'git push'",
        "sh -c \"bash -c 'git push'\"",
        "cd . && bash -c 'git push'",
        "bash -c 'true'; git push",
        "echo $(git push)",
        "echo `git push`",
        'echo "$(git push)"',
        "(git push)",
        "{ git push; }",
        "true & git push",
        "git 'push'",
        "g'i't push",
        "sudo",
    ],
)
def test_a_denied_command_is_found_however_it_is_written(command: str) -> None:
    assert permissions().run(command)


@pytest.mark.parametrize(
    "command",
    ["ls -la", "git status", "git -C . log", "git diff HEAD | head", "make test", "python -c 'print(1)'", "", "   "],
)
def test_everyday_commands_run(command: str) -> None:
    assert not permissions().run(command)


def test_a_list_of_what_may_run_covers_each_command_of_a_line() -> None:
    rules = Permissions(Path("/nowhere"), allow=("make *", "make"))
    assert not rules.run("make && make test")
    assert rules.run("make; curl example.com") == "policy does not allow 'curl'"


@given(st.text())
def test_any_text_comes_to_commands_and_to_an_answer(line: str) -> None:
    assert all(words and all(isinstance(word, str) for word in words) for words in commands(line))
    assert isinstance(permissions().run(line), str)


@given(st.text(alphabet="bashc -'\";|&$(){}`#\\\n"))
def test_any_mess_of_quotes_and_separators_does(line: str) -> None:
    assert all(isinstance(command, tuple | list) for command in commands(line))


@pytest.mark.parametrize("line", ["a" * 4_000_000, "a;" * 2_000_000, "bash -c '" + "x " * 2_000_000])
def test_a_command_of_megabytes_is_refused_at_once(line: str) -> None:
    start = time.monotonic()
    assert "characters" in permissions().run(line)
    assert time.monotonic() - start < 60


@pytest.mark.parametrize(
    "path",
    [
        "..",
        "../x",
        "a/../../x",
        "/etc/passwd",
        "link/x",
        "circle/x",
        "policies/gates.yml",
        "./policies/gates.yml",
        "POLICIES/gates.yml",
        "sub/../policies/x",
        "to-policies/x",
        "AGENTS.md",
        "agents.md",
        ".git/hooks/pre-commit",
        ".GIT/config",
        "a\0b",
    ],
)
def test_an_edit_outside_or_of_what_is_frozen_is_denied(tmp_path: Path, path: str) -> None:
    (tmp_path / "policies").mkdir()
    (tmp_path / "link").symlink_to("/tmp")
    (tmp_path / "circle").symlink_to("circle")
    (tmp_path / "to-policies").symlink_to("policies")
    assert permissions(tmp_path).edit(path)


@pytest.mark.parametrize("path", ["a", "new/folder/a.py", "policies.md", "sub/policies/x", "ABSOLUTE/a"])
def test_edits_inside_are_allowed(tmp_path: Path, path: str) -> None:
    assert not permissions(tmp_path).edit(path.replace("ABSOLUTE", str(tmp_path)))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(path=st.text() | st.lists(st.sampled_from(["..", ".", "a", "", "policies", "\0", "é"])).map("/".join))
def test_any_path_is_either_inside_or_refused(tmp_path: Path, path: str) -> None:
    try:
        target = writable(tmp_path, path, ("policies",))
    except Refused:
        return
    assert target.is_relative_to(tmp_path.resolve())
    assert "policies" not in target.relative_to(tmp_path.resolve()).parts[:1]


def test_commands_in_nested_shells_are_found_three_deep() -> None:
    line = "rm x"
    for depth in range(1, 5):
        line = shlex.join(["sh", "-c", line])
        assert (["rm", "x"] in commands(line)) is (depth <= 3), line


@pytest.mark.parametrize("shell", ["sh", "bash", "zsh", "dash", "ash", "fish", "/bin/ash"])
@pytest.mark.parametrize("flag", ["-c", "-lc", "-ce"])
def test_what_a_shell_is_told_to_run_is_a_command(shell: str, flag: str) -> None:
    assert ["git", "push"] in commands(f"{shell} {flag} 'git push'")


@pytest.mark.parametrize("line", ["sh --c 'git push'", "sh -l 'git push'", "python -c 'git push'", "sh c 'git push'"])
def test_what_no_shell_runs_is_no_command(line: str) -> None:
    assert ["git", "push"] not in commands(line)


@pytest.mark.parametrize("before", ["env", "exec", "command", "nohup", "time", "A=1", "A_2=x env B="])
def test_what_stands_before_a_program_is_left_out(before: str) -> None:
    assert commands(f"{before} git push") == [["git", "push"]]


@pytest.mark.parametrize(
    "option", ["-C", "-c", "--git-dir", "--work-tree", "--namespace", "--exec-path", "--config-env"]
)
def test_an_option_of_git_with_a_value_is_left_out(option: str) -> None:
    assert commands(f"git {option} value push -f") == [["git", "push", "-f"]]
    assert commands(f"git {option}=value --bare push") == [["git", "push"]]


def test_shells_in_shells_are_read_four_deep() -> None:
    line, depth = "git push", 0
    while ["git", "push"] in commands(line):
        line, depth = f"sh -c {shlex.quote(line)}", depth + 1
    assert depth == 4


def test_an_edit_is_judged_by_the_policys_scope(tmp_path: Path) -> None:
    rules = Permissions(tmp_path, (".git",), scope=lambda path: f"no {path}" if path.startswith("a/") else "")
    assert rules.edit("a/b.py") == "no a/b.py"
    assert rules.edit(str(tmp_path / "a" / "b.py")) == "no a/b.py"
    assert not rules.edit("b/c.py")
    assert rules.edit(".GIT/config") == ".GIT/config is read-only for agents"
    assert rules.edit(".git") == ".git is read-only for agents"
    assert not rules.edit(".gitignore")
    assert rules.edit("../x") == f"'../x' is outside {tmp_path}"
    assert rules.edit("/etc/passwd") == "/etc/passwd is outside the worktree"
    assert rules.edit("a\0b") == "'a\\x00b' is not a valid path: ValueError"


def test_the_longest_command_is_read_and_a_longer_one_is_not() -> None:
    rules = Permissions(Path("/nowhere"))
    assert not rules.run("a" * 32_000)
    assert rules.run("a" * 32_001) == "the command is longer than 32000 characters"


def test_a_refusal_names_the_pattern_or_the_program() -> None:
    rules = Permissions(Path("/nowhere"), allow=("git *",), deny=("git push*", "rm *"))
    assert rules.run("git push x") == "policy denies 'git push*'"
    assert rules.run("rm") == "policy denies 'rm *'"
    assert rules.run("ls -l") == "policy does not allow 'ls'"
    assert not rules.run("git status")
