"""Premium rules: protected environments, approval rules, and approval settings of a project."""

from typing import Any

import gitlab
import pytest

from tests.servers import LocalGitlab


def environment(server: LocalGitlab, project: Any, **body: Any) -> Any:
    """Change the protected environment ``production/eu``; python-gitlab has no method for this."""
    return server.client().http_put(f"/projects/{project.id}/protected_environments/production%2Feu", post_data=body)


def person(server: LocalGitlab, project: Any) -> int:
    user, _ = server.user("person")
    project.members.create({"user_id": user.id, "access_level": 30})
    return int(user.id)


def test_a_protected_environment_is_changed_by_the_ids_of_its_levels(gitlab_server: LocalGitlab) -> None:
    project = gitlab_server.project()
    someone = person(gitlab_server, project)
    given = {
        "name": "production/eu",
        "deploy_access_levels": [{"access_level": 40}],
        "approval_rules": [{"access_level": 40, "required_approvals": 2}],
    }
    rule = project.protected_environments.create(given).attributes
    level, approval = rule["deploy_access_levels"][0]["id"], rule["approval_rules"][0]["id"]
    rule = environment(
        gitlab_server,
        project,
        deploy_access_levels=[{"user_id": someone}, {"id": level, "_destroy": True}],
        approval_rules=[{"id": approval, "required_approvals": 1}, {"user_id": someone}],
    )
    assert [item["user_id"] for item in rule["deploy_access_levels"]] == [someone]
    found = [(item["access_level"], item["user_id"], item["required_approvals"]) for item in rule["approval_rules"]]
    assert found == [(40, None, 1), (None, someone, 1)]
    assert rule["approval_rules"][0]["id"] == approval
    rule = environment(gitlab_server, project, required_approval_count=3)
    assert (rule["required_approval_count"], len(rule["approval_rules"])) == (3, 2)
    with pytest.raises(gitlab.GitlabHttpError, match="is not a member") as stranger:
        environment(gitlab_server, project, approval_rules=[{"user_id": 99999}])
    assert stranger.value.response_code == 422
    with pytest.raises(gitlab.GitlabHttpError) as unknown:
        environment(gitlab_server, project, approval_rules=[{"id": 99999, "required_approvals": 1}])
    assert unknown.value.response_code == 404


def test_an_approval_rule_silently_drops_non_members(gitlab_server: LocalGitlab) -> None:
    project = gitlab_server.project()
    stranger, _ = gitlab_server.user("stranger")
    someone = person(gitlab_server, project)
    given = {"name": "owners", "approvals_required": 1, "user_ids": [someone, stranger.id]}
    rule = project.approvalrules.create(given)
    assert [user["id"] for user in rule.users] == [someone]
    with pytest.raises(gitlab.GitlabCreateError, match="has already been taken"):
        project.approvalrules.create(given)
    project.approvalrules.update(rule.id, {"name": "keepers", "approvals_required": 2})
    changed = project.approvalrules.get(rule.id)
    assert (changed.name, changed.approvals_required, [user["id"] for user in changed.users]) == (
        "keepers",
        2,
        [someone],
    )
    project.approvalrules.update(rule.id, {"user_ids": []})
    assert project.approvalrules.get(rule.id).users == []
    with pytest.raises(gitlab.GitlabUpdateError, match="less than or equal to 100"):
        project.approvalrules.update(rule.id, {"approvals_required": 101})
    rule.delete()
    assert project.approvalrules.list(get_all=True) == []
    project.approvalrules.create(given)


def test_approval_settings_change_one_by_one(gitlab_server: LocalGitlab) -> None:
    project = gitlab_server.project()
    settings = project.approvals.get()
    assert (settings.reset_approvals_on_push, settings.merge_requests_author_approval) == (True, False)
    settings.merge_requests_disable_committers_approval = True
    settings.save()
    again = project.approvals.get()
    assert (again.reset_approvals_on_push, again.merge_requests_disable_committers_approval) == (True, True)
    with pytest.raises(gitlab.GitlabHttpError, match="at least one parameter must be provided"):
        gitlab_server.client().http_post(f"/projects/{project.id}/approvals")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("get", "protected_environments"),
        ("post", "protected_environments"),
        ("put", "protected_environments/x"),
        ("get", "approval_rules"),
        ("post", "approval_rules"),
        ("put", "approval_rules/1"),
        ("delete", "approval_rules/1"),
        ("get", "approvals"),
        ("post", "approvals"),
    ],
)
def test_free_has_no_premium_approvals(free_gitlab: LocalGitlab, method: str, path: str) -> None:
    project = free_gitlab.project()
    with pytest.raises(gitlab.GitlabHttpError) as refused:
        getattr(free_gitlab.client(), f"http_{method}")(f"/projects/{project.id}/{path}")
    assert refused.value.response_code == 404


