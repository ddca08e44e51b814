"""Operations outside pipelines: successful requests and their specific errors."""

from typing import Any

from factory.local_gitlab.ci import oidc
from tests.local_gitlab.contract.world import World


def accounts(world: World) -> None:
    world.root.auth()
    world.root.version()
    world.call("GET", "/metadata", 200)
    for path in (oidc.DISCOVERY, oidc.KEYS):
        world.call("GET", path, 200, who=None, prefix="")
    made = world.root.users.create({"username": "anna", "name": "Anna", "email": "anna@localhost"})
    world.call("POST", "/users", 409, json={"username": "anna"})
    world.call("POST", "/users", 400)
    world.call("POST", "/users", 403, who="guest")
    world.root.users.get(made.id)
    world.client("guest").users.list(get_all=True)
    world.call("GET", "/users/99999", 404)
    token = made.personal_access_tokens.create({"name": "one", "scopes": ["api"]})
    tokens = f"/users/{made.id}/personal_access_tokens"
    world.call("POST", tokens, 400)
    world.call("POST", tokens, 403, who="guest", json={"name": "x"})
    world.call("POST", "/users/99999/personal_access_tokens", 404, json={"name": "x"})
    world.root.personal_access_tokens.get("self")
    world.call("DELETE", f"/personal_access_tokens/{token.id}", 403, who="guest")
    world.call("DELETE", "/personal_access_tokens/99999", 404)
    world.root.personal_access_tokens.delete(token.id)
    world.call("GET", "/users", 400, params={"order_by": "luck"})
    world.call("GET", "/projects", 400, params={"sort": "luck"})
    world.call("PUT", "/namespaces/anna", 404, json={"shared_runners_minutes_limit": 400})
    world.call("PUT", "/namespaces/root", 200, json={"shared_runners_minutes_limit": 400})
    world.call("PUT", "/namespaces/root", 400, json={})
    world.call("PUT", "/namespaces/root", 403, who="guest", json={"shared_runners_minutes_limit": 400})
    owned = world.root.groups.create({"name": "Owned", "path": "owned"})
    owned.members.create({"user_id": made.id, "access_level": 50})
    owned.members.delete(world.root.users.list(username="root", get_all=True)[0].id)
    world.call("DELETE", f"/users/{made.id}", 403, who="guest")
    world.call("DELETE", f"/users/{made.id}", 409)
    world.call("DELETE", f"/users/{made.id}", 204, params={"hard_delete": True})
    world.call("DELETE", f"/users/{made.id}", 404)


def service_accounts(world: World) -> None:
    group = world.root.groups.create({"name": "Served", "path": "served"})
    below = world.root.groups.create({"name": "Below", "path": "below", "parent_id": group.id})
    base = f"/groups/{group.id}/service_accounts"
    made = group.service_accounts.create({"name": "Bot", "username": "served-bot"})
    group.service_accounts.list(get_all=True)
    token = made.access_tokens.create({"name": "t", "scopes": ["api"]})
    made.access_tokens.list(get_all=True)
    own = f"{base}/{made.id}"
    tokens = f"{own}/personal_access_tokens"
    group.members.create({"user_id": world.users["guest"].id, "access_level": 40})
    every = (("GET", base), ("POST", base), ("DELETE", own), ("GET", tokens), ("POST", tokens))
    for method, path in (*every, ("DELETE", f"{tokens}/{token.id}")):
        world.call(method, path, 403, who="guest", json={})
        world.call(method, path.replace(f"/{group.id}/", "/99999/"), 404, json={})
        world.call(method, path.replace(f"/{group.id}/", f"/{below.id}/"), 400, json={})
    world.call("DELETE", f"{tokens}/99999", 404)
    made.access_tokens.delete(token.id)
    made.delete()


