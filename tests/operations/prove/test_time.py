"""A run that runs out of time: what it made is deleted, and the report says what was not tried."""

from dataclasses import replace
from pathlib import Path

from factory.gitlab import accounts
from factory.gitlab.connect import connect
from factory.model.secret import Secret
from factory.operations.prove import deadline, report, run
from factory.operations.prove import record as records
from factory.operations.prove.report import Outcome, Server
from factory.operations.prove.request import Found, Request, Tokens
from factory.operations.prove.run import Looked
from factory.operations.prove.steps import Proof
from factory.system import clock
from tests.servers import ROOT, TOOL_ENV, LocalGitlab


def test_without_time_everything_is_deleted_and_the_rest_is_not_run(tmp_path: Path, gitlab_server: LocalGitlab) -> None:
    person, token = gitlab_server.user("jane")
    client = gitlab_server.client(token)
    connection = connect(gitlab_server.url, "", account=person.username, token=token)
    operator = accounts.look(connection)
    made = records.plan(gitlab_server.url, parent=person.username, group=False)
    for path in made.projects:
        client.projects.create({"name": path.rpartition("/")[2], "path": path.rpartition("/")[2]})
    assert len(client.projects.list(owned=True)) == 2
    secret = Secret(token)
    proof = Proof(
        request=Request(gitlab_server.url, "", "", ("replay",), {}),
        tokens=Tokens(secret, secret, secret, Secret("")),
        found=Found(Server("127.0.0.1", loopback=True), operator, replace(operator, username="bot"), made),
        source=ROOT,
        place=tmp_path / made.suffix,
        env=TOOL_ENV,
        person=TOOL_ENV,
        deadline=deadline.begin(0),
        decide=lambda _question, _shown: None,
    )
    told: list[str] = []
    ended = run.run(
        proof, looked=Looked(0.0, clock.monotonic()), until=deadline.begin(60), decisions="nobody", say=told.append
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
