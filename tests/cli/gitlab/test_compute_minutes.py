"""``factory status`` on a connected project: minutes spent and left on hosted runners."""

import json
from pathlib import Path

import pytest

from tests.cli.gitlab.test_connect import Here
from tests.servers import LocalGitlab, git


@pytest.mark.long
def test_status_shows_minutes_where_gitlab_counts_them(tmp_path: Path, free_gitlab: LocalGitlab) -> None:
    here = Here(tmp_path, free_gitlab)
    here.connected()
    assert "compute minutes" not in here.run("status").stdout
    path = f"/namespaces/{here.operator.username}"
    free_gitlab.client().http_put(path, post_data={"shared_runners_minutes_limit": 400})
    assert f"compute minutes of {here.operator.username} this month: 0 spent, 400 left\n" in here.run("status").stdout
    free_gitlab.client().http_put(path, post_data={"shared_runners_minutes_limit": 4})
    assert "factory --instance gitlab gitlab runners register" in here.run("status").stdout
    found = json.loads(here.run("status", "--json").stdout)["compute_minutes"]
    assert found == {"namespace": here.operator.username, "spent": 0, "left": 4}
    rules = here.instance.clone / "policies/gitlab.yml"
    rules.write_text(rules.read_text().replace("variables: {}", "variables: {FACTORY_RUNNERS: {value: own}}"))
    git("commit", "-qam", "Use our own runners", cwd=here.instance.clone)
    assert json.loads(here.run("status", "--json").stdout)["compute_minutes"] is None
