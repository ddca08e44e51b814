"""Errors of the command line: one clear line, an exit code, a next step, and nothing lost."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gitlab
import pytest

from factory.system import process
from tests.instances import Instance, demonstrated, founded, make_instance
from tests.servers import PATIENCE, git, wait_for


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    made = founded(tmp_path_factory.mktemp("running"))
    yield made
    made.run("down", check=False)


def assert_told(done: "subprocess.CompletedProcess[str]", code: int, *words: str) -> None:
    """One line that says what happened, and the next step."""
    assert done.returncode == code, done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith(("factory:", "  next:"))]
    assert len(lines) == 2, done.stderr
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in done.stderr


def test_repository_without_a_commit(tmp_path: Path) -> None:
    (tmp_path / "policies").mkdir()
    git("init", "-q", cwd=tmp_path)
    for name in (".venv", ".tools"):
        (tmp_path / name).symlink_to(Path(__file__).parents[2] / name)
    made = Instance(tmp_path, tmp_path / "state")
    assert_told(made.run("up", check=False), 3, "not a usable git repository")
    assert made.run("down").stdout == "nothing was running\n"


def test_shallow_clone(tmp_path: Path) -> None:
    made = make_instance(tmp_path)
    head = git("rev-parse", "HEAD", cwd=made.clone).stdout
    (made.clone / ".git/shallow").write_text(head)
    assert_told(made.run("up", check=False), 3, "this clone is shallow", "git fetch --unshallow")
    assert made.run("down").stdout == "nothing was running\n"


def test_never_started(tmp_path: Path) -> None:
    made = make_instance(tmp_path)
    assert_told(made.run("status", check=False), 4, "never started", "factory up")
    demo = Path(made.json("config")[-1]["value"]).parent / "demo"
    demo.mkdir(parents=True)
    (demo / "instance.json").write_text("{}")
    assert_told(made.run("status", check=False), 4, "never started", "factory --instance demo up")


@pytest.mark.long
def test_unreadable_pipeline_definition(tmp_path: Path) -> None:
    made = make_instance(tmp_path)
    (made.clone / ".gitlab-ci.yml").write_text("job:\n  script: [a\n")
    git("commit", "-qam", "break", cwd=made.clone)
    try:
        assert_told(made.run("up", check=False), 3, "infrastructure cannot be deployed", ".gitlab-ci.yml:3")
    finally:
        made.run("down", check=False)


@pytest.mark.long
def test_policy_with_an_unknown_key(tmp_path: Path) -> None:
    made = make_instance(tmp_path)
    with (made.clone / "policies/scope.yml").open("a") as file:
        file.write("max_fils: 3\n")
    git("commit", "-qam", "break", cwd=made.clone)
    try:
        assert_told(made.run("up", check=False), 3, "policies/scope.yml", "max_fils")
    finally:
        made.run("down", check=False)


def test_port_in_use(tmp_path: Path) -> None:
    made = make_instance(tmp_path)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        state = Path(made.json("config")[-1]["value"])
        state.mkdir(parents=True)
        record = {"ports": dict.fromkeys(("gitlab", "cloudflare", "edge"), port), "tier": "premium", "project": "a/b"}
        (state / "instance.json").write_text(json.dumps(record))
        assert_told(made.run("up", check=False), 7, str(port), "--new-ports")


@pytest.mark.long
def test_what_a_new_instance_answers(running: Instance) -> None:
    assert_told(running.run("work", "--once", "--issue", "99", check=False), 4, "issue #99")
    assert [row["bound"] for row in running.json("budget", "show")] == ["day", "month"]
    assert [row["source"] for row in running.json("pipeline", "list")] == ["push"]
    assert "hello" in running.run("app", "list").stdout
    assert "{" not in running.run("app", "list").stdout
    opened = running.json("issue", "new", "A draft", "--text", "<!-- hidden -->shown", "--draft")["iid"]
    told = running.run("work", "--once", "--issue", str(opened)).stdout
    assert told == f"nothing to do: #{opened} is opened and carries no label\n"
    assert "hidden" not in running.run("issue", "show", str(opened)).stdout


@pytest.mark.long
def test_wrong_token(running: Instance) -> None:
    done = running.run("issue", "list", check=False, FACTORY_TOKEN_OPERATOR="wrong")
    assert_told(done, 9, "HTTP 401")


@pytest.mark.long
def test_server_is_down(running: Instance) -> None:
    done = running.run(
        "issue", "list", check=False, FACTORY_GITLAB_URL="http://127.0.0.1:9", FACTORY_TOKEN_OPERATOR="x"
    )
    assert_told(done, 8, "did not answer")


@pytest.mark.long
def test_invalid_numbers_and_missing_objects(running: Instance) -> None:
    assert_told(running.run("mr", "show", "seven", check=False), 3, "not a number")
    assert_told(running.run("mr", "show", "999", check=False), 4, "HTTP 404")
    assert running.run("mr", "show", check=False).returncode == 2


@pytest.mark.long
def test_nothing_is_answered_raised_or_merged_in_vain(running: Instance) -> None:
    number = str(running.json("issue", "new", "Nobody asks", "--draft")["iid"])
    assert_told(running.run("issue", "answer", number, "Blue.", check=False), 5, "no agent asked a question")
    assert_told(running.run("budget", "increase", number, check=False), 3, "nothing to add", "--tokens")


@pytest.mark.long
def test_terminal_control_characters_are_escaped(running: Instance) -> None:
    number = str(running.json("issue", "new", "red \x1b[31m text\u202e", "--draft")["iid"])
    for shown in (running.run("issue", "show", number).stdout, running.run("issue", "list").stdout):
        assert "\x1b" not in shown
        assert "\\u001b[31m" in shown
        assert "\\u202e" in shown


@pytest.mark.long
def test_evidence_of_an_unknown_merge_request(running: Instance) -> None:
    told = "no statement about !77" if running.json("evidence", "list") else "has no evidence yet"
    assert_told(running.run("evidence", "verify", "77", check=False), 4, told)


@pytest.mark.long
def test_up_does_not_start_another_gitlab(running: Instance) -> None:
    assert_told(
        running.run("up", check=False, stdin=None, FACTORY_GITLAB_URL="http://127.0.0.1:9"), 5, "has none to start"
    )


def test_a_demo_discards_no_instance_that_is_connected(tmp_path: Path) -> None:
    made = make_instance(tmp_path)
    state = Path(made.json("--instance", "work", "config")[-1]["value"])
    state.mkdir(parents=True)
    connection = {"gitlab_url": "http://127.0.0.1:9", "project": "a/b", "accounts": {}}
    (state / "connection.json").write_text(json.dumps(connection))
    (state / "tokens").mkdir()
    done = made.run("--instance", "work", "demo", "--yes", check=False, stdin=None)
    assert_told(done, 5, "is connected to http://127.0.0.1:9")
    assert sorted(path.name for path in state.iterdir()) == ["connection.json", "tokens"]


@pytest.mark.long
def test_issue_without_a_spec_is_reported_on_the_issue(running: Instance) -> None:
    number = str(running.json("issue", "new", "Do something")["iid"])
    assert_told(running.run("work", "--once", "--issue", number, check=False), 3, "names no spec")
    shown = running.run("issue", "show", number).stdout
    assert "factory::blocked" in shown
    assert "Spec: <id>" in shown


@pytest.mark.long
@pytest.mark.parametrize(
    "name",
    ["CI_DEFAULT_BRANCH", "RUNNER_TAG", "CI_PIPELINE_SOURCE", "SANDBOX_NETWORK", "FACTORY_PYTHON", "JUDGE_SHA", "X"],
)
def test_an_agents_token_gives_no_variable_to_a_pipeline(running: Instance, name: str) -> None:
    project = connect(url(running.folder()), "factory-agent", running.folder()).projects.get("factory/control")
    branch = f"agent/{name.lower()}"
    project.branches.create({"branch": branch, "ref": "main"})
    with pytest.raises(gitlab.GitlabCreateError, match="Insufficient permissions to set pipeline variables"):
        project.pipelines.create({"ref": branch, "variables": [{"key": name, "value": branch}]})
    assert not project.pipelines.list(ref=branch, get_all=True)


@pytest.mark.matrix(4, group="flows")
@pytest.mark.long
def test_two_at_once_work_on_one_issue_once(running: Instance) -> None:
    number = running.json("issue", "new", "Greet a visitor by name", "--spec", "hello")["iid"]
    argv = [sys.executable, "-P", "-m", "factory", "work", "--once", "--issue", str(number)]
    both = [
        subprocess.Popen(argv, cwd=running.clone, env=running.env(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        for _ in range(2)
    ]
    told = [process.communicate(timeout=PATIENCE)[0].decode() for process in both]
    assert sorted(process.returncode for process in both) in ([0, 0], [0, 7]), "\n---\n".join(told)
    assert sum(f"deliver #{number}: done" in text for text in told) == 1, told
    requests = [item for item in running.json("mr", "list") if item["title"] == "Greet a visitor by name"]
    assert len(requests) == 1


@pytest.mark.matrix(4, group="flows")
@pytest.mark.long
@pytest.mark.slow
def test_interrupted_apply_stops_as_unknown(tmp_path: Path) -> None:
    made = demonstrated(tmp_path, "apply:before")
    try:
        argv = [sys.executable, "-P", "-m", "factory", "demo", "--yes", "--keep"]
        demo = subprocess.Popen(argv, cwd=made.clone, env=made.env(), stderr=subprocess.PIPE, text=True)
        state = made.folder("demo")
        wait_for(lambda: applying(made))
        for pid in runners(state):
            os.kill(pid, signal.SIGKILL)
        _, errors = demo.communicate(timeout=PATIENCE)
        assert demo.returncode == 12, errors
        assert "runbooks/apply-unknown.md" in errors
        labels = made.json("--instance", "demo", "issue", "list")[0]["labels"]
        assert "factory::apply-unknown" in labels
        again = made.run("--instance", "demo", "work", "--once")
        assert "infra recover 1`" in again.stdout
        recover(made)
        kinds = [item["kind"] for item in made.json("--instance", "demo", "evidence", "list")]
        assert (kinds.count("apply") + kinds.count("proof"), kinds.count("recovery")) == (4, 1)
    finally:
        made.run("--instance", "demo", "down", check=False)


def lock_of_production(made: Instance) -> Any:
    (found,) = (item for item in made.json("--instance", "demo", "infra", "locks") if item["stack"] == "production")
    return found


def recover(made: Instance) -> None:
    """Follow runbooks/apply-unknown.md: recover, plan again, and approve and apply what the new plan still changes."""
    held = lock_of_production(made)
    assert held["by"][:4] == ("job " if held["locked"] else "")
    found = made.json("--instance", "demo", "infra", "recover", "1")
    assert found["unlocked"] is held["locked"]
    assert found["phase"] in {"unknown", "started"}
    assert not lock_of_production(made)["locked"]
    assert_told(made.run("--instance", "demo", "infra", "recover", "1", check=False), 5, "has no interrupted apply")
    assert "merge" in made.run("--instance", "demo", "work", "--once").stdout
    waiting = made.json("--instance", "demo", "deploy", "list")[0]
    if made.json("--instance", "demo", "issue", "list"):
        made.run("--instance", "demo", "deploy", "approve", str(waiting["id"]))
        done = made.run("--instance", "demo", "work", "--once", check=False)
        assert done.returncode == 0, made.run("--instance", "demo", "pipeline", "logs", str(waiting["pipeline"])).stdout
    assert made.json("--instance", "demo", "issue", "list", "--all")[0]["state"] == "closed"
    made.run("--instance", "demo", "evidence", "verify", "1")


def url(state: Path) -> str:
    """Return the URL of the instance's GitLab."""
    return f"http://127.0.0.1:{json.loads((state / 'instance.json').read_text())['ports']['gitlab']}"


