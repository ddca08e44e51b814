"""``factory infra``: plan, apply and verify one stack, as CI does."""

import json
from collections.abc import Mapping
from pathlib import Path

import click

from factory.cli import environment
from factory.errors import InvalidInput, Refused
from factory.policies import read as policy_files
from factory.system import files, process
from factory.terraform import apply as applying
from factory.terraform import plan as planning
from factory.terraform import release

OUT = Path(".factory/plan")
_STACK = click.option("--stack", default="production", show_default=True, help="A folder of terraform/live.")
_JUDGE = click.option("--judge", type=click.Path(path_type=Path), default=Path(), help="Where policies are read.")


@click.group()
def command() -> None:
    """Plan, apply and verify infrastructure."""


@command.command()
@_STACK
@_JUDGE
def plan(stack: str, judge: Path) -> None:
    """Write plan, manifest of digests and GitLab's Terraform report to .factory/plan."""
    given = environment.snapshot()
    token = given.get("CLOUDFLARE_PLAN_TOKEN", "")
    lock_state = given.get("CI_COMMIT_REF_PROTECTED") == "true"
    manifest, found = planning.make(_stack(given, stack, judge, token), OUT.resolve(), lock_state=lock_state)
    for change in found.changes:
        click.echo(f"{'/'.join(change.actions):<16} {change.address}")
    click.echo(f"{len(found.changes)} changes; manifest {manifest.digest()}")


@command.command()
@_STACK
@_JUDGE
@click.option("--archive", type=click.Path(path_type=Path), help="The release's archive, handed over before the apply.")
def apply(stack: str, judge: Path, archive: Path | None) -> None:
    """Apply the saved plan, only if it is the approved one (APPROVED_MANIFEST) and all it was made of still holds."""
    given = environment.snapshot()
    approved = given.get("APPROVED_MANIFEST", "")
    if not approved:
        raise Refused("no approved manifest was given (APPROVED_MANIFEST)")
    token = given.get("CLOUDFLARE_APPLY_TOKEN", "")
    url = given.get("FACTORY_RELEASES_URL")

    def publish() -> None:
        if archive is not None and url:
            release.publish(url, token, _release(given), archive)
            click.echo(f"release {_release(given)} is ready")

    applying.apply(_stack(given, stack, judge, token), OUT.resolve(), approved=approved, first=publish)
    click.echo(f"applied {approved}; the plan after it is empty")


@command.command()
@_STACK
def verify(stack: str) -> None:
    """Ask the deployed hostname which release answers, and write what was seen to .factory/deploy."""
    given = environment.snapshot()
    hostname = given.get("FACTORY_HOSTNAME") or "www.hello.test"
    edge = given.get("FACTORY_EDGE_URL") or f"https://{hostname}"
    wanted = _release(given)
    seen = release.observe(edge, hostname, wanted)
    value = {"stack": stack, "url": f"http://{hostname}", "release": seen, "verified": seen == wanted}
    files.write_atomic(Path(".factory/deploy/deploy.json"), json.dumps(value).encode())
    click.echo(f"{hostname} answers with {seen}")


def _stack(given: Mapping[str, str], name: str, judge: Path, token: str) -> planning.Stack:
    policies = policy_files.read(
        {f"policies/{p.name}": p.read_bytes() for p in sorted((judge / "policies").glob("*.yml"))}
    )
    tools = environment.toolchain(given, judge.resolve())
    passed = ("TF_CLI_CONFIG_FILE", "CLOUDFLARE_BASE_URL", "TF_PLUGIN_CACHE_DIR")
    variables = {key: value for key, value in given.items() if key.startswith("TF_VAR_")}
    env = {
        **environment.tool_env(given, tools),
        **{key: given[key] for key in passed if key in given},
        **variables,
        **_backend(given, name),
        "HOME": given.get("HOME", "/nonexistent"),
        "TMPDIR": given.get("TMPDIR", "/tmp"),  # noqa: S108 - where the system keeps temporary files
        "CLOUDFLARE_API_TOKEN": token,
        "TF_VAR_release": _release(given),
    }
    return planning.Stack(
        name=name,
        root=Path("terraform/live") / name,
        commit=given.get("CI_COMMIT_SHA", "") or process.run(["git", "rev-parse", "HEAD"], env=env).text.strip(),
        policy=policies.digest,
        program=tools.terraform(),
        env=env,
        providers=policies.terraform.providers,
    )


def _backend(given: Mapping[str, str], stack: str) -> dict[str, str]:
    """Return the settings of GitLab's Terraform state backend (docs: GitLab-managed Terraform state)."""
    api, project, token = given.get("CI_API_V4_URL"), given.get("CI_PROJECT_ID"), given.get("CI_JOB_TOKEN")
    if not (api and project and token):
        raise InvalidInput(
            "the state is in GitLab: this command runs in a job (CI_API_V4_URL, CI_PROJECT_ID, CI_JOB_TOKEN)"
        )
    address = f"{api}/projects/{project}/terraform/state/{stack}"
    return {
        "TF_HTTP_ADDRESS": address,
        "TF_HTTP_LOCK_ADDRESS": f"{address}/lock",
        "TF_HTTP_LOCK_METHOD": "POST",
        "TF_HTTP_UNLOCK_ADDRESS": f"{address}/lock",
        "TF_HTTP_UNLOCK_METHOD": "DELETE",
        "TF_HTTP_USERNAME": "gitlab-ci-token",
        "TF_HTTP_PASSWORD": token,
        "TF_HTTP_RETRY_WAIT_MIN": "1",
    }


def _release(given: Mapping[str, str]) -> str:
    return f"hello-{given.get('CI_COMMIT_SHA', '')}"
