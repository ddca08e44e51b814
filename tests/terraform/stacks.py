"""Stacks of terraform's own resource, and what they are planned and applied with, for tests."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from factory.model.facts import Plan
from factory.terraform.apply import Order, Rules
from factory.terraform.plan import Stack
from factory.terraform.program import Terraform
from tests.servers import TOOL_ENV, TOOL_PATH

TERRAFORM = shutil.which("terraform", path=TOOL_PATH) or ""
ROOT = 'variable "release" {}\nresource "terraform_data" "this" {\n  input = var.release\n}\n'
HTTP = 'terraform {\n  backend "http" {}\n}\n'
PROVIDERS = {"cloudflare/cloudflare": "5.14.0"}
ALLOWED = Rules(lambda _: (), lambda plan: len(plan.changes))


def denying(reasons: Callable[[Plan], Sequence[str]]) -> Rules:
    """Return rules that deny."""
    return Rules(reasons, lambda plan: len(plan.changes))


def make_stack(
    tree: Path, env: Mapping[str, str], *, name: str = "production", main: str = ROOT, backend: str = HTTP
) -> Stack:
    """Return a stack whose root is written below ``tree``."""
    root = tree / "terraform/live" / name
    root.mkdir(parents=True)
    (root / "versions.tf").write_text(backend)
    (root / "main.tf").write_text(main)
    given = {**TOOL_ENV, "HOME": str(tree), "TMPDIR": str(tree), "TF_VAR_release": "hello-1", **env}
    version = Terraform(tree, program=TERRAFORM, env=given).version()
    return Stack(name, tree, "c" * 40, "b" * 40, "sha256:policy", TERRAFORM, version, given, PROVIDERS)


def state_env(url: str, project: int, name: str, token: str, *, username: str = "someone") -> dict[str, str]:
    """Return the environment of GitLab's Terraform backend."""
    address = f"{url}/api/v4/projects/{project}/terraform/state/{name}"
    return {
        "TF_HTTP_ADDRESS": address,
        "TF_HTTP_LOCK_ADDRESS": f"{address}/lock",
        "TF_HTTP_LOCK_METHOD": "POST",
        "TF_HTTP_UNLOCK_ADDRESS": f"{address}/lock",
        "TF_HTTP_UNLOCK_METHOD": "DELETE",
        "TF_HTTP_USERNAME": username,
        "TF_HTTP_PASSWORD": token,
        "TF_HTTP_RETRY_WAIT_MIN": "0",
        "TF_HTTP_RETRY_MAX": "0",
    }


def order(approved: str, *, destroy: str = "", stale: str = "refuse") -> Order:
    """Return an order to apply."""
    return Order(approved, destroy, "job 1 of pipeline 1", 30, "replan" if stale == "replan" else "refuse")
