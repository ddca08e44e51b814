"""The GitLab simulator as an OpenID Connect issuer: discovery, keys, and the id tokens of jobs."""

import stat
from pathlib import Path
from typing import Any

import jwt
import pytest
import requests

from tests.servers import LocalGitlab, running_gitlab, wait_for

DEFINITION = """
default:
  id_tokens:
    COMMON: {aud: "http://common"}
.base:
  id_tokens:
    TOKEN: {aud: "$AUDIENCE/x"}
  variables: {AUDIENCE: "http://verifier"}
stages: [build, deploy]
build:
  stage: build
  extends: .base
  timeout: 7 minutes
  script: [echo "the token is $TOKEN"]
plain:
  stage: build
  id_tokens: {}
  script: ["true"]
deploy:
  stage: deploy
  id_tokens:
    TOKEN: {aud: ["http://one", "http://two"]}
  environment: {name: production, action: verify}
  script: ["true"]
default-only:
  stage: build
  script: ["true"]
"""


def tokens(payload: dict[str, Any]) -> dict[str, str]:
    """Return the variables of a job that look like a JWT."""
    return {item["key"]: item["value"] for item in payload["variables"] if item["value"].startswith("eyJ")}


def opened(server: LocalGitlab, text: str, audience: str) -> dict[str, Any]:
    """Return a token's claims, verified only with the documents that the issuer publishes."""
    found = requests.get(server.url + "/.well-known/openid-configuration", timeout=30).json()
    key = jwt.PyJWKClient(found["jwks_uri"]).get_signing_key_from_jwt(text)
    claims: dict[str, Any] = jwt.decode(
        text,
        key,
        algorithms=found["id_token_signing_alg_values_supported"],
        audience=audience,
        issuer=found["issuer"],
    )
    return claims


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Run a server without a runner, so that a test can take the jobs itself."""
    with running_gitlab(tmp_path_factory.mktemp("oidc"), concurrency=0) as server:
        yield server


@pytest.fixture(scope="module")
def payloads(quiet: LocalGitlab) -> dict[str, Any]:
    """Return the job payloads of one pipeline on a protected branch, by name."""
    project = quiet.project({"a": "1"}, path="app")
    project.protectedbranches.create({"name": "main"})
    project.commits.create(
        {
            "branch": "main",
            "commit_message": "ci",
            "actions": [{"action": "create", "file_path": ".gitlab-ci.yml", "content": DEFINITION}],
        }
    )
    made: Any = quiet.client().http_post("/user/runners", post_data={"runner_type": "instance_type"})
    found: dict[str, Any] = {"project": project}
    while len(found) < 5:
        wait_for(lambda: project.jobs.list(get_all=True, scope=["pending"]))
        answer = requests.post(f"{quiet.url}/api/v4/jobs/request", json={"token": made["token"]}, timeout=30).json()
        found[answer["job_info"]["name"]] = answer
        url = f"{quiet.url}/api/v4/jobs/{answer['id']}"
        requests.put(url, json={"token": answer["token"], "state": "success"}, timeout=30)
    return found


def test_a_token_identifies_its_job(quiet: LocalGitlab, payloads: dict[str, Any]) -> None:
    job, project = payloads["build"], payloads["project"]
    claims = opened(quiet, tokens(job)["TOKEN"], "http://verifier/x")
    assert claims["exp"] - claims["iat"] == 7 * 60
    assert claims["iat"] - claims["nbf"] == 5
    host = quiet.url.removeprefix("http://")
    expected = {
        "iss": quiet.url,
        "sub": f"project_path:{project.path_with_namespace}:ref_type:branch:ref:main",
        "project_id": str(project.id),
        "project_path": project.path_with_namespace,
        "namespace_id": str(project.namespace["id"]),
        "namespace_path": "root",
        "user_login": "root",
        "user_email": "root@localhost",
        "user_access_level": "owner",
        "pipeline_source": "push",
        "job_id": str(job["id"]),
        "ref": "main",
        "ref_type": "branch",
        "ref_path": "refs/heads/main",
        "ref_protected": "true",
        "runner_environment": "self-hosted",
        "sha": job["git_info"]["sha"],
        "ci_config_ref_uri": f"{host}/{project.path_with_namespace}//.gitlab-ci.yml@refs/heads/main",
        "ci_config_sha": job["git_info"]["sha"],
        "project_visibility": "private",
    }
    assert expected.items() <= claims.items()
    assert {name for name in claims if "environment" in name} == {"runner_environment"}
    assert isinstance(claims["runner_id"], int)


def test_a_deploying_job_names_its_environment(quiet: LocalGitlab, payloads: dict[str, Any]) -> None:
    text = tokens(payloads["deploy"])["TOKEN"]
    claims = opened(quiet, text, "http://two")
    assert claims["aud"] == ["http://one", "http://two"]
    assert claims["environment"] == "production"
    assert claims["environment_protected"] == "false"
    assert claims["deployment_tier"] == "production"
    assert claims["environment_action"] == "verify"
    assert claims["exp"] - claims["iat"] == 300


def test_defaults_and_jobs_without_tokens(payloads: dict[str, Any]) -> None:
    assert set(tokens(payloads["default-only"])) == {"COMMON"}
    assert set(tokens(payloads["build"])) == {"TOKEN"}
    assert tokens(payloads["plain"]) == {}


def test_each_token_has_its_own_id(quiet: LocalGitlab, payloads: dict[str, Any]) -> None:
    found = [opened(quiet, tokens(payloads[name])["TOKEN"], aud)["jti"] for name, aud in AUDIENCES]
    assert len(set(found)) == len(AUDIENCES)


AUDIENCES = (("build", "http://verifier/x"), ("deploy", "http://one"))


def test_a_token_is_refused_for_another_audience(quiet: LocalGitlab, payloads: dict[str, Any]) -> None:
    with pytest.raises(jwt.InvalidAudienceError):
        opened(quiet, tokens(payloads["build"])["TOKEN"], "http://elsewhere")


def test_a_token_is_masked_in_the_log(gitlab_server: LocalGitlab) -> None:
    project = gitlab_server.project({"a": "1"})
    project.protectedbranches.create({"name": "main"})
    action = {"action": "create", "file_path": ".gitlab-ci.yml", "content": DEFINITION}
    project.commits.create({"branch": "main", "commit_message": "ci", "actions": [action]})

    def done() -> Any:
        return [job for job in project.jobs.list(get_all=True) if job.name == "build" and job.status == "success"]

    trace = project.jobs.get(wait_for(done)[0].id).trace().decode()
    assert "the token is [MASKED]" in trace
    assert "eyJ" not in trace


@pytest.mark.long
def test_merge_request_jobs_have_their_unprotected_branch(quiet: LocalGitlab) -> None:
    rules = "rules: [{if: $CI_PIPELINE_SOURCE == 'merge_request_event'}]"
    text = f"job:\n  {rules}\n  id_tokens: {{T: {{aud: x}}}}\n  script: [a]\n"
    project = quiet.project({".gitlab-ci.yml": text})
    project.protectedbranches.create({"name": "main"})
    action = {"action": "create", "file_path": "b", "content": "b"}
    project.commits.create({"branch": "work", "start_branch": "main", "commit_message": "b", "actions": [action]})
    project.mergerequests.create({"source_branch": "work", "target_branch": "main", "title": "b"})
    made: Any = quiet.client().http_post("/user/runners", post_data={"runner_type": "instance_type"})
    wait_for(lambda: project.jobs.list(get_all=True, scope=["pending"]))
    answer = requests.post(f"{quiet.url}/api/v4/jobs/request", json={"token": made["token"]}, timeout=30).json()
    claims = opened(quiet, tokens(answer)["T"], "x")
    assert (claims["ref"], claims["ref_protected"]) == ("work", "false")
    assert claims["pipeline_source"] == "merge_request_event"


def test_the_key_is_private_and_stays(tmp_path: Path) -> None:
    found = []
    for _ in range(2):
        with running_gitlab(tmp_path, concurrency=0) as server:
            found.append(requests.get(server.url + "/oauth/discovery/keys", timeout=30).json())
    assert found[0] == found[1]
    key = tmp_path / "id-token-key.pem"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert set(found[0]["keys"][0]) == {"kty", "n", "e", "kid", "use", "alg"}
