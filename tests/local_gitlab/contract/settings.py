"""Operations on a project's settings: successful requests and their specific errors."""

from typing import Any

from tests.local_gitlab.contract.world import World
from tests.servers import wait_for


def application_settings(world: World) -> None:
    path, name = "/application/settings", "allow_local_requests_from_web_hooks_and_services"
    world.call("GET", path, 200)
    world.call("GET", path, 403, who="developer")
    world.call("PUT", path, 403, who="developer", json={name: True})
    world.call("PUT", path, 200, json={name: True})
    world.call("PUT", path, 400, json={"default_projects_limit": 42})
    project = world.project()
    hook = project.hooks.create({"url": "http://127.0.0.1:9/", "issues_events": True})
    project.issues.create({"title": "told"})
    base = f"/projects/{project.id}/hooks/{hook.id}/events"
    (event,) = world.call("GET", base, 200).json()
    world.call("POST", f"{base}/{event['id']}/resend", 201)
    world.call("POST", f"{base}/99999/resend", 404)
    world.call("PUT", path, 200, json={name: False})


def hooks(world: World) -> None:
    project = world.project()
    base = f"/projects/{project.id}/hooks"
    hook = project.hooks.create({"url": "https://hooks.example.com/one", "job_events": True, "token": "secret"})
    world.call("POST", base, 400)
    world.call("POST", base, 422, json={"url": "gopher://example.com"})
    world.call("PUT", f"{base}/{hook.id}", 400)
    world.call("PUT", f"{base}/{hook.id}", 422, json={"url": "http://127.0.0.1/"})
    project.hooks.list(get_all=True)
    project.hooks.get(hook.id)
    hook.push_events = False
    hook.save()
    world.call("GET", f"{base}/99999", 404)
    world.call("GET", f"{base}/99999/events", 404)
    hook.delete()


def job_token_scope(world: World) -> None:
    project, other = world.project(), world.project()
    base = f"/projects/{project.id}/job_token_scope"
    scope = project.job_token_scope.get()
    world.call("PATCH", base, 400)
    scope.enabled = False
    scope.save()
    world.call("POST", base + "/allowlist", 400, json={"target_project_id": project.id})
    scope.allowlist.create({"target_project_id": other.id})
    world.call("POST", base + "/allowlist", 400, json={"target_project_id": other.id})
    scope.allowlist.list(get_all=True)
    world.call("DELETE", f"{base}/allowlist/{project.id}", 400)
    scope.allowlist.delete(other.id)


def resource_groups(world: World) -> None:
    project = world.project({".gitlab-ci.yml": "one: {resource_group: tf/live, script: [ls]}"})
    base = f"/projects/{project.id}/resource_groups/tf%2Flive"
    world.jobs(project)
    project.resource_groups.list(get_all=True)
    group = project.resource_groups.get("tf/live")
    world.call("GET", base + "/current_job", 200)
    project.pipelines.create({"ref": "main"})
    wait_for(lambda: group.upcoming_jobs.list(get_all=True))
    world.call("PUT", base, 400, json={"process_mode": "luck"})
    group.process_mode = "oldest_first"
    group.save()
    _end(world, project)
    world.call("GET", base + "/current_job", 200)


def _end(world: World, project: Any) -> None:
    for pipeline in project.pipelines.list(get_all=True):
        world.call("POST", f"/projects/{project.id}/pipelines/{pipeline.id}/cancel", 200)