def members(world: World) -> None:
    project = world.project()
    bot = project.access_tokens.create({"name": "bot", "scopes": ["api"], "access_level": 30})
    world.call("GET", "/user", 200, who=None, headers={"Authorization": f"Bearer {bot.token}"})
    project.access_tokens.list(get_all=True)
    base = f"/projects/{project.id}/members"
    world.call("POST", f"/projects/{project.id}/access_tokens", 400, json={"access_level": 30})
    stranger = world.users["stranger"].id
    world.call("POST", base, 400, json={"user_id": stranger})
    member = project.members.create({"user_id": stranger, "access_level": 20})
    world.call("POST", base, 409, json={"user_id": stranger, "access_level": 20})
    member.access_level = 30
    member.save()
    world.call("PUT", f"{base}/{stranger}", 400, json={})
    project.members.get(stranger)
    project.members_all.get(stranger)
    project.members.list(get_all=True)
    project.members_all.list(get_all=True)
    project.members.delete(stranger)


def settings(world: World) -> None:
    project = world.project({"README.md": "x\n"}, description="one")
    world.root.projects.list(get_all=True)
    world.call("POST", "/projects", 400)
    world.call("POST", "/projects", 400, json={"name": project.name})
    project.merge_method = "ff"
    project.save()
    base = f"/projects/{project.id}"
    world.call("POST", f"{base}/archive", 201)
    world.call("POST", f"{base}/unarchive", 201)
    world.call("PUT", base, 200, files={"avatar": ("face.png", b"1")})
    world.call("GET", f"{base}/avatar", 200)
    gone = world.project({"a": "1"})
    world.call("DELETE", f"/projects/{gone.id}", 403, who="maintainer")
    gone.delete()
    world.call("GET", f"/projects/{gone.id}", 404)
    label = project.labels.create({"name": "a::b", "color": "#112233"})
    labels = f"/projects/{project.id}/labels"
    world.call("POST", labels, 400, json={"name": "c"})
    world.call("POST", labels, 409, json={"name": "a::b", "color": "#112233"})
    project.labels.list(get_all=True)
    project.labels.get("a::b")
    world.call("GET", f"/projects/{world.project().id}/labels/{label.id}", 404)
    label.description = "changed"
    label.save()
    world.call("PUT", labels, 400)
    world.call("PUT", f"{labels}/{label.id}", 200, json={"new_name": "a::c"})
    project.labels.delete("a::c")
    project.variables.create({"key": "A", "value": "1"})
    hidden = project.variables.create({"key": "H", "value": "long-enough", "masked_and_hidden": True})
    world.call("POST", f"/projects/{project.id}/variables", 400, json={"key": "A", "value": "2"})
    project.variables.list(get_all=True)
    project.variables.get("A", filter={"environment_scope": "*"})
    project.variables.update("A", {"value": "2", "masked": False})
    assert hidden.value is None
    project.variables.create({"key": "A", "value": "1", "environment_scope": "x"})
    for method in ("GET", "PUT", "DELETE"):
        world.call(method, f"/projects/{project.id}/variables/A", 409)
    world.call("PUT", f"/projects/{project.id}/variables/H", 400, json={"masked": False})
    project.variables.delete("A", filter={"environment_scope": "x"})
    project.variables.delete("A")


def issues(world: World) -> None:
    project = world.project()
    issue = project.issues.create({"title": "one", "labels": ["a", "b"]})
    base = f"/projects/{project.id}/issues"
    world.call("POST", base, 400)
    world.call("GET", base, 400, params={"order_by": "luck"})
    world.call("GET", f"{base}/99999", 404)
    world.call("PUT", f"{base}/{issue.iid}", 403, who="guest", json={"title": "x"})
    world.call("PUT", f"{base}/{issue.iid}", 400, json={"state_event": "luck"})
    issue.state_event = "close"
    issue.save()
    project.issues.list(get_all=True, iids=[issue.iid], state="closed")
    project.issues.get(issue.iid)
    _notes(world, issue, f"{base}/{issue.iid}/notes")
    world.call("DELETE", f"{base}/{issue.iid}", 403, who="maintainer")
    issue.delete()


def _notes(world: World, target: Any, path: str) -> None:
    note = target.notes.create({"body": "hello"})
    world.call("POST", path, 400)
    world.call("PUT", f"{path}/{note.id}", 400)
    world.call("PUT", f"{path}/{note.id}", 403, who="guest", json={"body": "x"})
    world.call("DELETE", f"{path}/{note.id}", 403, who="guest")
    world.call("GET", f"{path}/99999", 404)
    note.body = "changed"
    note.save()
    target.notes.get(note.id)
    target.notes.list(get_all=True)
    note.delete()


