"""Plans of many stacks beside the bare commands, and policy beside the parsing of the JSON that it judges."""

import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from factory.local_cloudflare.provider import mirror
from factory.policies import plans, read
from factory.system import canonical
from factory.terraform import plan as planning
from factory.terraform.manifest import normalise
from factory.terraform.plan import Stack
from tests.local_cloudflare.double import ACCOUNT, Double
from tests.measure import row
from tests.servers import ROOT, running_gitlab
from tests.terraform.stacks import TERRAFORM, make_stack, state_env

_STACKS, _RUNS, _RESOURCES = 50, 3, 5000
_PROVIDER = """
terraform {
  required_providers {
    cloudflare = {
      source  = "cloudflare/cloudflare"
      version = "= 5.14.0"
    }
  }
  backend "http" {}
}
provider "cloudflare" {}
"""
_MAIN = """
resource "cloudflare_zone" "this" {
  account = { id = "%s" }
  name    = "%s.test"
}
resource "cloudflare_dns_record" "www" {
  zone_id = cloudflare_zone.this.id
  name    = "www.%s.test"
  type    = "A"
  content = "192.0.2.1"
  proxied = true
  ttl     = 1
}
"""


def rows() -> list[dict[str, object]]:
    """Return the rows of ``make bench``."""
    return [_many(), _policy()]


def _many() -> dict[str, object]:
    """Plan 50 stacks through the factory, and with init and plan by xargs, each in a folder of its own."""
    parallel = os.cpu_count() or 1
    with (
        tempfile.TemporaryDirectory() as name,
        closing(Double(Path(name) / "double")) as double,
        running_gitlab(Path(name) / "gitlab") as server,
    ):
        folder, project = Path(name), server.project().id
        env = {
            "TF_CLI_CONFIG_FILE": str(mirror.write(folder / "mirror", sys.executable)),
            "CLOUDFLARE_BASE_URL": double.api,
            "CLOUDFLARE_API_TOKEN": "local-reader",
        }
        stacks = []
        for number in range(_STACKS):
            stack = f"s{number}"
            given = {**env, **state_env(server.url, project, stack, server.root_token)}
            main = _MAIN % (ACCOUNT, stack, stack)
            stacks.append(make_stack(folder / "tree", given, name=stack, main=main, backend=_PROVIDER))
        pairs = []
        for _ in range(_RUNS):
            bare = _bare(folder, stacks, parallel)
            start = time.perf_counter()
            made = planning.make_all(stacks, folder / "out", after={}, lock_state=False, parallel=parallel)
            pairs.append((time.perf_counter() - start, bare))
            assert all(item.error is None for item in made), [item.error for item in made]
        return row(f"infra plan of {_STACKS} stacks / terraform by xargs -P {parallel}", pairs, 1.3)


def _bare(folder: Path, stacks: list[Stack], parallel: int) -> float:
    """Return the seconds of the bare commands, in fresh copies of the roots."""
    copies = folder / "bare"
    subprocess.run(["rm", "-rf", str(copies)], check=True)
    subprocess.run(["cp", "-r", str(folder / "tree/terraform/live"), str(copies)], check=True)
    init, plan = f"{TERRAFORM} init -input=false", f"{TERRAFORM} plan -input=false -lock=false -out=plan.tfplan"
    command = f"cd {copies}/{{}} && {init} && {plan}"
    # One address serves them all: nothing is written to it.
    names = "\n".join(stack.name for stack in stacks)
    start = time.perf_counter()
    subprocess.run(
        ["xargs", "-P", str(parallel), "-I{}", "sh", "-c", command],
        input=names.encode(),
        env=dict(stacks[0].env),
        stdout=subprocess.DEVNULL,
        check=True,
    )
    return time.perf_counter() - start


def _policy() -> dict[str, object]:
    """Judge a plan of 5,000 resources, and parse its JSON."""
    files = {f"policies/{path.name}": path.read_bytes() for path in (ROOT / "policies").glob("*.yml")}
    policies = read.read(files)
    data = canonical.encode(normalise(_plan()))
    pairs = []
    for _ in range(9):
        start = time.perf_counter()
        value = json.loads(data)
        parsed = time.perf_counter()
        plan = planning.facts("production", "sha256:0", value)
        rulings = plans.judge(policies, plan, today="2026-11-26")
        pairs.append((time.perf_counter() - parsed, parsed - start))
        assert len(rulings) >= _RESOURCES
    return row(f"policy over {_RESOURCES} resources / json.loads of the plan", pairs, 3.0)


def _plan() -> dict[str, Any]:
    def record(number: int) -> dict[str, object]:
        after = {
            "zone_id": "0" * 32,
            "name": f"r{number}.hello.test",
            "type": "A",
            "content": "192.0.2.1",
            "proxied": True,
            "ttl": 1,
            "comment": None,
            "tags": ["a", "b"],
            "priority": None,
        }
        change = {"actions": ["update"], "before": {**after, "ttl": 60}, "after": after, "after_unknown": {}}
        address = f'module.dns.cloudflare_dns_record.this["r{number}"]'
        return {"address": address, "type": "cloudflare_dns_record", "change": change}

    return {"format_version": "1.2", "resource_changes": [record(number) for number in range(_RESOURCES)]}


def main() -> None:
    """Measure and print; exit 1 where a limit is passed."""
    found = rows()
    for line in found:
        print(json.dumps(line))  # noqa: T201 - a program's output
    sys.exit(not all(line["holds"] for line in found))


if __name__ == "__main__":
    main()