@pytest.mark.parametrize(
    ("author", "committers", "taken"), [(True, False, True), (False, False, False), (True, True, False)]
)
def test_authors_approve_if_the_project_allows_it(
    gitlab_server: LocalGitlab,
    author: bool,  # noqa: FBT001 - pytest gives parameters so
    committers: bool,  # noqa: FBT001
    taken: bool,  # noqa: FBT001
) -> None:
    project = gitlab_server.project({"README": "x"})
    person, token = gitlab_server.user("person")
    project.members.create({"user_id": person.id, "access_level": 40})
    settings = project.approvals.get()
    settings.merge_requests_author_approval = author
    settings.merge_requests_disable_committers_approval = committers
    settings.save()
    theirs = gitlab_server.client(token).projects.get(project.id)
    action = {"action": "create", "file_path": "mine", "content": "x"}
    theirs.commits.create({"branch": "own", "start_branch": "main", "commit_message": "own", "actions": [action]})
    request = theirs.mergerequests.create({"source_branch": "own", "target_branch": "main", "title": "own"})
    assert request.approvals.get().user_can_approve is taken
    if taken:
        request.approve()
    else:
        with pytest.raises(gitlab.GitlabAuthenticationError):
            request.approve()


def test_a_rule_of_a_group_for_one_protected_branch(gitlab_server: LocalGitlab) -> None:
    project = gitlab_server.project({"a": "1"})
    user, token = gitlab_server.user("approver")
    project.members.create({"user_id": user.id, "access_level": 30})
    group = gitlab_server.client().groups.create({"name": user.username, "path": f"g-{user.username}"})
    group.members.create({"user_id": user.id, "access_level": 30})
    for branch in ("kept", "open"):
        project.branches.create({"branch": branch, "ref": "main"})
    protected = project.protectedbranches.create({"name": "kept"})
    given = {
        "name": "g",
        "approvals_required": 1,
        "group_ids": [group.id, 99999],
        "protected_branch_ids": [protected.id],
    }
    rule = project.approvalrules.create(given)
    assert [item["id"] for item in rule.groups] == [group.id]
    assert user.id in [item["id"] for item in rule.eligible_approvers]
    assert [item["name"] for item in rule.protected_branches] == ["kept"]
    with pytest.raises(gitlab.GitlabUpdateError, match="404"):
        project.approvalrules.update(rule.id, {"protected_branch_ids": [99999]})
    change = [{"action": "create", "file_path": "b", "content": "1"}]
    project.commits.create({"branch": "x", "start_branch": "main", "commit_message": "b", "actions": change})
    kept, free = (
        project.mergerequests.create({"source_branch": "x", "target_branch": target, "title": "b"})
        for target in ("kept", "open")
    )
    assert (kept.approvals.get().approvals_left, free.approvals.get().approvals_left) == (1, 0)
    gitlab_server.client(token).projects.get(project.id).mergerequests.get(kept.iid).approve()
    assert kept.approvals.get().approvals_left == 0


def test_only_one_rule_may_be_satisfied_by_anyone(gitlab_server: LocalGitlab) -> None:
    project = gitlab_server.project()
    given = {"name": "All", "approvals_required": 1, "rule_type": "any_approver"}
    assert project.approvalrules.create(given).rule_type == "any_approver"
    for body, reason in (
        ({**given, "name": "More"}, "any-approver for the project already exists"),
        ({**given, "name": "x", "rule_type": "luck"}, "rule_type does not have a valid value"),
        ({"name": "x", "approvals_required": 1, "report_type": "code_coverage"}, "report_type is not supported"),
    ):
        with pytest.raises(gitlab.GitlabCreateError, match=reason):
            project.approvalrules.create(body)
