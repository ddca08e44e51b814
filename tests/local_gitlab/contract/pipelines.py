"""Every operation of pipelines, jobs, deployments and the Runner API, with a runner played by hand."""

import gzip
import io
import zipfile
from typing import Any

from tests.local_gitlab.contract.world import World
from tests.servers import wait_for

_DEFINITION = """
stages: [build, deploy]
make:
  stage: build
  script: ["true"]
  artifacts:
    paths: [out]
    reports: {junit: report.xml}
break:
  stage: build
  script: ["false"]
  allow_failure: true
child:
  stage: build
  allow_failure: true
  trigger: {include: [{project: $CI_PROJECT_PATH, file: child.yml}], strategy: depend}
hold:
  stage: build
  script: ["true"]
  rules: [{when: manual, allow_failure: true}]
deploy:
  stage: deploy
  environment: {name: production, url: "http://localhost"}
  script: ["true"]
  rules: [{when: manual}]
"""
_REPORT = b"""<testsuite><testcase name="a" classname="c" time="0.5"/>
<testcase name="b"><failure>x</failure></testcase></testsuite>"""


def pipelines(world: World) -> None:
    project = world.project({"a": "1"})
    _environments(world, project)
    action = {"action": "create", "file_path": ".gitlab-ci.yml", "content": _DEFINITION}
    project.commits.create({"branch": "main", "commit_message": "ci", "actions": [action]})
    found = world.jobs(project)
    runner = _runners(world, project)
    world.call("POST", "/runners/verify", 200, who=None, json={"token": runner})
    _run(world, [world.call("POST", "/jobs/request", 201, who=None, json={"token": runner}).json() for _ in range(2)])
    _jobs(world, project, found)
    _deployments(world, project, found["deploy"].id)
    _pipelines(world, project, found)
    _schedules(world)


def _runners(world: World, project: Any) -> str:
    """Return the token of an instance runner, after calling all operations on a project runner."""
    runner = world.call("POST", "/user/runners", 201, json={"runner_type": "instance_type"}).json()["token"]
    world.call("POST", "/user/runners", 403, who="guest", json={"runner_type": "instance_type"})
    body = {"runner_type": "project_type", "project_id": project.id}
    world.call("POST", "/user/runners", 400, json=body | {"run_untagged": False})
    made = world.call("POST", "/user/runners", 201, who="maintainer", json=body | {"tag_list": ["a"]}).json()
    project.runners.list(get_all=True)
    world.call("GET", f"/projects/{project.id}/runners", 403, who="developer")
    world.call("GET", "/projects/99999/runners", 404)
    one, none = f"/runners/{made['id']}", "/runners/99999"
    world.root.runners.get(made["id"])
    world.call("PUT", one, 200, json={"paused": True})
    world.call("PUT", one, 400, json={"maximum_timeout": 1})
    world.call("POST", one + "/reset_authentication_token", 201)
    for method, path in (("GET", ""), ("PUT", ""), ("DELETE", ""), ("POST", "/reset_authentication_token")):
        world.call(method, one + path, 403, who="developer")
        world.call(method, none + path, 404)
    world.root.runners.delete(made["id"])
    return str(runner)


def _environments(world: World, project: Any) -> None:
    project.environments.create({"name": "review/1", "external_url": "http://localhost"})
    base = f"/projects/{project.id}/environments"
    world.call("POST", base, 400, json={"name": "review/1"})
    world.call("GET", f"{base}/99999", 404)
    found = project.environments.list(get_all=True)[0]
    project.environments.get(found.id).stop()
    elsewhere = world.project().environments.create({"name": "review/1"})
    world.call("GET", f"{base}/{elsewhere.id}", 404)
    rules = f"/projects/{project.id}/protected_environments"
    given = {
        "name": "production",
        "deploy_access_levels": [{"access_level": 40}],
        "approval_rules": [{"access_level": 40, "required_approvals": 1}],
    }
    project.protected_environments.create(given)
    world.call("POST", rules, 400, json={"name": "x"})
    world.call("POST", rules, 409, json=given)
    project.protected_environments.list(get_all=True)
    project.protected_environments.get("production")
    world.call("POST", rules, 422, json=given | {"name": "x", "approval_rules": [{"user_id": 99999}]})
    project.protected_environments.create(given | {"name": "gone/soon"})
    world.call("PUT", rules + "/gone%2Fsoon", 200, json={"approval_rules": [{"access_level": 30}]})
    world.call("PUT", rules + "/gone%2Fsoon", 400, json={"approval_rules": "x"})
    world.call("PUT", rules + "/gone%2Fsoon", 422, json={"deploy_access_levels": [{"access_level": 40}]})
    project.protected_environments.delete("gone/soon")