def milestones(world: World) -> None:
    project = world.project()
    base = f"/projects/{project.id}/milestones"
    made = project.milestones.create({"title": "one", "due_date": "2020-01-31"})
    assert made.expired
    world.call("POST", base, 400, json={"title": "one"})
    project.milestones.list(get_all=True, state="active")
    project.milestones.get(made.id)
    made.state_event = "close"
    made.save()
    world.call("PUT", f"{base}/{made.id}", 400, json={"due_date": "soon"})
    issue = project.issues.create({"title": "one", "milestone_id": made.id})
    assert issue.milestone["title"] == "one"
    assert world.call("PUT", f"/projects/{project.id}/issues/{issue.iid}", 200, json={"milestone_id": 0}).json()
    assert project.issues.get(issue.iid).milestone is None
    made.delete()


def links(world: World) -> None:
    project = world.project()
    one, two, three = (project.issues.create({"title": title}) for title in ("one", "two", "three"))
    base = f"/projects/{project.id}/issues/{one.iid}/links"
    target = {"target_project_id": project.id, "target_issue_iid": two.iid}
    made, _ = one.links.create(target)
    assert made.iid == one.iid
    world.call("POST", base, 409, json=target)
    world.call("POST", base, 400, json={"target_project_id": project.id})
    one.links.create({**target, "target_issue_iid": three.iid, "link_type": "blocks"})
    (seen,) = three.links.list(get_all=True)
    assert (seen.iid, seen.link_type) == (one.iid, "is_blocked_by")
    number = one.links.list(get_all=True)[0].issue_link_id
    world.call("GET", f"{base}/{number}", 200)
    one.links.delete(number)
    assert len(one.links.list(get_all=True)) == 1
    two.delete()
    three.delete()
    assert one.links.list(get_all=True) == []


def discussions(world: World) -> None:
    project = world.project({"a": "1"}, only_allow_merge_if_all_discussions_are_resolved=True)
    world.change(project, "x", "b")
    request = project.mergerequests.create({"source_branch": "x", "target_branch": "main", "title": "b"})
    base = f"/projects/{project.id}/merge_requests/{request.iid}/discussions"
    made = request.discussions.create({"body": "why?"})
    world.call("POST", base, 400, json={})
    assert project.mergerequests.get(request.iid).detailed_merge_status == "discussions_not_resolved"
    made.notes.create({"body": "because"})
    world.call("POST", f"{base}/{made.id}/notes", 400, json={})
    assert [len(item.attributes["notes"]) for item in request.discussions.list(get_all=True)] == [2]
    alone = request.notes.create({"body": "alone"})
    own = next(item for item in request.discussions.list(get_all=True) if item.attributes["individual_note"])
    assert own.attributes["notes"][0]["id"] == alone.id
    world.call("PUT", f"{base}/{own.id}", 400, json={"resolved": True})
    request.discussions.get(made.id)
    made.resolved = True
    made.save()
    found = project.mergerequests.get(request.iid)
    assert (found.detailed_merge_status, found.blocking_discussions_resolved) == ("mergeable", True)
    issue = project.issues.create({"title": "one"})
    issue.discussions.create({"body": "x"})


def packages(world: World) -> None:
    project = world.project()
    put = project.generic_packages
    base = f"/projects/{project.id}/packages"
    for text in (b"one", b"two"):
        put.upload(package_name="app", package_version="1.0", file_name="a.txt", data=text)
    assert put.download(package_name="app", package_version="1.0", file_name="a.txt") == b"two"
    file = f"{base}/generic/app/1.0/a.txt"
    stored = world.call("PUT", file, 201, params={"select": "package_file"}, data=b"three").json()
    assert stored["size"] == 5
    world.call("PUT", f"{base}/generic/app/-1/a.txt", 400, data=b"x")
    world.call("GET", f"{base}/generic/app/-1/a.txt", 400)
    (found,) = project.packages.list(get_all=True, package_type="generic")
    project.packages.get(found.id)
    assert len(found.package_files.list(get_all=True)) == 3
    world.call("DELETE", f"{base}/{found.id}", 403, who="developer")
    found.delete()
    world.call("GET", file, 404)


