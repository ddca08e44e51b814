"""Commit statuses through the product's door, against the real server."""

from typing import Any

import pytest

from factory.errors import Refused
from factory.gitlab import statuses
from factory.gitlab.connect import Connection, connect
from tests.servers import LocalGitlab, wait_for

DEVELOPER, MAINTAINER = 30, 40
MERGE_REQUESTS = "workflow: {rules: [{when: always}]}\njob:\n  script: ['true']\n"
CI = "job:\n  script: ['true']\n"


def _member(server: LocalGitlab, project: Any, name: str, level: int) -> Connection:
    user, token = server.user(name)
    project.members.create({"user_id": user.id, "access_level": level})
    return connect(server.url, project.path_with_namespace, account=user.username, token=token)


def test_another_account_s_status_of_the_same_name_and_state_is_not_ones_own(gitlab_server: LocalGitlab) -> None:
    project = gitlab_server.project({".gitlab-ci.yml": CI})
    mine, theirs = (_member(gitlab_server, project, name, DEVELOPER) for name in ("mine", "theirs"))
    change = [{"action": "create", "file_path": "a", "content": "x"}]
    made = {"branch": "topic", "start_branch": "main", "commit_message": "a", "actions": change}
    sha = str(project.commits.create(made).id)
    (pipeline,) = project.pipelines.list(ref="topic", get_all=True)

    def put(connection: Connection) -> tuple[str, str]:
        statuses.put(connection, sha, name="held", state="pending", pipeline=pipeline.id, description="")
        found = project.commits.get(sha).statuses.list(get_all=True, pipeline_id=pipeline.id)
        (held,) = [item for item in found if item.name == "held"]
        return held.author["username"], held.id

    assert put(theirs)[0] == theirs.account
    own = put(mine)
    assert own[0] == mine.account
    assert put(mine) == own, "one's own is set once"


def test_a_developers_pending_status_holds_a_merge_request_open_but_never_main(gitlab_server: LocalGitlab) -> None:
    """Hostile: who may push a branch may also set statuses, of any name."""
    project = gitlab_server.project({".gitlab-ci.yml": MERGE_REQUESTS})
    project.only_allow_merge_if_pipeline_succeeds = True
    project.save()
    bot, developer = (
        _member(gitlab_server, project, name, level) for name, level in (("bot", MAINTAINER), ("developer", DEVELOPER))
    )
    change = [{"action": "create", "file_path": "a", "content": "x"}]
    made = {"branch": "topic", "start_branch": "main", "commit_message": "a", "actions": change}
    sha = str(project.commits.create(made).id)
    request = project.mergerequests.create({"source_branch": "topic", "target_branch": "main", "title": "a"})

    def status(number: int) -> str:
        return str(project.pipelines.get(number).status)

    def ended() -> int:
        found = project.pipelines.list(source="merge_request_event", get_all=True)
        return int(found[0].id) if found and found[0].status == "success" else 0

    number = wait_for(ended)
    statuses.put(bot, sha, name=statuses.APPROVAL, state="pending", pipeline=number, description="")
    assert statuses.open_others(bot, sha, pipeline=number) == ()

    # The developer replaces the factory's status and so releases the merge; the factory's next look holds it again.
    statuses.put(developer, sha, name=statuses.APPROVAL, state="success", pipeline=number, description="")
    wait_for(lambda: status(number) == "success")
    statuses.put(bot, sha, name=statuses.APPROVAL, state="pending", pipeline=number, description="")
    wait_for(lambda: status(number) == "running")

    # One of another name is not the factory's to end: it keeps the pipeline open, and is named.
    statuses.put(developer, sha, name="mine", state="pending", pipeline=number, description="")
    statuses.put(bot, sha, name=statuses.APPROVAL, state="success", pipeline=number, description="")
    assert statuses.open_others(bot, sha, pipeline=number) == (f"mine of {developer.account}",)
    assert status(number) == "running"
    assert project.mergerequests.get(request.iid).detailed_merge_status == "ci_still_running"

    # A new pipeline does not have it.
    project.mergerequests.get(request.iid).pipelines.create({})
    newest = wait_for(lambda: (found := ended()) != number and found)
    assert statuses.open_others(bot, sha, pipeline=newest) == ()
    assert project.mergerequests.get(request.iid).detailed_merge_status == "mergeable"

    project.protectedbranches.create({"name": "main", "push_access_level": 0, "merge_access_level": MAINTAINER})
    main = str(project.branches.get("main").commit["id"])
    (of_main,) = project.pipelines.list(ref="main", get_all=True)
    for name in ("mine", statuses.APPROVAL, "job"):
        with pytest.raises(Refused):
            statuses.put(developer, main, name=name, state="pending", pipeline=of_main.id, description="")
