"""Jobs log in by id tokens of a running GitLab, and only those that the role is bound to."""

import hmac
import json
import time
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from factory.errors import Refused, Unauthorized
from factory.local_gitlab.ci import oidc
from factory.model.secret import Secret, SecretLocation
from factory.secrets import lease, setup
from factory.secrets.lease import REVIEW, role
from factory.secrets.openbao import OpenBao
from tests.secrets.servers import DevServer
from tests.servers import LocalGitlab, wait_for

AUDIENCE = "http://openbao.test"
PLANNED = SecretLocation("token", "plan/token")
REVIEWED = SecretLocation("token", "review/token")
APPLIED = SecretLocation("token", "apply/production/token")
ENVIRONMENTS = ("production", "staging")


@dataclass(frozen=True)
class Trusted:
    """A server that takes the id tokens of one project's main."""

    server: DevServer
    gitlab: LocalGitlab
    claims: dict[str, Any]

    def signed(self, **changed: Any) -> Secret:
        """Return a token as GitLab signs it, some claims changed; ``None`` leaves one out."""
        now = int(time.time())
        claims = self.claims | {"iat": now, "nbf": now - 5, "exp": now + 60} | changed
        return Secret(oidc.sign(self.gitlab.context, {k: v for k, v in claims.items() if v is not None}))

    def login(self, name: str, token: Secret) -> OpenBao:
        made = OpenBao(self.server.url)
        made.login_jwt(name, token)
        return made


@pytest.fixture(scope="module")
def trusted(openbao: DevServer, gitlab_server: LocalGitlab) -> Trusted:
    project = gitlab_server.project({"a": "1"})
    root = OpenBao(openbao.url, token=Secret(openbao.token))
    setup.configure(root, ENVIRONMENTS)
    issuer = setup.Issuer(gitlab_server.url, AUDIENCE, project.id, project.path_with_namespace, "main")
    setup.trust(root, issuer, ENVIRONMENTS)
    for place in (PLANNED, REVIEWED, APPLIED):
        root.put(place, Secret(f"planted-{place.path}"))
    claims = {
        "iss": gitlab_server.url,
        "aud": AUDIENCE,
        "sub": f"project_path:{project.path_with_namespace}:ref_type:branch:ref:main",
        "project_id": str(project.id),
        "project_path": project.path_with_namespace,
        "ref": "main",
        "ref_type": "branch",
        "ref_protected": "true",
        "pipeline_source": "push",
        "environment": "production",
        "job_id": "7",
        "pipeline_id": "3",
        "user_login": "root",
    }
    return Trusted(openbao, gitlab_server, claims)


def test_a_job_reads_what_its_role_may(trusted: Trusted) -> None:
    planner = trusted.login(role(), trusted.signed(environment=None))
    assert planner.get(PLANNED).value.reveal() == "planted-plan/token"
    deployer = trusted.login(role("production"), trusted.signed())
    assert deployer.get(APPLIED).value.reveal() == "planted-apply/production/token"
    told = deployer.lookup()
    assert told["meta"]["job_id"] == "7"
    assert told["ttl"] <= setup.LEASE_SECONDS
    assert told["policies"] == ["default", "factory-apply-production"]


def test_a_merge_request_reads_what_is_for_it_and_nothing_else(trusted: Trusted) -> None:
    branch = {"ref": "work", "ref_protected": "false", "environment": None}
    token = trusted.signed(pipeline_source="merge_request_event", **branch)
    reviewer = trusted.login(REVIEW, token)
    assert reviewer.get(REVIEWED).value.reveal() == "planted-review/token"
    for place in (PLANNED, APPLIED):
        with pytest.raises(Refused):
            reviewer.get(place)
    with pytest.raises(Unauthorized):
        trusted.login(REVIEW, trusted.signed(**branch))
    with pytest.raises(Unauthorized):
        trusted.login(role(), token)


def test_a_job_of_a_merge_request_asks_for_its_own_role(trusted: Trusted) -> None:
    token = trusted.signed(pipeline_source="merge_request_event", ref="work", ref_protected="false", environment=None)
    given = {lease.ADDRESS: trusted.server.url, lease.IDENTITY: token.reveal()}
    with lease.opened({**given, "CI_PIPELINE_SOURCE": "merge_request_event"}, [REVIEWED]) as found:
        assert found["token"].reveal() == "planted-review/token"
    with pytest.raises(Unauthorized), lease.opened({**given, "CI_PIPELINE_SOURCE": "push"}, [REVIEWED]):
        pass


@pytest.mark.parametrize(
    "changed",
    [
        {"project_id": "999"},
        {"project_path": "root/other"},
        {"ref": "work"},
        {"ref_type": "tag"},
        {"ref_protected": "false"},
        {"environment": "staging"},
        {"environment": None},
        {"ref_protected": None},
        {"aud": "http://elsewhere"},
        {"aud": None},
        {"iss": "http://127.0.0.1:1"},
        {"exp": 1_000_000_000, "nbf": 0, "iat": 0},
        {"nbf": 4_000_000_000},
    ],
    ids=str,
)
def test_another_job_is_refused(trusted: Trusted, changed: dict[str, Any]) -> None:
    with pytest.raises(Unauthorized) as refused:
        trusted.login(role("production"), trusted.signed(**changed))
    assert "HTTP 4" in str(refused.value)
    assert "factory secrets doctor" in refused.value.hint