def lint(world: World) -> None:
    project = world.project({".gitlab-ci.yml": "workflow: {rules: [{when: never}]}\na: {script: ['true']}\n"})
    assert project.ci_lint.get().valid
    made = project.ci_lint.create({"content": "b: {script: ['x'], stage: test}\n", "include_jobs": True})
    assert [job["name"] for job in made.jobs] == ["b"]
    bad = project.ci_lint.create({"content": "b: {stage: nowhere, script: ['x']}\n"})
    assert (bad.valid, bool(bad.errors)) == (False, True)
    assert not project.ci_lint.create({"content": "a: [\n"}).valid
    assert not world.project({"a": "1"}).ci_lint.get().valid
    world.call("POST", f"/projects/{project.id}/ci/lint", 400, json={})
    world.call("GET", f"/projects/{project.id}/ci/lint", 400, params={"content_ref": "main", "sha": "main"})


def repository(world: World) -> None:
    project = world.project({"docs/a.txt": "one\n"})
    base = f"/projects/{project.id}/repository"
    sha = world.change(project, "feature/x", "b.txt")
    world.call("POST", base + "/commits", 400, json={"branch": "main", "commit_message": "m"})
    branch = project.branches.create({"branch": "gone/soon", "ref": "main"})
    world.call("POST", base + "/branches", 400, json={"branch": "gone/soon", "ref": "main"})
    world.call("POST", base + "/branches", 400, json={"branch": "y", "ref": "nowhere"})
    project.branches.list(get_all=True)
    world.call("GET", base + "/branches", 400, params={"regex": "a|b"})
    project.branches.get("feature/x")
    branch.delete()
    world.call("DELETE", base + "/branches/main", 400)
    for ref in ("main", "main..feature/x"):
        project.commits.list(get_all=True, ref_name=ref)
    project.commits.list(get_all=True, query_parameters={"all": "true", "path": "b.txt"})
    project.events.list(get_all=True, action="pushed")
    world.call("GET", f"/projects/{project.id}/events", 400)
    commit = project.commits.get(sha)
    commit.diff(get_all=True)
    project.commits.get(project.commits.list(get_all=True)[-1].id).diff(get_all=True)
    commit.statuses.create({"state": "success", "name": "outside"})
    commit.statuses.list(get_all=True)
    world.call("POST", f"/projects/{project.id}/statuses/{sha}", 400, json={"state": "odd"})
    project.repository_compare("main", "feature/x")
    project.repository_compare("feature/x", "main")
    world.call("GET", base + "/compare", 400, params={"from": "main"})
    project.repository_tree(ref="feature/x", recursive=True, get_all=True)
    project.files.get("docs/a.txt", ref="main")
    project.files.raw("docs/a.txt", ref="main")
    world.call("GET", base + "/files/none/raw", 404)
    project.files.blame("docs/a.txt", ref="main", get_all=True)
    world.call("GET", base + "/files/docs%2Fa.txt/blame", 400)
    world.call("GET", base + "/files/none/blame", 404, params={"ref": "main"})
    _files(world, project, base + "/files/new%2Ffile")


def _files(world: World, project: Any, path: str) -> None:
    commit = {"branch": "main", "commit_message": "m"}
    made = project.files.create({"file_path": "new/file", "content": "1", **commit})
    world.call("POST", path, 400, json=commit | {"content": "1"})
    world.call("PUT", path, 400, json=commit)
    made.content = "2"
    made.save(branch="main", commit_message="m")
    made.delete(branch="main", commit_message="m")
    world.call("DELETE", path, 400, json=commit)


def protection(world: World) -> None:
    project = world.project({"a": "1"})
    base = f"/projects/{project.id}/protected_branches"
    people = [{"user_id": world.users["maintainer"].id}, {"access_level": 40}]
    rule = project.protectedbranches.create({"name": "rel/*", "allowed_to_push": people, "merge_access_level": 0})
    world.call("POST", base, 400)
    world.call("POST", base, 409, json={"name": "rel/*"})
    world.call("POST", base, 422, json={"name": "x", "allowed_to_push": [{"user_id": world.users["stranger"].id}]})
    project.protectedbranches.get("rel/*")
    project.protectedbranches.list(get_all=True)
    rule.allow_force_push = True
    rule.save()
    world.call("PATCH", f"{base}/rel%2F*", 400, json={"allowed_to_push": "x"})
    world.call("PATCH", f"{base}/rel%2F*", 422, json={"allowed_to_push": [{"access_level": 40}]})
    rule.delete()


