"""The red team inside a merge request: its configuration, and what it plants beside it, gets neither plan nor apply."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from factory.errors import FactoryError, NotFound, Refused
from factory.terraform import plan as planning
from tests.terraform.red_team import LIVE, SECOND, Attack, Scene, World
from tests.terraform.stacks import TERRAFORM

pytestmark = pytest.mark.skipif(not TERRAFORM, reason="terraform is not installed: run `make setup`")

Planting = Callable[[Scene], Scene]
RESOURCE = 'resource "cloudflare_dns_record" "x" {{\n  {}\n}}\n'
REQUIRED = "terraform {{\n  required_providers {{\n    {}\n  }}\n}}\n"
# Read by terraform wherever the working directory is; none of these may come from a job's variables.
VARIABLES = (
    "TF_CLI_ARGS",
    "TF_CLI_ARGS_plan",
    "TF_CLI_ARGS_apply",
    "TF_CLI_ARGS_init",
    "TF_LOG",
    "TF_LOG_PATH",
    "TF_DATA_DIR",
    "TF_WORKSPACE",
    "TF_REATTACH_PROVIDERS",
    "TF_ENCRYPTION",
    "TF_HTTP_ADDRESS",
    "TF_HTTP_SKIP_CERT_VERIFICATION",
    "TF_TOKEN_app_terraform_io",
    "TF_VAR_apps",
    "TERRAFORM_CONFIG",
    "CLOUDFLARE_API_KEY",
    "CLOUDFLARE_API_TOKEN",
    "LD_PRELOAD",
    "HTTPS_PROXY",
    "GIT_SSH_COMMAND",
)


def plant(name: str, text: str) -> Planting:
    """Return what writes a file of the checkout."""

    def write(scene: Scene) -> Scene:
        path = scene.stack.tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return scene

    return write


def evil(text: str) -> Planting:
    """Return what adds a file of configuration to the root."""
    return plant(f"{LIVE}/evil.tf", text)


def link(name: str, target: str) -> Planting:
    """Return what puts a link into the checkout."""

    def make(scene: Scene) -> Scene:
        path = scene.stack.tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(target)
        return scene

    return make


def both(*plantings: Planting) -> Planting:
    """Return what does one after the other."""

    def do(scene: Scene) -> Scene:
        for planting in plantings:
            scene = planting(scene)
        return scene

    return do


def module(source: str) -> Planting:
    """Return what has the root use a module from elsewhere."""
    return evil(f'module "x" {{\n  source = "{source}"\n}}\n')


def runs(what: str) -> Planting:
    """Return what has a resource run a provisioner."""
    return evil(RESOURCE.format(f'provisioner "{what}" {{\n    command = "id"\n  }}'))


def binary(scene: Scene) -> Scene:
    (scene.root / "evil.tf").write_bytes(b"\xff\xfe")
    return scene


def linked(scene: Scene) -> Scene:
    scene.root.rename(scene.folder / "elsewhere")
    scene.root.symlink_to(scene.folder / "elsewhere")
    return scene


def refused(name: str, do: Planting, reason: str, error: type[FactoryError] = Refused) -> Attack:
    """Return a row that is refused, for this reason, before terraform starts."""
    return Attack(name, do, error, reason)


ATTACKS = [
    refused("data source external", evil('data "external" "x" {\n  program = ["id"]\n}\n'), "a data source external"),
    refused("data source http", evil('data "http" "x" {\n  url = "http://x"\n}\n'), "a data source http"),
    refused("data source of a file", evil('data "local_file" "x" {}\n'), "a data source local_file"),
    refused("another root's state", evil('data "terraform_remote_state" "x" {}\n'), "terraform_remote_state"),
    refused("local-exec", runs("local-exec"), "a provisioner or connection"),
    refused("remote-exec", runs("remote-exec"), "a provisioner or connection"),
    refused("provisioner file", runs("file"), "a provisioner or connection"),
    refused("connection", evil(RESOURCE.format('connection {\n    host = "x"\n  }')), "a provisioner or connection"),
    refused("file of the machine", evil('output "x" {\n  value = file("/etc/passwd")\n}\n'), "the function file"),
    refused("secret shown", evil('output "x" {\n  value = nonsensitive(var.hidden)\n}\n'), "function nonsensitive"),
    refused("provider's function", evil('output "x" {\n  value = provider::x::read("y")\n}\n'), "provider::x::read"),
    refused("foreign provider", evil(REQUIRED.format('x = { source = "evil/x", version = "1" }')), "provider 'evil/x'"),
    refused(
        "provider under our name", evil(REQUIRED.format('cloudflare = { source = "evil/cloudflare" }')), "evil/clou"
    ),
    refused(
        "provider of another host",
        evil(REQUIRED.format('cloudflare = { source = "evil.test/cloudflare/cloudflare", version = "5.14.0" }')),
        "provider 'evil.test/cloudflare/cloudflare'",
    ),
    refused(
        "other version",
        evil(REQUIRED.format('cloudflare = { source = "cloudflare/cloudflare", version = "5.13.0" }')),
        "in version 5.13.0, not 5.14.0",
    ),
    refused("foreign resource", evil('resource "null_resource" "x" {}\n'), "a resource null_resource"),
    refused(
        "provider's address",
        evil('provider "cloudflare" {\n  base_url = "http://x"\n}\n'),
        "the provider setting base_url",
    ),
    refused(
        "provider's token", evil('provider "cloudflare" {\n  api_token = "x"\n}\n'), "the provider setting api_token"
    ),
    refused("module from git", module("git::https://x.test/y"), "the module 'git::https://x.test/y'"),
    refused("module by HTTP", module("https://x.test/y.zip"), "the module 'https://x.test/y.zip'"),
    refused("module of the registry", module("cloudflare/x/y"), "the module 'cloudflare/x/y'"),
    refused("module outside", module("../../../../x"), "the module '../../../../x'"),
    refused("module of another root", module("../staging"), "the module '../staging'"),
    refused(
        "module that is a link",
        both(module("../../modules/x"), link("terraform/modules/x", "/etc")),
        "terraform/modules/x is not a folder of this repository",
        NotFound,
    ),
    refused(
        "module that runs something",
        both(module("../../modules/x"), plant("terraform/modules/x/main.tf", 'data "external" "x" {}\n')),
        "terraform/modules/x/main.tf: a data source external",
    ),
    refused("backend of its own", evil('terraform {\n  backend "s3" {}\n}\n'), "a backend other than"),
    refused(
        "backend elsewhere",
        evil('terraform {\n  backend "http" {\n    address = "x"\n  }\n}\n'),
        "a backend other than an empty",
    ),
    refused(
        "backend overridden",
        plant(f"{LIVE}/a_override.tf", 'terraform {\n  backend "local" {}\n}\n'),
        "a backend other than an empty",
    ),
    refused("cloud block", evil('terraform {\n  cloud {\n    organization = "x"\n  }\n}\n'), "setting terraform.cloud"),
    refused("provider_meta", evil('terraform {\n  provider_meta "x" {}\n}\n'), "the setting terraform.provider_meta"),
    refused("ephemeral block", evil('ephemeral "x" "y" {}\n'), "the block 'ephemeral'"),
    refused("heredoc that hides", evil("locals {\n  a = <<E\nE\n  b = 1\nE\n}\n"), "heredocs are not supported"),
    refused("text that is no HCL", evil('resource "x {\n'), "not readable as HCL"),
    refused("text that is not UTF-8", binary, "text that is not UTF-8"),
    refused("JSON instead of HCL", plant(f"{LIVE}/evil.tf.json", "{}"), "evil.tf.json: a file that is not .tf"),
    refused("variables of its own", plant(f"{LIVE}/x.auto.tfvars", 'release = "evil"\n'), "a file that is not .tf"),
    refused("CLI configuration", plant(f"{LIVE}/terraform.rc", "x"), "terraform.rc: a file that is not .tf"),
    refused("hidden CLI configuration", plant(f"{LIVE}/.terraformrc", "x"), ".terraformrc: a file that is not .tf"),
    refused("planted plan file", plant(f"{LIVE}/plan.tfplan", "x"), "plan.tfplan: a file that is not .tf"),
    refused("planted plugins", plant(f"{LIVE}/terraform.d/plugins/x", "x"), "a folder in a root or module"),
    refused("link to a file", link(f"{LIVE}/evil.tf", "/etc/passwd"), "evil.tf: a link"),
    refused("root that is a link", linked, "is not a folder of this repository", NotFound),
]


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_attack(attacked: World, tmp_path: Path, attack: Attack) -> None:
    scene = attack.do(attacked.scene(tmp_path))
    before = scene.seen()
    for what in (scene.apply, lambda: planning.make(scene.stack, tmp_path / "made", lock_state=True)):
        with pytest.raises(attack.error) as ended:
            what()
        assert attack.reason in str(ended.value)
    assert scene.seen() == before
    assert scene.told()["phase"] == "refused"
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("name", VARIABLES)
def test_attack_by_a_variable(attacked: World, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    job = attacked.jobs["apply"]
    given = replace(job, given={**job.given, "PATH": attacked.stack.env["PATH"], name: "planted"})
    (stack,) = given.stacks(["production"], "local-writer")
    assert "planted" not in stack.env.values()


def test_what_is_planted_where_terraform_would_look_is_not_read(attacked: World, tmp_path: Path) -> None:
    scene = attacked.scene(tmp_path)
    for name in (f"{LIVE}/.terraform/providers/x", f"{LIVE}/.terraform.lock.hcl", ".terraformrc", "terraform.rc"):
        plant(name, "nonsense {")(scene)
    manifest, plan = planning.make(scene.given(HOME=str(scene.stack.tree)).stack, tmp_path / "made", lock_state=False)
    made = planning.read_facts(attacked.plan(SECOND))
    assert plan.digest == made.digest == manifest.plan
    assert (tmp_path / "made" / planning.LOCK).read_bytes() == (scene.out / planning.LOCK).read_bytes()
