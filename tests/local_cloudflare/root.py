"""A Terraform root folder, run with the real terraform and the provider double."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from factory.local_cloudflare import mirror
from tests.local_cloudflare.double import ACCOUNT, Double

PRODUCTION = Path(__file__).parents[2] / "terraform" / "live" / "production"
_LOCAL_STATE = 'terraform {\n  backend "local" {}\n}\n'
_PROVIDER = """
terraform {
  required_providers {
    cloudflare = {
      source  = "cloudflare/cloudflare"
      version = "5.14.0"
    }
  }
}
"""


def apps(release: str) -> str:
    """Return the root's variable for the app hello in a release."""
    return json.dumps({"hello": {"hostname": "www.hello.test", "release": release, "requests_per_minute": 300}})


class Root:
    """A copy of ``terraform/live/production`` with its state in a file, or a folder with ``text`` as its only code."""

    def __init__(self, folder: Path, double: Double, text: str | None = None) -> None:
        self.folder = folder / "root"
        if text is None:
            shutil.copytree(PRODUCTION, self.folder, ignore=shutil.ignore_patterns(".terraform*"))
            (self.folder / "backend_override.tf").write_text(_LOCAL_STATE)
        else:
            self.folder.mkdir()
            (self.folder / "main.tf").write_text(_PROVIDER + text)
        self.env = {
            "PATH": os.environ["PATH"],
            "TF_CLI_CONFIG_FILE": str(mirror.write(folder / "mirror", sys.executable)),
            "TF_IN_AUTOMATION": "1",
            "TF_VAR_account_id": ACCOUNT,
            "CLOUDFLARE_BASE_URL": double.api,
            "CLOUDFLARE_API_TOKEN": "local-writer",
        }
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
            timeout=60,
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
        """Return the planned actions and the drift by resource type."""
        done = subprocess.run(
            ["terraform", "show", "-json", "plan"], cwd=self.folder, env=self.env, capture_output=True, check=True
        )
        plan = json.loads(done.stdout)
        return {
            "actions": {each["type"]: each["change"]["actions"] for each in plan["resource_changes"]},
            "drift": {each["type"]: each["change"] for each in plan.get("resource_drift", [])},
        }

    def state(self) -> dict[str, Any]:
        """Return the attributes of every resource in the state file, by type."""
        state = json.loads((self.folder / "terraform.tfstate").read_text())
        return {each["type"]: each["instances"][0]["attributes"] for each in state["resources"]}
