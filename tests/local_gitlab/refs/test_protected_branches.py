"""Changes of protected branches: by the ids of their access levels, and on Free only force push."""

from collections.abc import Callable
from typing import Any

import gitlab
import pytest

from tests.servers import LocalGitlab


def patch(server: LocalGitlab, project: Any, name: str, **body: Any) -> Any:
    """Change a rule including its access levels, which python-gitlab's ``save`` cannot do."""
    path = f"/projects/{project.id}/protected_branches/{name}"
    return server.client().http_patch(path, post_data=body)


def person(server: LocalGitlab, project: Any, level: int) -> tuple[Any, Any]:
    """Return a new member, and the project as the member sees it."""
    user, token = server.user("person")
    project.members.create({"user_id": user.id, "access_level": level})
    return user, server.client(token).projects.get(project.id)


def granted(rule: dict[str, Any], action: str) -> list[Any]:
    return [level["user_id"] or level["access_level"] for level in rule[f"{action}_access_levels"]]


def status(call: Callable[[], Any]) -> int:
    with pytest.raises(gitlab.GitlabError) as refused:
        call()
    return int(refused.value.response_code or 0)


def test_levels_have_ids_and_descriptions(gitlab_server: LocalGitlab) -> None:
    project = gitlab_server.project({"a": "1"})
    user, _ = person(gitlab_server, project, 30)
    given = {"allowed_to_push": [{"user_id": user.id}, {"access_level": 40}], "merge_access_level": 0}
    rule = project.protectedbranches.create({"name": "main", **given})
    levels = [*rule.push_access_levels, *rule.merge_access_levels, *rule.unprotect_access_levels]
    assert len({level["id"] for level in levels}) == len(levels) == 4
    assert [level["access_level_description"] for level in levels] == ["person", "Maintainers", "No one", "Maintainers"]
    assert levels[0]["access_level"] is None


def test_entries_without_an_id_are_added_and_others_changed_or_removed(gitlab_server: LocalGitlab) -> None:
    project = gitlab_server.project({"a": "1"})
    user, _ = person(gitlab_server, project, 40)
    rule = project.protectedbranches.create({"name": "rel/*", "push_access_level": 40}).attributes
    first = rule["push_access_levels"][0]["id"]
    rule = patch(gitlab_server, project, "rel%2F*", allowed_to_push=[{"user_id": user.id}])
    assert granted(rule, "push") == [40, user.id]
    rule = patch(gitlab_server, project, "rel%2F*", allowed_to_push=[{"id": first, "access_level": 0}])
    assert granted(rule, "push") == [0, user.id]
    rule = patch(gitlab_server, project, "rel%2F*", allowed_to_push=[{"id": first, "_destroy": True}])
    assert granted(rule, "push") == [user.id]
    assert granted(rule, "merge") == granted(rule, "unprotect") == [40]
    gone = [{"access_level": 30}, {"id": rule["push_access_levels"][0]["id"], "_destroy": True}]
    assert granted(patch(gitlab_server, project, "rel%2F*", allowed_to_push=gone), "push") == [30]
    assert granted(project.protectedbranches.get("rel/*").attributes, "push") == [30]


@pytest.mark.parametrize(
    ("entry", "code", "reason"),
    [
        ({"access_level": 40}, 422, "Merge access levels access level has already been taken"),
        ({"access_level": 35}, 422, "is not included in the list"),
        ({"user_id": 99999}, 422, "Merge access levels user is not a member of the project"),
        ({"group_id": 1}, 422, "group does not have access to the project"),
        ({"id": 99999, "_destroy": True}, 404, "Not Found"),
    ],
)
def test_an_invalid_change_is_refused(
    gitlab_server: LocalGitlab, entry: dict[str, Any], code: int, reason: str
) -> None:
    project = gitlab_server.project({"a": "1"})
    project.protectedbranches.create({"name": "main"})
    with pytest.raises(gitlab.GitlabHttpError, match=reason) as refused:
        patch(gitlab_server, project, "main", allowed_to_merge=[entry])
    assert refused.value.response_code == code
    assert granted(project.protectedbranches.get("main").attributes, "merge") == [40]


def test_only_users_with_unprotect_access_change_a_rule(gitlab_server: LocalGitlab) -> None:
    project = gitlab_server.project({"a": "1"})
    keeper, kept = person(gitlab_server, project, 40)
    _, other = person(gitlab_server, project, 40)
    project.protectedbranches.create({"name": "main", "allowed_to_unprotect": [{"user_id": keeper.id}]})
    assert status(lambda: other.protectedbranches.delete("main")) == 403
    assert status(lambda: other.protectedbranches.update("main", {"allow_force_push": True})) == 403
    kept.protectedbranches.delete("main")


@pytest.mark.parametrize("tier", ["gitlab_server", "free_gitlab"])
def test_an_unknown_level_is_refused(request: pytest.FixtureRequest, tier: str) -> None:
    rules = request.getfixturevalue(tier).project({"a": "1"}).protectedbranches
    for level in (50, "x"):
        given = {"name": "main", "push_access_level": level}
        with pytest.raises(gitlab.GitlabCreateError) as refused:
            rules.create(given)
        assert refused.value.response_code == 400


def test_free_has_only_roles_and_cannot_change_them(free_gitlab: LocalGitlab) -> None:
    project = free_gitlab.project({"a": "1"})
    user, _ = person(free_gitlab, project, 30)
    given = {"allowed_to_push": [{"user_id": user.id}], "merge_access_level": 30, "code_owner_approval_required": True}
    rule = project.protectedbranches.create({"name": "main", **given}).attributes
    assert (granted(rule, "push"), granted(rule, "merge")) == ([40], [30])
    assert not {"unprotect_access_levels", "code_owner_approval_required"} & set(rule)
    wanted = {"push_access_level": 0, "allowed_to_merge": [{"access_level": 0}], "allow_force_push": True}
    changed = patch(free_gitlab, project, "main", **wanted)
    assert (granted(changed, "push"), granted(changed, "merge"), changed["allow_force_push"]) == ([40], [30], True)
    assert status(lambda: project.protectedbranches.create({"name": "main"})) == 409