def _zip() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("out", "built\n")
    return buffer.getvalue()


def _run(world: World, payloads: list[dict[str, Any]]) -> None:
    """Let job ``make`` succeed and job ``break`` fail, as a runner does."""
    by_name = {payload["job_info"]["name"]: payload for payload in payloads}
    make, broken = by_name["make"], by_name["break"]
    job = f"/jobs/{make['id']}"
    own = {"JOB-TOKEN": make["token"]}

    def put(state: str, status: int, **more: Any) -> None:
        world.call("PUT", job, status, who=None, json={"token": make["token"], "state": state, **more})

    def log(data: bytes, start: int, status: int) -> None:
        world.call("PATCH", f"{job}/trace", status, who=None, data=data, headers={**own, "Content-Range": f"{start}-"})

    def upload(status: int, name: str, data: bytes, **form: str) -> None:
        sent = {"file": (name, data)} if data else {"other": (name, b"x")}
        world.call("POST", f"{job}/artifacts", status, who=None, headers=own, data=form, files=sent)

    log(b"one\n", 0, 202)
    log(b"two\n", 0, 416)
    upload(201, "artifacts.zip", _zip(), artifact_type="archive", artifact_format="zip")
    upload(201, "junit.gz", gzip.compress(_REPORT), artifact_type="junit", artifact_format="gzip")
    upload(400, "artifacts.zip", b"no archive", artifact_type="archive", artifact_format="zip")
    upload(400, "none", b"")
    assert world.call("GET", "/job", 200, who=None, headers=own).json()["id"] == make["id"]
    world.call("GET", "/job", 404)
    put("running", 200)
    put("success", 200)
    put("success", 403)
    log(b"late\n", 4, 403)
    upload(403, "late", b"x", artifact_type="dotenv", artifact_format="zip")
    theirs = {"JOB-TOKEN": broken["token"]}
    world.call("GET", f"{job}/artifacts", 200, who=None, headers=theirs)
    world.call("GET", f"/jobs/{broken['id']}/artifacts", 404, who=None, headers=theirs)
    failed = {"token": broken["token"], "state": "failed", "failure_reason": "script_failure", "exit_code": 1}
    world.call("PUT", f"/jobs/{broken['id']}", 200, who=None, json=failed)


def _jobs(world: World, project: Any, found: dict[str, Any]) -> None:
    project.jobs.list(get_all=True, scope=["success", "failed"])
    make = project.jobs.get(found["make"].id)
    assert make.trace() == b"one\n"
    make.artifacts()
    assert make.artifact("out") == b"built\n"
    base = f"/projects/{project.id}/jobs"
    world.call("GET", f"{base}/99999", 404)
    hold = project.jobs.get(found["hold"].id)
    hold.play()
    world.call("POST", f"{base}/{hold.id}/play", 400)
    wait_for(lambda: project.jobs.get(hold.id).status == "pending")
    hold.cancel()
    world.call("POST", f"{base}/{hold.id}/cancel", 403)
    broken = project.jobs.get(found["break"].id)
    broken.retry()
    world.call("POST", f"{base}/{broken.id}/retry", 403)