def tags(world: World) -> None:
    project = world.project({"a": "1"})
    base = f"/projects/{project.id}/repository/tags"
    project.tags.create({"tag_name": "v1", "ref": "main"})
    project.tags.create({"tag_name": "rel/1", "ref": "v1", "message": "One"})
    world.call("POST", base, 400, json={"tag_name": "v1", "ref": "main"})
    world.call("GET", base, 400, params={"order_by": "luck"})
    project.tags.list(get_all=True)
    project.tags.get("rel/1")
    rules = f"/projects/{project.id}/protected_tags"
    people = [{"user_id": world.users["maintainer"].id}, {"access_level": 40}]
    rule = project.protectedtags.create({"name": "rel/*", "allowed_to_create": people})
    world.call("POST", rules, 400)
    world.call("POST", rules, 422, json={"name": "rel/*"})
    project.protectedtags.list(get_all=True)
    project.protectedtags.get("rel/*")
    world.call("DELETE", f"{base}/rel%2F1", 403, who="developer")
    rule.delete()
    project.tags.delete("rel/1")


def releases(world: World) -> None:
    project = world.project({"a": "1"})
    base = f"/projects/{project.id}/releases"
    world.call("GET", base + "/permalink/latest", 404)
    given = {"tag_name": "v1", "ref": "main", "description": "One", "assets": {"links": [_link("a")]}}
    release = project.releases.create(given)
    world.call("POST", base, 400)
    world.call("POST", base, 409, json=given)
    world.call("POST", base, 422, json={"tag_name": "v2"})
    world.call("GET", base, 400, params={"order_by": "luck"})
    project.releases.list(get_all=True)
    project.releases.get("v1")
    world.call("GET", base + "/permalink/latest", 302, allow_redirects=False)
    world.call("PUT", base + "/v1", 400)
    release.description = "Two"
    release.save()
    link = release.links.create(_link("b") | {"direct_asset_path": "/bin/b"})
    world.call("POST", base + "/v1/assets/links", 400, json=_link("b"))
    world.call("PUT", f"{base}/v1/assets/links/{link.id}", 400, json={"link_type": "image"})
    release.links.list(get_all=True)
    release.links.get(link.id)
    link.name = "c"
    link.save()
    link.delete()
    project.releases.delete("v1")


def _link(name: str) -> dict[str, str]:
    return {"name": name, "url": f"http://localhost/{name}"}


def approval_rules(world: World) -> None:
    project = world.project({"a": "1"})
    person = world.users["maintainer"].id
    rule = project.approvalrules.create({"name": "one", "approvals_required": 1, "user_ids": [person]})
    base = f"/projects/{project.id}"
    world.call("POST", base + "/approval_rules", 400, json={"name": "x"})
    project.approvalrules.list(get_all=True)
    project.approvalrules.get(rule.id)
    world.call("PUT", f"{base}/approval_rules/{rule.id}", 400, json={"approvals_required": -1})
    rule.approvals_required = 2
    rule.save()
    rule.delete()
    world.call("POST", base + "/approvals", 400)
    approvals = project.approvals.get()
    approvals.reset_approvals_on_push = False
    approvals.save()


def merge_requests(world: World) -> None:
    project = world.project({"a": "1"})
    first = world.change(project, "x", "b")
    given = {"source_branch": "x", "target_branch": "main", "title": "Add b"}
    base = f"/projects/{project.id}/merge_requests"
    request = project.mergerequests.create(given)
    one = f"{base}/{request.iid}"
    world.call("POST", base, 400)
    world.call("POST", base, 409, json=given)
    world.call("POST", base, 422, json=given | {"source_branch": "none"})
    world.call("GET", base, 400, params={"order_by": "luck"})
    project.mergerequests.list(get_all=True, state="opened")
    world.call("GET", f"{base}/99999", 404)
    world.call("POST", one + "/pipelines", 400)
    world.call("GET", one + "/diffs", 200)
    world.call("GET", one + "/versions", 200)
    request.changes()
    request.commits()
    _notes(world, request, one + "/notes")
    world.call("POST", one + "/approve", 401)
    world.call("POST", one + "/approve", 409, who="developer", json={"sha": "0" * 40})
    theirs = world.client("developer").projects.get(project.id).mergerequests.get(request.iid)
    theirs.approve(sha=first)
    request.approvals.get()
    theirs.unapprove()
    world.call("POST", one + "/unapprove", 404, who="developer")
    _merge(world, project, request, one)
    _auto_merge(world, given)


