"""CI variables: keys, masked values and scopes that GitLab refuses, and several variables with one key."""

from typing import Any

import gitlab
import pytest

from tests.servers import LocalGitlab


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"key": "A-B", "value": "1"}, "can contain only letters, digits and '_'."),
        ({"key": "A" * 256, "value": "1"}, "is too long (maximum is 255 characters)"),
        ({"key": "A"}, "value is missing"),
        ({"key": "A", "value": "a\0b"}, "value is invalid"),
        ({"key": "A", "value": "short", "masked": True}, "is invalid"),
        ({"key": "A", "value": "two lines\nof text", "masked": True, "raw": True}, "is invalid"),
        ({"key": "A", "value": "dollar$dollar", "masked": True}, "is invalid"),
        ({"key": "A", "value": "short", "masked_and_hidden": True}, "is invalid"),
        ({"key": "A", "value": "1", "environment_scope": "a;b"}, "can contain only letters, digits"),
        ({"key": "A", "value": "1", "variable_type": "luck"}, "variable_type does not have a valid value"),
    ],
)
def test_refused_variables(gitlab_server: LocalGitlab, body: dict[str, Any], reason: str) -> None:
    project = gitlab_server.project()
    with pytest.raises(gitlab.GitlabHttpError) as refused:
        gitlab_server.client().http_post(f"/projects/{project.id}/variables", post_data=body)
    assert refused.value.response_code == 400
    assert reason in str(refused.value.error_message)
    assert project.variables.list(get_all=True) == []


def test_masked_values_may_have_any_characters_but_blanks_if_they_are_raw(gitlab_server: LocalGitlab) -> None:
    project = gitlab_server.project()
    made = project.variables.create({"key": "A", "value": "dollar$dollar", "masked": True, "raw": True})
    with pytest.raises(gitlab.GitlabUpdateError, match="is invalid"):
        project.variables.update("A", {"raw": False})
    assert made.masked


def test_one_key_in_several_scopes(gitlab_server: LocalGitlab) -> None:
    project = gitlab_server.project()
    for scope in ("*", "production"):
        project.variables.create({"key": "A", "value": scope, "environment_scope": scope})
    with pytest.raises(gitlab.GitlabGetError, match="multiple variables") as several:
        project.variables.get("A")
    assert several.value.response_code == 409
    assert project.variables.get("A", filter={"environment_scope": "production"}).value == "production"
    with pytest.raises(gitlab.GitlabGetError, match="404 Variable Not Found"):
        project.variables.get("A", filter={"environment_scope": "review"})
    with pytest.raises(gitlab.GitlabUpdateError, match="has already been taken"):
        project.variables.update("A", {"environment_scope": "*"}, filter={"environment_scope": "production"})
    project.variables.delete("A", filter={"environment_scope": "*"})
    assert [item.environment_scope for item in project.variables.list(get_all=True)] == ["production"]


def test_a_hidden_variable_stays_masked(gitlab_server: LocalGitlab) -> None:
    project = gitlab_server.project()
    project.variables.create({"key": "A", "value": "long-enough", "masked_and_hidden": True})
    with pytest.raises(gitlab.GitlabUpdateError, match="visibility setting cannot be changed"):
        project.variables.update("A", {"masked": False})
    project.variables.update("A", {"value": "other-enough", "description": "why"})
    found = project.variables.get("A")
    assert (found.value, found.masked, found.description) == (None, True, "why")