def _deployments(world: World, project: Any, job: int) -> None:
    deployment = project.deployments.list(get_all=True, status="blocked")[0]
    assert project.deployments.list(get_all=True, updated_after=deployment.updated_at, order_by="updated_at")
    world.call("GET", f"/projects/{project.id}/deployments", 400, params={"updated_after": "soon"})
    path = f"/projects/{project.id}/deployments/{deployment.id}"
    world.call("POST", f"{path}/approval", 400, json={"status": "approved"})
    world.call("POST", f"/projects/{project.id}/jobs/{job}/play", 400)
    world.call("POST", f"/projects/{project.id}/jobs/{job}/play", 403, who="developer")
    theirs = world.client("maintainer").projects.get(project.id).deployments.get(deployment.id)
    theirs.approval(status="approved", comment="seen")
    project.deployments.get(deployment.id)
    project.environments.list(get_all=True)


def _pipelines(world: World, project: Any, found: dict[str, Any]) -> None:
    pipeline = project.pipelines.list(get_all=True, order_by="updated_at", sort="desc")[0]
    world.call("GET", f"/projects/{project.id}/pipelines", 400, params={"order_by": "luck"})
    pipeline = project.pipelines.get(pipeline.id)
    pipeline.jobs.list(get_all=True, include_retried=True)
    pipeline.variables.list(get_all=True)
    assert [bridge.status for bridge in pipeline.bridges.list(get_all=True)] == ["failed"]
    world.call("GET", f"/projects/{project.id}/pipelines/99999/bridges", 404)
    assert pipeline.test_report.get().failed_count == 1
    world.call("GET", f"/projects/{project.id}/pipelines/99999", 404)
    pipeline.cancel()
    assert pipeline.retry()["id"] == found["make"].pipeline["id"]
    pipeline.cancel()
    world.call("POST", f"/projects/{project.id}/pipeline", 400, json={"ref": "none"})
    project.pipelines.create({"ref": "main"}).cancel()
    world.change(project, "x", "b")
    request = project.mergerequests.create({"source_branch": "x", "target_branch": "main", "title": "Add b"})
    request.pipelines.list(get_all=True)
    request.pipelines.create()
    project.mergerequests.get(request.iid)
    project.mergerequests.list(get_all=True)


def _schedules(world: World) -> None:
    project = world.project({".gitlab-ci.yml": "job:\n  script: [x]\n"})
    base = f"/projects/{project.id}/pipeline_schedules"
    given = {"description": "nightly", "ref": "main", "cron": "0 1 * * *", "active": False}
    made = project.pipelineschedules.create(given)
    one = f"{base}/{made.id}"
    for wrong in ({"cron": "soon"}, {"cron": "0 0 30 2 *"}, {"cron_timezone": "Mars/Olympus"}):
        world.call("POST", base, 400, json=given | wrong)
    world.call("POST", base, 400, json={"description": "no ref"})
    world.call("PUT", one, 400, json={"cron": "61 * * * *"})
    world.call("PUT", one, 403, who="maintainer", json={"active": True})
    world.call("DELETE", one, 403, who="developer")
    world.call("GET", f"{base}/99999", 404)
    made.variables.create({"key": "LOOK", "value": "everywhere"})
    world.call("POST", f"{one}/variables", 400, json={"key": "LOOK", "value": "again"})
    world.call("POST", f"{one}/variables", 400, json={"key": "a-b", "value": "x"})
    world.call("PUT", f"{one}/variables/LOOK", 400, json={"variable_type": "folder"})
    world.call("PUT", f"{one}/variables/LOOK", 200, json={"value": "here"})
    world.call("PUT", f"{one}/variables/NONE", 404, json={"value": "here"})
    made.play()
    made = project.pipelineschedules.get(one.rsplit("/", 1)[1])
    (played,) = made.pipelines.list(get_all=True)
    project.pipelines.get(played.id).variables.list(get_all=True)
    project.pipelineschedules.list(get_all=True, scope="inactive")
    project.pipelineschedules.get(made.id)
    made.variables.delete("LOOK")
    made.take_ownership()
    theirs = world.client("maintainer").projects.get(project.id).pipelineschedules.get(made.id)
    theirs.take_ownership()
    world.call("POST", f"{one}/take_ownership", 403, who="developer")
    made.description = "daily"
    made.save()
    made.delete()
