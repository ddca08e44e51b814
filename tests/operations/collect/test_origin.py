"""Whose a merge request is: decided from GitLab's record of pushes, asked over HTTP of the loopback GitLab."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factory.errors import Unreachable
from factory.gitlab.branches import Push
from factory.model.facts import Origin
from factory.operations.collect import origin
from tests.servers import LocalGitlab, git, with_token

ME, AGENT = "operator", "factory-agent"
HEAD, FIRST, OTHER = "c" * 40, "b" * 40, "a" * 40
COMMITS = {HEAD, FIRST}


def decided(*pushes: Push, author: str = ME) -> Origin:
    return origin.decide(author, "mine", HEAD, COMMITS, pushes)


@pytest.mark.parametrize(
    ("pushes", "pushers"),
    [
        ([Push(ME, "mine", HEAD)], (ME,)),
        ([Push(ME, "mine", HEAD), Push(AGENT, "mine", FIRST)], (AGENT, ME)),
        ([Push(ME, "mine", HEAD), Push(AGENT, "theirs", FIRST)], (AGENT, ME)),
        ([Push(ME, "mine", HEAD), Push(AGENT, "mine", OTHER)], (AGENT, ME)),
        ([Push(ME, "mine", HEAD), Push(AGENT, "mine", "")], (AGENT, ME)),
        ([Push(ME, "mine", HEAD), Push(AGENT, "", "")], (AGENT, ME)),
        ([Push(ME, "mine", HEAD), Push(AGENT, "theirs", OTHER)], (ME,)),
        ([Push(AGENT, "theirs", HEAD)], (AGENT,)),
        ([Push(ME, "mine", HEAD), Push("bot", "main", HEAD)], (ME,)),
    ],
)
def test_a_push_counts_by_its_branch_or_its_commit(pushes: list[Push], pushers: tuple[str, ...]) -> None:
    assert decided(*pushes) == Origin(ME, pushers, "mine")


@pytest.mark.parametrize("pushes", [[], [Push(ME, "mine", FIRST)], [Push(ME, "", "")]])
def test_without_a_push_of_the_head_the_accounts_are_unknown(pushes: list[Push]) -> None:
    found = decided(*pushes)
    assert (found.author, found.pushers) == ("", ())
    assert found.problem == "who pushed cccccccccccc is unknown: GitLab names no push of it"


PUSHES = st.builds(
    Push,
    st.sampled_from([ME, AGENT, "other"]),
    st.sampled_from(["mine", "theirs", ""]),
    st.sampled_from([HEAD, FIRST, OTHER, ""]),
)


@given(st.lists(PUSHES, max_size=8), PUSHES)
def test_more_pushes_never_hide_a_pusher(pushes: list[Push], more: Push) -> None:
    before, after = decided(*pushes), decided(*pushes, more)
    assert set(before.pushers) <= set(after.pushers)
    assert not before.author or after.author


def job(server: LocalGitlab, project: Any, iid: int, token: str) -> dict[str, str]:
    """Return the environment of a job of a merge request, started by a person."""
    return {
        "CI": "true",
        "CI_SERVER_URL": server.url,
        "CI_PROJECT_PATH": project.path_with_namespace,
        "CI_MERGE_REQUEST_IID": str(iid),
        "CI_MERGE_REQUEST_SOURCE_BRANCH_NAME": "mine",
        "GITLAB_USER_LOGIN": ME,
        origin.VARIABLE: token,
    }


def test_who_pushed_is_read_from_gitlab(gitlab_server: LocalGitlab, tmp_path: Path) -> None:
    project = gitlab_server.project({"a": "1"})
    (person, persons), (agent, agents) = gitlab_server.user("person"), gitlab_server.user("agent")
    for user in (person, agent):
        project.members.create({"user_id": user.id, "access_level": 30})
    reader = person.personal_access_tokens.create({"name": "judge", "scopes": ["read_api"]}).token
    git("clone", "-q", with_token(project.http_url_to_repo, persons), str(tmp_path / "w"), cwd=tmp_path)

    def push(token: str, text: str) -> None:
        (tmp_path / "w/a").write_text(text)
        # The addresses say nothing: both write the other's.
        git("commit", "-qam", text, "--author", "x <person@localhost>", cwd=tmp_path / "w")
        url = with_token(project.http_url_to_repo, token)
        git("push", "-q", url, "HEAD:refs/heads/mine", cwd=tmp_path / "w")

    push(persons, "2")
    request = (
        gitlab_server.client(persons)
        .projects.get(project.id)
        .mergerequests.create({"source_branch": "mine", "target_branch": "main", "title": "t"})
    )
    given = job(gitlab_server, project, request.iid, reader)
    assert origin.in_job(given) == Origin(person.username, (person.username,), "mine")
    push(agents, "3")
    push(persons, "4")
    # Whoever starts the pipeline again, the agent's commit is one of the merge request's.
    expected = tuple(sorted((agent.username, person.username)))
    assert origin.in_job(given) == Origin(person.username, expected, "mine")


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({origin.VARIABLE: ""}, "this job has no FACTORY_TOKEN_JUDGE"),
        ({origin.VARIABLE: "wrong"}, "the token in FACTORY_TOKEN_JUDGE: GitLab refused"),
        ({"CI_MERGE_REQUEST_IID": "77"}, "404"),
        ({"CI_MERGE_REQUEST_IID": ""}, "this is no merge request's job"),
    ],
)
def test_without_an_answer_the_accounts_are_unknown(
    gitlab_server: LocalGitlab, changed: dict[str, str], problem: str
) -> None:
    project = gitlab_server.project({"a": "1"})
    found = origin.in_job(job(gitlab_server, project, 1, gitlab_server.root_token) | changed)
    assert found.author == ""
    assert found.branch == "mine"
    assert problem in found.problem


def test_a_server_that_is_down_is_no_answer(gitlab_server: LocalGitlab) -> None:
    project = gitlab_server.project({"a": "1"})
    with pytest.raises(Unreachable):
        origin.in_job(job(gitlab_server, project, 1, "x") | {"CI_SERVER_URL": "http://127.0.0.1:9"})