def connect(base: str, account: str, state: Path) -> gitlab.Gitlab:
    """Return a client of the instance's GitLab for an account."""
    path = state / "gitlab" / "root-token" if account == "root" else state / "tokens" / account
    return gitlab.Gitlab(base, private_token=path.read_text())


@pytest.mark.matrix(4, group="flows")
@pytest.mark.long
@pytest.mark.slow
def test_main_moves_during_review(tmp_path: Path) -> None:
    made = demonstrated(tmp_path, "present:after")
    try:
        state = made.folder("demo")
        operator = connect(url(state), "operator", state).projects.get("factory/control")
        text = "A page\n\nSpec: hello"
        change = [{"action": "create", "file_path": "docs/page.md", "content": "x"}]
        body = {"branch": "page", "start_branch": "main", "commit_message": text, "actions": change}
        operator.commits.create(body)
        page = operator.mergerequests.create({"source_branch": "page", "target_branch": "main", "title": "A page"})
        connect(url(state), "rehearsal", state).projects.get("factory/control").mergerequests.get(page.iid).approve()
        wait_for(lambda: operator.mergerequests.get(page.iid).detailed_merge_status == "mergeable")
        operator.mergerequests.get(page.iid).merge()
        done = made.run("demo", "--yes", "--keep")
        assert "superseded" in done.stderr
        requests = {item["iid"]: item["state"] for item in made.json("--instance", "demo", "mr", "list", "--all")}
        assert requests == {1: "closed", page.iid: "merged", 3: "merged"}
        made.run("--instance", "demo", "evidence", "verify", "3")
        ended = made.json("--instance", "demo", "session", "list")[0]["session"]
        assert_told(made.run("--instance", "demo", "session", "resume", ended, check=False), 5, "has ended")
    finally:
        made.run("--instance", "demo", "down", check=False)


