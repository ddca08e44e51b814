"""The red team with another job, lock, token or provider than the approved plan's: nothing is applied."""

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from factory.errors import ApplyUnknown, Conflict, NotFound, Refused, ToolFailed, Unauthorized
from factory.local_cloudflare.provider import mirror
from factory.model.deployment import ApplyResult, Phase
from factory.system import data
from factory.terraform import apply as applying
from tests.local_cloudflare.double import ACCOUNT
from tests.terraform.red_team import Attack, Scene, World
from tests.terraform.running_jobs import BRANCH
from tests.terraform.stacks import TERRAFORM

pytestmark = pytest.mark.skipif(not TERRAFORM, reason="terraform is not installed: run `make setup`")


def without_lock(scene: Scene) -> None:
    held = scene.state.holder()
    assert held is not None
    scene.state.unlock(held)


def taken_over(scene: Scene) -> None:
    without_lock(scene)
    scene.state.lock(who="another", operation="apply", minutes=5)


def locked(scene: Scene) -> Scene:
    scene.state.lock(who="job 7 of pipeline 3", operation="apply", minutes=5)
    return scene


def as_job(name: str, *keys: str) -> Callable[[Scene], Scene]:
    """Return what gives the job the variables of another one: all, or only ``keys``."""

    def give(scene: Scene) -> Scene:
        other = scene.world.jobs[name]
        return scene.claiming(**{key: other.given[key] for key in keys}) if keys else replace(scene, job=other)

    return give


def forged(scene: Scene) -> Scene:
    """Have a branch's job say that it runs on main, protected, at main's commit."""
    ours = scene.job
    names = ("CI_COMMIT_REF_PROTECTED", "CI_COMMIT_REF_NAME", "CI_COMMIT_SHA", "CI_JOB_ID")
    theirs = scene.world.jobs[BRANCH].given
    return scene.claiming(**theirs).claiming(**{name: ours.given[name] for name in names})


def begun(phase: Phase) -> Callable[[Scene], Scene]:
    return lambda scene: scene.written(applying.RESULT, data.write(ApplyResult(phase)))


def revoked(scene: Scene) -> Scene:
    tokens = f"/accounts/{ACCOUNT}/tokens"
    group = {"id": "c07321b023e944ff818fec44d8203567"}
    allow = {"effect": "allow", "permission_groups": [group]} | {
        "resources": {f"com.cloudflare.api.account.{ACCOUNT}": "*"}
    }
    made = scene.world.double.result("POST", tokens, json={"name": "t", "policies": [allow]})
    scene.world.double.result("DELETE", f"{tokens}/{made['id']}")
    return scene.given(CLOUDFLARE_API_TOKEN=made["value"])


def planted_in_mirror(scene: Scene) -> Scene:
    """Have the mirror hold a provider that is not the one of the plan."""
    config = mirror.write(scene.folder / "mirror", sys.executable)
    (program,) = config.parent.rglob("terraform-provider-*")
    program.write_text(program.read_text().replace("exec", f"touch {scene.folder}/ran\nexec"))
    return scene.given(TF_CLI_CONFIG_FILE=str(config))


def overridden(scene: Scene) -> Scene:
    """Have the CLI configuration name a folder that holds a provider, which no lock file is asked about."""
    (program,) = (scene.world.folder / "mirror").rglob("terraform-provider-*")
    folder = scene.folder / "planted"
    folder.mkdir()
    (folder / "terraform-provider-cloudflare").write_text(program.read_text())
    (folder / "terraform-provider-cloudflare").chmod(0o755)
    config = scene.folder / "terraform.tfrc"
    override = f'provider_installation {{\n  dev_overrides {{ "cloudflare/cloudflare" = "{folder}" }}'
    trusted = Path(scene.stack.env["TF_CLI_CONFIG_FILE"]).read_text()
    config.write_text(trusted.replace("provider_installation {", override))
    return scene.given(TF_CLI_CONFIG_FILE=str(config))


JOB = [
    Attack(
        "unprotected ref", lambda s: s.claiming(CI_COMMIT_REF_PROTECTED="false"), Refused, "the ref main is not prot"
    ),
    Attack("job of a branch", as_job(BRANCH), Refused, "the ref work is not protected"),
    Attack("branch's job that claims main", forged, Refused, "GitLab knows this job as .* work .*, not as .* main"),
    Attack("other job's token", as_job("other", "CI_JOB_TOKEN"), Refused, "GitLab knows this job as"),
    Attack("other job's number", as_job("other", "CI_JOB_ID"), Refused, "GitLab knows this job as"),
    Attack(
        "ended job's token", as_job("ended", "CI_JOB_ID", "CI_JOB_TOKEN"), Unauthorized, "show the job of this token"
    ),
    Attack("no token", lambda s: s.claiming(CI_JOB_TOKEN=""), Unauthorized, "show the job of this token"),
    Attack(
        "person's token",
        lambda s: s.claiming(CI_JOB_TOKEN=s.world.server.root_token),
        NotFound,
        "the job of this token",
    ),
    Attack(
        "forged commit", lambda s: replace(s, job=replace(s.job, commit="e" * 40)), Refused, "not as .* main eeeeeeee"
    ),
    Attack("lock held by another", locked, Conflict, "locked by job 7 of pipeline 3 for apply"),
    Attack(
        "lock stolen before the apply",
        lambda s: replace(s, first=lambda: taken_over(s)),
        Conflict,
        "the lock was lost: it is held by another",
        steals=True,
    ),
    Attack(
        "lock taken off before the apply",
        lambda s: replace(s, first=lambda: without_lock(s)),
        Conflict,
        "the lock was lost: somebody removed it",
        steals=True,
    ),
    Attack("apply started before", begun("started"), ApplyUnknown, "did not finish \\(phase started\\)"),
    Attack("apply failed before", begun("failed"), ApplyUnknown, "did not finish \\(phase failed\\)"),
    Attack(
        "unreadable record of an apply",
        lambda s: s.written(applying.RESULT, b"{}"),
        ApplyUnknown,
        "did not finish \\(phase not readable\\)",
    ),
    Attack("revoked token", revoked, Unauthorized, "CLOUDFLARE_API_TOKEN is unknown or revoked"),
    Attack(
        "token that may only read",
        lambda s: s.given(CLOUDFLARE_API_TOKEN="local-reader"),
        Unauthorized,
        "lacks the permission",
    ),
    Attack("wrong token of the state", lambda s: s.given(TF_HTTP_PASSWORD="x"), Unauthorized, "does not accept the"),
    Attack("provider planted in the mirror", planted_in_mirror, ToolFailed, "terraform init failed"),
    Attack("provider planted by dev_overrides", overridden, Refused, "overrides a provider \\(dev_overrides\\)"),
]


@pytest.mark.parametrize("attack", JOB, ids=lambda attack: attack.name)
def test_attack(attacked: World, tmp_path: Path, attack: Attack) -> None:
    attack.must_fail(attacked.scene(tmp_path, attack.main))