def namespaces(world: World) -> None:
    group = world.root.groups.create({"name": "Makers", "path": "makers"})
    world.call("POST", "/groups", 400, json={"name": "Makers", "path": "makers"})
    world.call("POST", "/groups", 404, json={"name": "Makers", "path": "under", "parent_id": 99999})
    world.root.groups.list(get_all=True)
    world.root.groups.get("makers")
    world.call("GET", "/groups/root", 404)
    world.call("GET", "/groups", 400, params={"order_by": "luck"})
    world.call("PUT", f"/groups/{group.id}", 200, json={"description": "tools"})
    world.call("PUT", f"/groups/{group.id}", 400, json={})
    world.root.namespaces.list(get_all=True, search="mak")
    world.root.namespaces.get("makers")
    world.call("GET", f"/namespaces/{group.id}", 404, who="stranger")
    world.root.projects.create({"name": "tool", "namespace_id": group.id})
    project = world.project()
    share = f"/projects/{project.id}/share"
    world.call("POST", share, 400, json={"group_id": group.id})
    world.call("POST", share, 404, json={"group_id": 99999, "group_access": 30})
    world.call("POST", share, 201, json={"group_id": group.id, "group_access": 30})
    world.call("POST", share, 409, json={"group_id": group.id, "group_access": 30})
    world.call("DELETE", f"{share}/{group.id}", 204)
    world.call("POST", "/projects", 404, json={"name": "x", "namespace_id": 99999})


def group_members(world: World) -> None:
    group = world.root.groups.create({"name": "Crew", "path": "crew"})
    base, person = f"/groups/{group.id}/members", world.users["stranger"].id
    world.call("POST", base, 400, json={"user_id": person, "access_level": 35})
    world.call("POST", base, 404, json={"user_id": 99999, "access_level": 30})
    member = group.members.create({"user_id": person, "access_level": 30})
    world.call("POST", base, 409, json={"user_id": person, "access_level": 30})
    world.call("POST", base, 403, who="stranger", json={"user_id": person, "access_level": 50})
    under = {"name": "Under", "path": "under", "parent_id": group.id}
    world.call("POST", "/groups", 403, who="stranger", json=under)
    world.call("GET", base, 404, who="developer")
    group.members.list(get_all=True)
    group.members.get(person)
    world.call("GET", f"{base}/99999", 404)
    member.access_level = 40
    member.save()
    world.call("PUT", f"{base}/{person}", 400, json={"access_level": 1})
    world.call("PUT", f"{base}/{person}", 403, who="stranger", json={"access_level": 50})
    world.call("PUT", f"{base}/99999", 404, json={"access_level": 30})
    world.call("DELETE", f"{base}/1", 403)
    world.call("DELETE", f"{base}/99999", 404)
    group.members_all.list(get_all=True)
    group.members_all.get(person)
    world.call("GET", f"{base}/all", 404, who="developer")
    world.call("GET", f"{base}/all/99999", 404)
    world.call("DELETE", f"/groups/{group.id}", 403, who="stranger")
    world.call("PUT", f"/groups/{group.id}", 403, who="stranger", json={"name": "x"})
    world.call("PUT", "/groups/99999", 404, json={"name": "x"})
    group.members.delete(person)
    world.call("DELETE", "/groups/99999", 404)
    world.root.groups.create({"name": "Gone", "path": "gone-soon"}).delete()


def project_settings(world: World) -> None:
    project = world.project()
    base = f"/projects/{project.id}"
    world.call("PUT", base, 400, json={"merge_method": "luck"})
    world.call("PUT", base, 200, json={"squash_option": "never", "build_timeout": 7200})


def push_rule(world: World) -> None:
    project = world.project()
    base = f"/projects/{project.id}/push_rule"
    world.call("GET", base, 200)
    world.call("PUT", base, 404, json={"max_file_size": 1})
    world.call("POST", base, 400)
    project.pushrules.create({"branch_name_regex": "^(main|feature/.*)$"})
    world.call("POST", base, 422, json={"max_file_size": 1})
    world.call("PUT", base, 400, json={"branch_name_regex": "("})
    rule = project.pushrules.get()
    rule.max_file_size = 1
    rule.save()
    rule.delete()


def templates(world: World) -> None:
    project = world.project({".gitlab/issue_templates/Bug report.md": "What happens?\n"})
    base = f"/projects/{project.id}/templates"
    project.issue_templates.list(get_all=True)
    project.issue_templates.get("Bug report")
    world.call("GET", base + "/issues/none", 404)
    world.call("GET", base + "/poems", 400)
    world.call("GET", base + "/poems/one", 400)


SETTINGS = (
    application_settings,
    hooks,
    job_token_scope,
    resource_groups,
    namespaces,
    group_members,
    project_settings,
    push_rule,
    templates,
)
