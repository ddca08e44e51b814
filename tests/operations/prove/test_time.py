"""A run that runs out of time: what it made is deleted, and the report says what was not tried."""

import re
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from factory.errors import ProofFailed
from factory.gitlab import accounts
from factory.gitlab.connect import connect
from factory.model.secret import Secret
from factory.operations.prove import deadline, report, run
from factory.operations.prove import record as records
from factory.operations.prove.command_line import CommandLine
from factory.operations.prove.deadline import Deadline
from factory.operations.prove.report import Outcome, Server
from factory.operations.prove.request import Found, Request, Tokens
from factory.operations.prove.run import Looked
from factory.operations.prove.steps import Proof
from factory.system import clock
from tests.flaky_proxy import between
from tests.servers import PATIENCE, ROOT, TOOL_ENV, LocalGitlab
from tests.stub_server import Answer, saying

# Seconds of an answer that nobody waits for.
_LONG = 30.0


def _proof(folder: Path, server: LocalGitlab, until: Deadline, *, url: str = "") -> Proof:
    """Return a run that has looked; its steps reach the server at ``url``."""
    person, token = server.user("jane")
    operator = accounts.look(connect(server.url, "", account=person.username, token=token))
    made = records.plan(server.url, parent=person.username, group=False)
    secret = Secret(token)
    return Proof(
        request=Request(url or server.url, "", "", ("replay",), {}),
        tokens=Tokens(secret, secret, secret, Secret("")),
        found=Found(Server("127.0.0.1", loopback=True), operator, replace(operator, username="bot"), made),
        source=ROOT,
        place=folder / made.suffix,
        env=TOOL_ENV,
        person=TOOL_ENV,
        deadline=until,
        decide=lambda _question, _shown: None,
    )


def test_without_time_everything_is_deleted_and_the_rest_is_not_run(tmp_path: Path, gitlab_server: LocalGitlab) -> None:
    proof = _proof(tmp_path, gitlab_server, deadline.begin(0))
    client = gitlab_server.client(proof.tokens.operator.reveal())
    for path in proof.found.record.projects:
        client.projects.create({"name": path.rpartition("/")[2], "path": path.rpartition("/")[2]})
    assert len(client.projects.list(owned=True)) == 2
    told: list[str] = []
    ended = run.run(
        proof, looked=Looked(0.0, clock.monotonic()), until=deadline.begin(0), decisions="nobody", say=told.append
    )
    look, group, first, *others, deleted = ended.steps
    assert (look.outcome, deleted.outcome) == (Outcome.PASSED, Outcome.PASSED)
    assert (group.outcome, group.detail) == (
        Outcome.NOT_RUN,
        "no --group was given: the projects are in your own namespace",
    )
    assert (first.outcome, first.detail) == (Outcome.FAILED, "the time of the run is over")
    assert {(step.outcome, step.detail) for step in others} == {(Outcome.NOT_RUN, "the time of the run is over")}
    assert others[-1].name == "agent replay"
    assert not ended.passed
    assert "- agent replay: the time of the run is over" in report.markdown_of(ended)
    assert (client.projects.list(owned=True), list(ended.left), proof.place.exists()) == ([], [], False)


def test_a_command_that_does_not_end_is_ended_with_the_time(tmp_path: Path) -> None:
    with saying(lambda _method, _path, _number: Answer(200, delay=_LONG)) as stub:
        command = CommandLine(ROOT, {**TOOL_ENV, "XDG_STATE_HOME": str(tmp_path)}, deadline.begin(1))
        with pytest.raises(ProofFailed, match=r"`factory connect .* did not end before the time of the run was over"):
            command.run("connect", stub.url, "--project", "a/b", "--yes", stdin=Secret("glpat-x"))


@pytest.mark.long
def test_a_step_in_which_the_time_ends_fails_and_all_is_deleted(tmp_path: Path, gitlab_server: LocalGitlab) -> None:
    during, failed = threading.Event(), threading.Event()
    told: list[str] = []

    def say(line: str) -> None:
        told.append(line)
        if line.endswith("  connect"):
            proof.deadline = deadline.begin(3)
            during.set()
        elif during.is_set():
            failed.set()

    with between(gitlab_server.url) as proxy:
        proof = _proof(tmp_path, gitlab_server, deadline.begin(), url=proxy.url)
        # A server that does not answer while this step runs.
        proxy.before = lambda _method, _path: during.is_set() and failed.wait(PATIENCE)
        looked = Looked(0.0, clock.monotonic())
        ended = run.run(proof, looked=looked, until=deadline.begin(0), decisions="nobody", say=say)
    outcomes = {step.name: step.outcome for step in ended.steps}
    details = {step.name: step.detail for step in ended.steps}
    assert outcomes["connect"] is Outcome.FAILED
    assert re.search("the time of the run (is|was) over", details["connect"]), told
    assert details["agent replay"] == "the time of the run is over"
    assert outcomes["delete everything"] is Outcome.PASSED
    client = gitlab_server.client(proof.tokens.operator.reveal())
    assert (client.projects.list(owned=True), list(ended.left), proof.place.exists()) == ([], [], False)