def _auto_merge(world: World, given: dict[str, str]) -> None:
    project = world.project(
        {".gitlab-ci.yml": "a: {script: [ls], tags: [nobody], rules: [{if: $CI_MERGE_REQUEST_ID}]}\n"}
    )
    project.protectedbranches.create({"name": "main", "merge_access_level": 40})
    world.change(project, "x", "b")
    request = project.mergerequests.create(given)
    one = f"/projects/{project.id}/merge_requests/{request.iid}"
    cancel = one + "/cancel_merge_when_pipeline_succeeds"
    world.call("PUT", one + "/merge", 400, json={"auto_merge": "perhaps"})
    assert request.merge(merge_when_pipeline_succeeds=True)["merge_when_pipeline_succeeds"] is True
    world.call("POST", cancel, 401, who="developer")
    request.cancel_merge_when_pipeline_succeeds()
    world.call("POST", cancel, 201)


def _merge(world: World, project: Any, request: Any, one: str) -> None:
    request.title = "Draft: Add b"
    request.save()
    world.call("PUT", one, 400, json={"state_event": "luck"})
    world.call("PUT", one + "/merge", 405)
    request.title = "Add b"
    request.save()
    world.call("PUT", one + "/merge", 409, json={"sha": "0" * 40})
    project.protectedbranches.create({"name": "main", "merge_access_level": 40})
    world.call("PUT", one + "/merge", 401, who="developer")
    head = world.change(project, "other", "c")
    world.call(
        "POST", f"/projects/{project.id}/repository/branches", 403, who="guest", json={"branch": "z", "ref": "x"}
    )
    second = project.mergerequests.create({"source_branch": "other", "target_branch": "main", "title": "Add c"})
    assert second.merge(sha=head)["state"] == "merged"
    project.squash_option = "never"
    project.save()
    world.call("PUT", one + "/merge", 422, json={"squash": True})
    project.mergerequests.get(second.iid)


def terraform(world: World) -> None:
    project = world.project()
    base = f"/projects/{project.id}/terraform/state/live"
    keys = ("ID", "Operation", "Info", "Who", "Version", "Created", "Path")
    lock = dict.fromkeys(keys, "x") | {"Info": ""}
    other = lock | {"ID": "y"}
    state = {"version": 4, "serial": 1, "lineage": "l", "outputs": {}}
    world.call("GET", base, 404)
    world.call("POST", base + "/lock", 400, json={"ID": "x"})
    world.call("POST", base + "/lock", 200, json=lock)
    world.call("POST", base + "/lock", 409, json=lock)
    world.call("GET", base, 204)
    held = world.call("POST", base + "/lock", 409, json=other).json()
    assert held["ID"] == "x"
    world.call("POST", base, 409, params={"ID": "y"}, json=state)
    world.call("POST", base, 204, params={"ID": "x"})
    world.call("POST", base, 200, params={"ID": "x"}, json=state)
    world.call("POST", base, 422, params={"ID": "x"}, json=state)
    world.call("DELETE", base + "/lock", 409, json=other)
    world.call("DELETE", base + "/lock", 200, json=lock)
    assert world.call("GET", base, 200, who="developer").json() == state
    world.call("GET", base + "/versions/1", 200)
    world.call("GET", base + "/versions/2", 404)
    world.call("DELETE", base, 200)


AREAS = (
    accounts,
    service_accounts,
    members,
    settings,
    issues,
    milestones,
    links,
    discussions,
    packages,
    lint,
    repository,
    protection,
    tags,
    releases,
    approval_rules,
    merge_requests,
    terraform,
)
