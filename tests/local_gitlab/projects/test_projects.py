"""Project settings, and the namespaces of projects."""

from typing import Any

import gitlab
import pytest
import requests

from tests.servers import LocalGitlab

# GitLab docs: Projects API; settings of a new project.
DEFAULTS = {
    "description": None,
    "visibility": "private",
    "merge_method": "merge",
    "squash_option": "default_off",
    "only_allow_merge_if_pipeline_succeeds": False,
    "allow_merge_on_skipped_pipeline": False,
    "only_allow_merge_if_all_discussions_are_resolved": False,
    "remove_source_branch_after_merge": True,
    "public_jobs": True,
    "ci_config_path": None,
    "ci_forward_deployment_enabled": True,
    "ci_allow_fork_pipelines_to_run_in_parent_project": True,
    "ci_pipeline_variables_minimum_override_role": "developer",
    "auto_cancel_pending_pipelines": "enabled",
    "build_timeout": 3600,
    "keep_latest_artifact": True,
    "shared_runners_enabled": True,
}
OTHERS = {
    "description": "tools",
    "visibility": "internal",
    "merge_method": "ff",
    "squash_option": "always",
    "ci_config_path": "ci/main.yml",
    "ci_pipeline_variables_minimum_override_role": "no_one_allowed",
    "auto_cancel_pending_pipelines": "disabled",
    "build_timeout": 600,
}


def shown(project: Any) -> dict[str, Any]:
    return {name: project.attributes[name] for name in DEFAULTS}


@pytest.mark.parametrize("tier", ["gitlab_server", "free_gitlab"])
def test_every_setting_is_stored_and_shown(request: pytest.FixtureRequest, tier: str) -> None:
    server = request.getfixturevalue(tier)
    project = server.project(merge_method="merge")
    assert shown(project) == DEFAULTS
    wanted = {name: OTHERS.get(name, not value) for name, value in DEFAULTS.items()}
    for name, value in wanted.items():
        server.client().http_put(f"/projects/{project.id}", post_data={name: value})
    assert shown(server.client().projects.get(project.id)) == wanted
    assert shown(server.project(**wanted)) == wanted


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"merge_method": "luck"}, "merge_method does not have a valid value"),
        ({"squash_option": ""}, "squash_option does not have a valid value"),
        ({"visibility": "secret"}, "visibility does not have a valid value"),
        ({"ci_pipeline_variables_minimum_override_role": "guest"}, "does not have a valid value"),
        ({"public_jobs": "maybe"}, "public_jobs is invalid"),
        ({"build_timeout": "long"}, "build_timeout is invalid"),
        ({"build_timeout": 599}, "needs to be between 10 minutes and 1 month"),
        ({"ci_config_path": "ci.yml@other/project"}, "definition of another project or server is not supported"),
        ({"ci_config_path": "ci.yml@other/project:main"}, "definition of another project or server"),
        ({"ci_config_path": "https://127.0.0.1/ci.yml"}, "definition of another project or server"),
        ({"ci_config_path": "../ci.yml"}, "cannot include leading slash or directory traversal"),
        ({"no_such_setting": True}, "at least one parameter must be provided"),
    ],
)
def test_an_invalid_value_is_refused(gitlab_server: LocalGitlab, body: dict[str, Any], reason: str) -> None:
    project = gitlab_server.project(merge_method="merge")
    with pytest.raises(gitlab.GitlabHttpError, match=reason) as refused:
        gitlab_server.client().http_put(f"/projects/{project.id}", post_data=body)
    assert refused.value.response_code == 400
    assert shown(gitlab_server.client().projects.get(project.id)) == DEFAULTS


