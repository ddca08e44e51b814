"""Tests any GitLab with the product's own API calls and a pipeline of twelve jobs, in a temporary project."""

import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from factory.errors import Conflict, InvalidInput, NotFound, Refused
from factory.gitlab import (
    accounts,
    branches,
    change_poll,
    deployments,
    issues,
    merge_requests,
    pipelines,
    releases,
    schedules,
    variables,
)
from factory.gitlab.conformance_transcript import Answer, Recorder, recording
from factory.gitlab.connect import Connection, connect, translated, version
from factory.gitlab.settings import run as settings
from factory.gitlab.settings.run import DesiredSection
from factory.model.gitlab import MAIN
from factory.model.secret import Secret
from factory.system import clock

PREFIX = "factory-conformance-"
# The requested settings: fields of each section that every tier has.
WANTED = {
    "project": DesiredSection({"project": {"merge_method": "ff", "squash_option": "never"}}),
    "branches": DesiredSection({MAIN: {"push": ["maintainer"], "merge": ["maintainer"], "force_push": False}}),
    "tags": DesiredSection({"v*": {"create": ["maintainer"]}}),
    "job_token": DesiredSection({"job_token": {"inbound_enabled": True, "allowlist": []}}),
    "labels": DesiredSection({"factory::ready": {"color": "#1f75cb", "description": "offered"}}),
    "hooks": DesiredSection({"https://hooks.example/x": {"events": ["push"], "ssl_verification": True}}),
}
JOBS = {
    "build": "success",
    "needs-build": "success",
    "reads-dotenv": "success",
    "allowed-to-fail": "failed",
    "retried": "success",
    "on-failure": "skipped",
    "always": "success",
    "manual-optional": "manual",
    "serial-one": "success",
    "serial-two": "success",
    "deploy": "success",
    "after-deploy": "success",
}
DEFINITION = """\
stages: [build, test, deploy]
variables: {GREETING: hello}
build:
  stage: build
  script: ["mkdir out", "echo $GREETING > out/a.txt", "echo FOUND=it > b.env"]
  artifacts: {paths: [out/], reports: {dotenv: b.env}}
needs-build: {stage: test, needs: [build], script: ["test -f out/a.txt"]}
reads-dotenv: {stage: test, needs: [build], script: ['test "$FOUND" = it']}
allowed-to-fail: {stage: test, script: ["false"], allow_failure: true}
retried: {stage: test, script: ["true"], retry: {max: 1, when: [runner_system_failure]}}
on-failure: {stage: test, script: ["true"], when: on_failure}
always: {stage: test, script: ["true"], when: always, needs: []}
manual-optional: {stage: test, script: ["true"], rules: [{when: manual, allow_failure: true}]}
serial-one: {stage: test, script: ["true"], resource_group: one}
serial-two: {stage: test, script: ["true"], resource_group: one}
deploy:
  stage: deploy
  script: ["true"]
  environment: {name: live, url: "https://live.example"}
  rules: [{when: manual, allow_failure: false}]
after-deploy: {stage: deploy, needs: [deploy], script: ["true"], rules: [{if: '$CI_COMMIT_BRANCH == "main"'}]}
"""
# A day before every push.
_LONG_AGO = "2000-01-01"
_ENDED = ("success", "failed", "canceled", "skipped")


@dataclass(frozen=True)
class Transcript:
    """A server's version and tier, the status of each job, and the server's answers."""

    version: str
    tier: str
    jobs: dict[str, str]
    answers: list[Answer]


def record(
    url: str,
    *,
    token: str,
    namespace: str,
    say: Callable[[str], None],
    patience: float = 900.0,
    name: str = "",
) -> Transcript:
    """Run all calls in a new project of ``namespace`` (default: the token's user), and delete the project.

    ``name`` is the new project's (default: one with a random end).

    ``patience`` is in seconds. Raises the errors of the calls, and ``InvalidInput`` if a job has an unexpected status.
    """
    someone = accounts.look(connect(url, "", account="", token=token))
    path = f"{namespace or someone.username}/{name or PREFIX + secrets.token_hex(4)}"
    connection = connect(url, path, account=someone.username, token=token, say=say)
    recorder = Recorder(path)
    with recording(connection, recorder):
        say(f"creating {path}")
        try:
            accounts.adopt(connection, make=True)
            ended = _walk(connection, say=say, patience=patience)
            tier = settings.tier(connection)
        finally:
            say(f"deleting {path}")
            _delete(connection)
    return Transcript(version(connection), tier, ended, recorder.listed())


