"""The list of branches and its filters."""

import gitlab
import pytest

from tests.servers import LocalGitlab


def test_filters_of_branches(gitlab_server: LocalGitlab) -> None:
    project = gitlab_server.project({"a": "1"})
    for name in ("fix/one", "fix/Two", "unfix"):
        project.branches.create({"branch": name, "ref": "main"})

    def found(**filters: str) -> list[str]:
        return [branch.name for branch in project.branches.list(get_all=True, **filters)]

    assert found() == ["fix/Two", "fix/one", "main", "unfix"]
    assert found(search="FIX") == ["fix/Two", "fix/one", "unfix"]
    assert found(search="^fix") == found(regex="^fix/.*$") == ["fix/Two", "fix/one"]
    assert found(search="fix$") == found(regex="fix$") == ["unfix"]
    assert found(search="^main$") == found(regex="^main$") == ["main"]
    for filters in ({"regex": "fix|main"}, {"sort": "updated_desc"}):
        with pytest.raises(gitlab.GitlabListError, match="is not supported by the loopback GitLab"):
            found(**filters)
