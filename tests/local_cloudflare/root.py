"""A Terraform root folder with its modules, run with the real terraform and the provider double."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from factory.local_cloudflare.provider import mirror
from tests.local_cloudflare.double import ACCOUNT, Double
from tests.servers import PATIENCE

TERRAFORM = Path(__file__).parents[2] / "terraform"
HOSTNAME = "www.hello.test"
_LOCAL_STATE = 'terraform {\n  backend "local" {}\n}\n'
PROVIDER = """
terraform {
  required_providers {
    cloudflare = {
      source  = "cloudflare/cloudflare"
      version = "5.14.0"
    }
  }
}
"""


def apps(release: str, hostname: str = HOSTNAME) -> str:
    """Return the root's variable for the app hello in a release."""
    return json.dumps({"hello": {"hostname": hostname, "release": release}})


def tree(folder: Path) -> Path:
    """Copy ``terraform/`` below ``folder``, with every root's state in a file beside it; return its ``live``."""
    copied = folder / "terraform"
    shutil.copytree(TERRAFORM, copied, ignore=shutil.ignore_patterns(".terraform*"))
    for root in (copied / "live").iterdir():
        (root / "backend_override.tf").write_text(_LOCAL_STATE)
    return copied / "live"


def environment(folder: Path, double: Double) -> dict[str, str]:
    """Return the whole environment of a terraform that uses the double; the mirror is written below ``folder``."""
    return {
        "PATH": os.environ["PATH"],
        "TF_CLI_CONFIG_FILE": str(mirror.write(folder / "mirror", sys.executable)),
        "TF_IN_AUTOMATION": "1",
        "CLOUDFLARE_BASE_URL": double.api,
        "CLOUDFLARE_API_TOKEN": "local-writer",
    }


class Root:
    """A copy of a root of ``terraform/live`` with its modules, or a folder with ``text`` as its only code."""

    def __init__(self, folder: Path, double: Double, text: str | None = None, *, stack: str = "production") -> None:
        if text is None:
            self.folder = tree(folder) / stack
        else:
            self.folder = folder / "root"
            self.folder.mkdir()
            (self.folder / "main.tf").write_text(PROVIDER + text)
        self.env = environment(folder, double) | {"TF_VAR_account_id": ACCOUNT}
        self.said = ""
        assert self.run("init") == 0, self.said

    def run(self, command: str, *arguments: str, **env: str) -> int:
        """Run terraform; return its exit code and keep what it said, without line breaks, in ``said``."""
        inputs = ["-input=false"] if command in {"init", "plan", "apply", "destroy", "import"} else []
        done = subprocess.run(
            ["terraform", command, *([] if command == "fmt" else ["-no-color"]), *inputs, *arguments],
            cwd=self.folder,
            env=self.env | env,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        self.said = " ".join((done.stdout + done.stderr).split())
        return done.returncode

    def apply(self, release: str, **env: str) -> int:
        """Apply with a release."""
        return self.run("apply", "-auto-approve", f"-var=apps={apps(release)}", **env)

    def plan(self, release: str, **env: str) -> int:
        """Plan to a file: 0 nothing to do, 1 error, 2 changes."""
        return self.run("plan", "-detailed-exitcode", f"-var=apps={apps(release)}", "-out=plan", **env)

    def shown(self) -> dict[str, Any]:
        """Return the planned actions by address, and the drift by resource type."""
        done = subprocess.run(
            ["terraform", "show", "-json", "plan"], cwd=self.folder, env=self.env, capture_output=True, check=True
        )
        plan = json.loads(done.stdout)
        return {
            "actions": {each["address"]: each["change"]["actions"] for each in plan["resource_changes"]},
            "drift": {each["type"]: each["change"] for each in plan.get("resource_drift", [])},
        }

    def state(self) -> dict[str, Any]:
        """Return the attributes of a resource of each type in the state file, by type."""
        return {each["type"]: each["instances"][0]["attributes"] for each in self.resources()}

    def addresses(self) -> set[str]:
        """Return the addresses of what the state file holds."""
        found = set()
        for each in self.resources():
            base = ".".join([*([each["module"]] if "module" in each else []), each["type"], each["name"]])
            keys = [instance.get("index_key") for instance in each["instances"]]
            found |= {base if key is None else f"{base}[{json.dumps(key)}]" for key in keys}
        return found

    def resources(self) -> list[dict[str, Any]]:
        """Return the resources of the state file."""
        file = self.folder / "terraform.tfstate"
        found: list[dict[str, Any]] = json.loads(file.read_text())["resources"] if file.exists() else []
        # An apply that failed leaves entries without an instance for what has count 0.
        return [each for each in found if each["instances"]]