@pytest.mark.parametrize(
    "body",
    [{"lfs_enabled": True}, {"wiki_access_level": "enabled"}, {"emails_enabled": False}, {"path": "elsewhere"}],
)
def test_a_setting_that_would_have_no_effect_is_refused(gitlab_server: LocalGitlab, body: dict[str, Any]) -> None:
    project = gitlab_server.project()
    for more in ({}, {"description": "x"}):
        with pytest.raises(gitlab.GitlabHttpError, match="is not supported by the loopback GitLab"):
            gitlab_server.client().http_put(f"/projects/{project.id}", post_data=body | more)
    assert gitlab_server.client().projects.get(project.id).description is None


def test_a_setting_with_one_value_may_be_given_that_value(gitlab_server: LocalGitlab) -> None:
    given: dict[str, Any] = {"builds_access_level": "enabled", "snippets_enabled": False, "description": "x"}
    project = gitlab_server.project(**given)
    assert {name: project.attributes[name] for name in given} == given


@pytest.mark.parametrize(
    ("given", "topics"),
    [(["b", "a"], ["b", "a"]), ("b, a", ["b", "a"]), (["One", "one", "two"], ["One", "two"]), ([], [])],
)
def test_topics(gitlab_server: LocalGitlab, given: Any, topics: list[str]) -> None:
    project = gitlab_server.project(topics=["before"])
    for name in ("topics", "tag_list"):
        gitlab_server.client().http_put(f"/projects/{project.id}", post_data={name: given})
        found = gitlab_server.client().projects.get(project.id)
        assert (found.topics, found.tag_list) == (topics, topics)
    with pytest.raises(gitlab.GitlabHttpError, match="is too long"):
        gitlab_server.client().http_put(f"/projects/{project.id}", post_data={"topics": ["a" * 256]})


def test_a_maintainer_changes_all_settings_except_the_owners(gitlab_server: LocalGitlab) -> None:
    project = gitlab_server.project()
    person, token = gitlab_server.user("maintainer")
    project.members.create({"user_id": person.id, "access_level": 40})
    client, path = gitlab_server.client(token), f"/projects/{project.id}"
    role = "ci_pipeline_variables_minimum_override_role"
    client.http_put(path, post_data={"merge_method": "ff", role: "no_one_allowed"})
    for body, code in (({"visibility": "private"}, 403), ({"name": "other"}, 403), ({role: "developer"}, 400)):
        with pytest.raises(gitlab.GitlabHttpError) as refused:
            client.http_put(path, post_data=body)
        assert refused.value.response_code == code


@pytest.mark.parametrize(("least", "level", "taken"), [("maintainer", 30, False), ("maintainer", 40, True)])
def test_only_sufficient_roles_pass_variables_to_pipelines(
    gitlab_server: LocalGitlab,
    least: str,
    level: int,
    taken: bool,  # noqa: FBT001 - parametrized
) -> None:
    project = gitlab_server.project({".gitlab-ci.yml": "look: {script: [ls]}"})
    person, token = gitlab_server.user("person")
    project.members.create({"user_id": person.id, "access_level": level})
    given = {"ci_pipeline_variables_minimum_override_role": least}
    gitlab_server.client().http_put(f"/projects/{project.id}", post_data=given)
    theirs = gitlab_server.client(token).projects.get(project.id)
    start = {"ref": "main", "variables": [{"key": "A", "value": "1"}]}
    schedule = theirs.pipelineschedules.create({"description": "x", "ref": "main", "cron": "23 4 * * *"})
    if taken:
        assert theirs.pipelines.create(start).id
        assert schedule.variables.create({"key": "A", "value": "1"}).key == "A"
        return
    with pytest.raises(gitlab.GitlabCreateError) as refused:
        schedule.variables.create({"key": "A", "value": "1"})
    assert refused.value.response_code == 403
    with pytest.raises(gitlab.GitlabCreateError, match="Insufficient permissions to set pipeline variables"):
        theirs.pipelines.create(start)
    assert theirs.pipelines.create({"ref": "main"}).id