def _walk(connection: Connection, *, say: Callable[[str], None], patience: float) -> dict[str, str]:
    accounts.look(connection)
    sha = _commit(connection, MAIN, {".gitlab-ci.yml": DEFINITION, "README.md": "x\n"})
    say("settings: plan, apply, and again")
    acting = {connection.account: connection}
    for _ in range(2):
        left = settings.apply(settings.opened(connection, acting=acting), WANTED, say=lambda _: None)
        if not left.in_sync:
            first = left.differences[0]
            raise InvalidInput(f"the server did not keep {first.section}: {first.key}: {first.field}")
    say("issues, labels, notes")
    issue = issues.create(connection, title="One", description="x", labels=["factory::ready"])
    issues.relabel(connection, issue.iid, add=["more"], remove=["factory::ready"])
    for body in ("one", "two"):
        issues.say(connection, "issues", issue.iid, marker="state", body=body)
    issues.find(connection, labels=["more"])
    accounts.role(connection, connection.account)
    issues.close(connection, issue.iid)
    variables.put(connection, "FACTORY_CONFORMANCE", Secret("long-enough-value"))
    variables.find(connection)
    schedules.make_once(connection, description="nightly", ref=MAIN, cron="0 4 * * *")
    say("a pipeline of twelve jobs")
    ended = _pipeline(connection, sha, patience=patience)
    say("a merge request: approved, and merged at its head")
    _merge_request(connection, patience=patience)
    releases.make(connection, "v1", sha=sha, name="One", description="x")
    releases.find(connection)
    deployments.find(connection)
    change_poll.take(connection, change_poll.take(connection))
    for missing in (lambda: issues.get(connection, 99999), lambda: merge_requests.get(connection, 99999)):
        try:
            missing()
        except NotFound:
            continue
        raise InvalidInput("the server returned an issue or merge request that does not exist")
    return ended


def _commit(connection: Connection, branch: str, files: dict[str, str], *, start: str = "") -> str:
    actions = [{"action": "create", "file_path": path, "content": text} for path, text in files.items()]
    body: dict[str, Any] = {"branch": branch, "commit_message": "Start", "actions": actions}
    with translated(f"commit to {branch}"):
        made: Any = connection.client.http_post(
            f"{connection.api}/repository/commits", post_data=body | ({"start_branch": start} if start else {})
        )
        return str(made["id"])


def _pipeline(connection: Connection, sha: str, *, patience: float) -> dict[str, str]:
    found = _until(lambda: pipelines.of_commit(connection, sha, ref=MAIN), patience, "a pipeline of main")[0]
    _until(lambda: pipelines.get(connection, found.id).status in {"manual", *_ENDED}, patience, "its first stages")
    jobs = {job.name: job for job in pipelines.jobs(connection, found.id)}
    pipelines.play(connection, jobs["deploy"].id, {})
    _until(lambda: pipelines.get(connection, found.id).status in _ENDED, patience, "its deployment")
    jobs = {job.name: job for job in pipelines.jobs(connection, found.id)}
    pipelines.trace(connection, jobs["build"].id)
    pipelines.artifact(connection, jobs["build"].id, "out/a.txt")
    ended = {name: job.status for name, job in sorted(jobs.items())}
    for name, status in JOBS.items():
        if ended.get(name) != status:
            raise InvalidInput(f"the job {name} has the status {ended.get(name, '(missing)')}, not {status}")
    return ended


def _merge_request(connection: Connection, *, patience: float) -> None:
    head = _commit(connection, "change", {"b.txt": "b\n"}, start=MAIN)
    made = merge_requests.open_once(connection, source="change", target=MAIN, title="b", description="x", labels=[])
    merge_requests.relabel(connection, made.iid, add=["more"])
    merge_requests.changes(connection, made.iid)
    merge_requests.commits(connection, made.iid)
    list(branches.pushes_since(connection, _LONG_AGO))
    merge_requests.approvals(connection, made.iid)
    issues.say(connection, "merge_requests", made.iid, marker="review", body="x")
    pipelines.of_merge_request(connection, made.iid)
    _until(lambda: _mergeable(connection, made.iid), patience, "the merge request to be mergeable")
    try:
        merge_requests.merge(connection, made.iid, sha="0" * 40)
    except Conflict:
        merge_requests.merge(connection, made.iid, sha=head)
    else:
        raise Refused("the server merged although the requested commit is not the head")


def _mergeable(connection: Connection, iid: int) -> bool:
    return merge_requests.get(connection, iid).detailed_merge_status == "mergeable"


def _until(what: Callable[[], Any], patience: float, name: str) -> Any:
    deadline = clock.monotonic() + patience
    while clock.monotonic() < deadline:
        found = what()
        if found:
            return found
        clock.sleep(0.5)
    raise InvalidInput(
        f"timed out after {patience:.0f} s waiting for {name}", hint="Check that the project has a runner."
    )


def _delete(connection: Connection) -> None:
    with suppress(NotFound), translated(f"delete {connection.project_path}"):
        connection.client.http_delete(connection.api)