def test_a_foreign_key_is_refused(trusted: Trusted) -> None:
    claims = jwt.decode(trusted.signed().reveal(), options={"verify_signature": False})
    kid = jwt.get_unverified_header(trusted.signed().reveal())["kid"]
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    for headers in ({"kid": kid}, {"kid": "other"}, {}):
        with pytest.raises(Unauthorized):
            trusted.login(role("production"), Secret(jwt.encode(claims, key, "RS256", headers=headers)))


def test_a_token_without_a_signature_or_signed_with_the_public_key_is_refused(trusted: Trusted) -> None:
    claims = jwt.decode(trusted.signed().reveal(), options={"verify_signature": False})
    public = trusted.gitlab.client().session.get(trusted.gitlab.url + oidc.KEYS).content
    kid = jwt.get_unverified_header(trusted.signed().reveal())["kid"]
    for algorithm, key in (("none", b""), ("RS256", b""), ("HS256", public)):
        with pytest.raises(Unauthorized):
            trusted.login(role("production"), _by_hand({"alg": algorithm, "kid": kid}, claims, key))


def _by_hand(header: dict[str, Any], claims: dict[str, Any], key: bytes) -> Secret:
    """Return a token that no library would make: without a signature, or signed with a key that is no secret."""
    text = ".".join(_encoded(json.dumps(part).encode()) for part in (header, claims))
    signature = hmac.digest(key, text.encode(), "sha256") if key else b""
    return Secret(f"{text}.{_encoded(signature)}")


def _encoded(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def test_a_role_that_is_not_there_is_refused(trusted: Trusted) -> None:
    with pytest.raises(Unauthorized):
        trusted.login("factory-apply-nowhere", trusted.signed())


def test_the_token_is_not_repeated_in_the_refusal(trusted: Trusted) -> None:
    token = trusted.signed(ref="work")
    with pytest.raises(Unauthorized) as refused:
        trusted.login(role("production"), token)
    assert token.reveal() not in f"{refused.value} {refused.value.__cause__!r} {refused.value.__context__!r}"


def test_bindings_are_shown(trusted: Trusted) -> None:
    found = setup.bindings(OpenBao(trusted.server.url, token=Secret(trusted.server.token)), ENVIRONMENTS)
    assert set(found) == {REVIEW, role(), role("production"), role("staging")}
    shown = found[role("production")]
    assert shown["claims"] == {
        name: trusted.claims[name]
        for name in ("project_id", "project_path", "ref", "ref_type", "ref_protected", "environment")
    }
    assert shown["audiences"] == [AUDIENCE]


JOB = """
"$FACTORY_PYTHON" -c "
import os
from factory.model.secret import SecretLocation
from factory.secrets import lease
places = [SecretLocation('token', 'apply/production/token')]
with lease.opened(os.environ, places, deploys='production') as found:
    print('same:', found['token'].reveal() == 'planted-' + places[0].path, found)
"
"""


@pytest.mark.long
def test_a_pipeline_job_reads_its_secret_and_shows_nothing(
    trusted: Trusted, gitlab_server: LocalGitlab, root: OpenBao
) -> None:
    project = gitlab_server.client().projects.get(trusted.claims["project_id"])
    project.protectedbranches.create({"name": "main"})
    script = "\n".join(f"      {line}" for line in JOB.strip().splitlines())
    common = f"  variables: {{FACTORY_OPENBAO_URL: {root.address}}}\n  script:\n  - |\n{script}\n"
    tokens = f"  id_tokens: {{FACTORY_TOKEN_ID: {{aud: '{AUDIENCE}'}}}}\n"
    text = f"apply:\n{tokens}  environment: production\n{common}plan:\n{tokens}{common}bare:\n{common}"
    action = {"action": "create", "file_path": ".gitlab-ci.yml", "content": text}
    project.commits.create({"branch": "main", "commit_message": "ci", "actions": [action]})

    def ended() -> Any:
        jobs = {job.name: job for job in project.jobs.list(get_all=True)}
        return jobs if len(jobs) == 3 and {job.status for job in jobs.values()} <= {"success", "failed"} else None

    jobs = wait_for(ended)
    traces = {name: project.jobs.get(job.id).trace().decode() for name, job in jobs.items()}
    assert {name: job.status for name, job in jobs.items()} == {"apply": "success", "plan": "failed", "bare": "failed"}
    assert "same: True {'token': Secret(hidden)}" in traces["apply"]
    assert "factory.errors.Unauthorized" in traces["plan"]
    assert "factory.errors.Unauthorized" in traces["bare"]
    assert "eyJ" not in "".join(traces.values())