def test_a_namespace_shows_the_plan_to_its_owner(gitlab_server: LocalGitlab, free_gitlab: LocalGitlab) -> None:
    for server, plan in ((gitlab_server, "premium"), (free_gitlab, "free")):
        project = server.project()
        namespace = server.client().namespaces.get(project.namespace["id"])
        assert (namespace.full_path, namespace.kind, namespace.plan) == ("root", "user", plan)
        metadata = server.client().http_get("/metadata")
        assert (metadata["enterprise"], set(metadata)) == (  # type: ignore[index]
            plan != "free",
            {"version", "revision", "kas", "enterprise"},
        )


def test_a_group_contains_projects(gitlab_server: LocalGitlab) -> None:
    client = gitlab_server.client()
    group = client.groups.create({"name": "The Makers", "path": "the-makers", "visibility": "private"})
    below = client.groups.create({"name": "Tools", "path": "tools", "parent_id": group.id})
    assert (below.full_path, below.parent_id) == ("the-makers/tools", group.id)
    project = client.projects.create({"name": "saw", "namespace_id": below.id})
    assert (project.path_with_namespace, project.namespace["kind"]) == ("the-makers/tools/saw", "group")
    assert client.groups.get("the-makers/tools").id == below.id == client.namespaces.get("the-makers/tools").id
    with pytest.raises(gitlab.GitlabCreateError, match="has already been taken"):
        client.groups.create({"name": "x", "path": "the-makers"})
    person, token = gitlab_server.user("person")
    theirs = gitlab_server.client(token)
    with pytest.raises(gitlab.GitlabGetError) as unseen:
        theirs.groups.get(group.id)
    assert unseen.value.response_code == 404
    project.members.create({"user_id": person.id, "access_level": 10})
    assert "plan" not in theirs.namespaces.get(below.id).attributes
    seen = {item.full_path for item in theirs.groups.list(get_all=True)}
    assert {"the-makers", "the-makers/tools"} & seen == {"the-makers/tools"}
    with pytest.raises(gitlab.GitlabCreateError) as foreign:
        theirs.projects.create({"name": "mine", "namespace_id": below.id})
    assert foreign.value.response_code == 404


def test_a_job_has_the_projects_timeout_unless_it_sets_one(free_gitlab: LocalGitlab) -> None:
    definition = "a: {script: [ls]}\nb: {script: [ls], timeout: 2h}\n"
    project = free_gitlab.project({".gitlab-ci.yml": definition}, build_timeout=900)
    made: Any = free_gitlab.client().http_post("/user/runners", post_data={"runner_type": "instance_type"})
    url = f"{free_gitlab.url}/api/v4/jobs/request"
    found: dict[str, int] = {}
    while len(found) < 2:
        job = requests.post(url, json={"token": made["token"]}, timeout=30).json()
        if job["job_info"]["project_id"] == project.id:
            found[job["job_info"]["name"]] = job["runner_info"]["timeout"]
    assert found == {"a": 900, "b": 7200}


@pytest.mark.parametrize(("name", "path"), [("My Shop!", "my-shop"), ("a.b_C", "a.b_C"), ("x.git", "x-git")])
def test_a_path_is_derived_from_the_name(gitlab_server: LocalGitlab, name: str, path: str) -> None:
    made = gitlab_server.client().projects.create({"name": name})
    assert (made.name, made.path) == (name, path)


def test_invalid_names_are_refused(gitlab_server: LocalGitlab) -> None:
    create = gitlab_server.client().projects.create
    for given in ({"name": "x", "path": "-x"}, {"name": "!"}, {"name": "x", "default_branch": "a..b"}):
        with pytest.raises(gitlab.GitlabCreateError) as refused:
            create(given)
        assert refused.value.response_code == 400


def test_a_repository_left_by_a_crash_is_replaced(gitlab_server: LocalGitlab) -> None:
    last = gitlab_server.project()
    left = gitlab_server.state / "repositories" / f"{last.id + 1}.git"
    left.mkdir()
    (left / "HEAD").write_text("half")
    assert gitlab_server.project({"a": "1"}).files.get("a", ref="main").decode() == b"1"