@pytest.mark.long
@pytest.mark.parametrize("gone", ["state", "clone"])
def test_servers_end_once_their_folder_is_gone(tmp_path: Path, gone: str) -> None:
    made = founded(tmp_path)
    pid = json.loads((made.folder("default") / "daemon.json").read_text())["pid"]
    try:
        (made.folder("default") if gone == "state" else made.clone).rename(tmp_path / "gone")
        wait_for(lambda: process.started_at(pid) is None)
    finally:
        if process.started_at(pid):
            os.kill(pid, signal.SIGKILL)


def applying(made: Instance) -> bool:
    """Return whether terraform is applying the second deployment."""
    found = made.json("--instance", "demo", "deploy", "list")
    if found[0]["status"] != "running":
        return False
    trace = made.run(
        "--instance", "demo", "pipeline", "logs", str(found[0]["pipeline"]), "--job", "apply-production"
    ).stdout
    return "infra apply" in trace


def runners(state: Path) -> list[int]:
    """Return the processes of the instance's runner."""
    daemon = json.loads((state / "daemon.json").read_text())["pid"]
    children = Path(f"/proc/{daemon}/task/{daemon}/children").read_text().split()
    return [int(pid) for pid in children if b"runner" in Path(f"/proc/{pid}/cmdline").read_bytes()]


OUTSIDE = [
    "status", "issue list", "mr list", "policy check", "policy test", "policy explain x", "spec lint", "spec list",
    "spec trace", "gate check", "gate run", "gate challenge", "infra plan", "up", "demo", "work --once",
]  # fmt: skip


@pytest.mark.matrix(3)
@pytest.mark.parametrize("command", OUTSIDE)
def test_outside_a_control_repository_one_line_says_so(command: str, tmp_path: Path) -> None:
    outside = Instance(tmp_path, tmp_path / "state")
    done = outside.run(*command.split(), check=False)
    assert_told(done, 3, "is not in a control repository", "factory init")
    assert done.stderr.count("\n") == 2
