"""Commit statuses through the product's door, against the real server."""

from factory.gitlab import statuses
from factory.gitlab.connect import Connection, connect
from tests.servers import LocalGitlab

CI = "job:\n  script: ['true']\n"


def test_another_account_s_status_of_the_same_name_and_state_is_not_ones_own(gitlab_server: LocalGitlab) -> None:
    project = gitlab_server.project({".gitlab-ci.yml": CI})

    def developer(name: str) -> Connection:
        user, token = gitlab_server.user(name)
        project.members.create({"user_id": user.id, "access_level": 30})
        return connect(gitlab_server.url, project.path_with_namespace, account=user.username, token=token)

    mine, theirs = developer("mine"), developer("theirs")
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
