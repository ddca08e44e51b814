"""Instance settings: those that are shown have no other value."""

import gitlab
import pytest

from tests.servers import LocalGitlab


def test_a_setting_keeps_the_one_value_that_it_has_here(gitlab_server: LocalGitlab) -> None:
    client, path = gitlab_server.client(), "/application/settings"
    shown = client.settings.get().attributes
    del shown["id"]
    assert client.http_put(path, post_data=shown) == shown | {"id": 1}
    for body in ({"require_two_factor_authentication": True}, {"default_projects_limit": 42}):
        with pytest.raises(gitlab.GitlabHttpError, match="is not supported by the loopback GitLab"):
            client.http_put(path, post_data=body)
