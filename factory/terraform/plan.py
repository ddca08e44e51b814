"""Makes a plan: the plan file, its normalised JSON, its manifest, and GitLab's Terraform report."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from factory.errors import InvalidInput, ToolFailed
from factory.model.facts import Plan, PlannedChange
from factory.system import canonical, files
from factory.terraform.manifest import Manifest, normalise
from factory.terraform.program import Terraform
from factory.terraform.screen import screen

PLAN_FILE, PLAN_JSON, MANIFEST, REPORT, LOCK = "plan.tfplan", "plan.json", "manifest.json", "report.json", "lock.hcl"
_TERRAFORM_LOCK = ".terraform.lock.hcl"
_SECRET = ("TF_HTTP_PASSWORD", "CLOUDFLARE_API_TOKEN")
_SKIPPED = ("*.tfstate*", ".terraform", _TERRAFORM_LOCK)


@dataclass(frozen=True)
class Stack:
    """One root of ``terraform/live``, and how terraform runs there; ``env`` is its whole environment."""

    name: str
    root: Path
    commit: str
    policy: str
    program: str
    env: Mapping[str, str]
    providers: tuple[str, ...]

    def work(self, folder: Path) -> Terraform:
        """Return terraform in a fresh copy of the root below ``folder``; the root itself stays as it is."""
        if not (self.root / "versions.tf").exists():
            raise InvalidInput(f"there is no stack {self.name!r}: {self.root}/versions.tf is missing")
        screen(self.root, self.providers)
        files.remove_tree(folder)
        with files.disk_errors(folder):
            shutil.copytree(self.root, folder, ignore=shutil.ignore_patterns(*_SKIPPED))
        return Terraform(folder, program=self.program, env=self.env)

    def redacted(self, text: str) -> str:
        """Return a text without the tokens that terraform was given."""
        for name in _SECRET:
            if self.env.get(name):
                text = text.replace(self.env[name], "(redacted)")
        return text

    def source_digest(self) -> str:
        """Return the digest of the root's own files."""
        found = sorted(path for path in self.root.rglob("*.tf*") if path.is_file() and ".terraform" not in path.parts)
        return canonical.digest_of([[str(p.relative_to(self.root)), canonical.digest(p.read_bytes())] for p in found])

    def variables_digest(self) -> str:
        """Return the digest of the input variables."""
        given = {key: value for key, value in self.env.items() if key.startswith("TF_VAR_")}
        return canonical.digest_of(given)


def make(stack: Stack, out: Path, *, lock_state: bool) -> tuple[Manifest, Plan]:
    """Plan the stack and write plan file, JSON, manifest, report and provider lock into ``out``.

    ``lock_state`` is false for merge requests, whose token may only read. Raises ``ToolFailed``.
    """
    work = out / "work"
    terraform = stack.work(work)
    terraform.start()
    terraform.write_plan(PLAN_FILE, lock=lock_state)
    normalised = normalise(json.loads(stack.redacted(terraform.show(PLAN_FILE))))
    manifest = _manifest(stack, terraform, work, normalised)
    lock = (work / _TERRAFORM_LOCK).read_bytes() if (work / _TERRAFORM_LOCK).exists() else b""
    plan = facts(stack.name, manifest.plan, normalised)
    files.write_atomic(out / PLAN_FILE, (work / PLAN_FILE).read_bytes(), mode=0o600)
    files.write_atomic(out / PLAN_JSON, canonical.encode(normalised))
    files.write_atomic(out / LOCK, lock)
    files.write_atomic(out / REPORT, json.dumps(_report(plan)).encode())
    files.write_atomic(out / MANIFEST, manifest.encode())
    files.remove_tree(work)
    return manifest, plan


def facts(stack: str, digest: str, normalised: Mapping[str, Any]) -> Plan:
    """Return a normalised plan in short: only what would change."""
    changes = tuple(
        PlannedChange(item["address"], item["type"], tuple(item["change"]["actions"]))
        for item in normalised["resource_changes"]
        if item["change"]["actions"] not in (["no-op"], ["read"])
    )
    return Plan(stack, digest, changes)


def read_facts(folder: Path) -> Plan:
    """Return the plan that ``make`` wrote into a folder; what is missing or unreadable is its ``problem``."""
    try:
        data = files.read_bytes(folder / PLAN_JSON)
        manifest = json.loads(files.read_bytes(folder / MANIFEST))
        found = facts(str(manifest["stack"]), canonical.digest(data), json.loads(data))
        return replace(found, commit=str(manifest["commit"]))
    except (InvalidInput, ValueError, KeyError, TypeError) as error:
        return Plan("", "", problem=f"there is no readable plan: {error}")


def state_identity(terraform: Terraform) -> tuple[str, int]:
    """Return lineage and serial of the state; an absent state is ``("", 0)``."""
    try:
        state = json.loads(terraform.pull_state() or "{}")
        return str(state.get("lineage", "")), int(state.get("serial", 0))
    except ValueError as error:
        raise ToolFailed("the state is not readable") from error


def _manifest(stack: Stack, terraform: Terraform, work: Path, normalised: Mapping[str, Any]) -> Manifest:
    lineage, serial = state_identity(terraform)
    lock = work / _TERRAFORM_LOCK
    return Manifest(
        stack=stack.name,
        commit=stack.commit,
        plan_file=canonical.digest((work / PLAN_FILE).read_bytes()),
        plan=canonical.digest_of(normalised),
        state_lineage=lineage,
        state_serial=serial,
        provider_lock=canonical.digest(lock.read_bytes() if lock.exists() else b""),
        terraform=terraform.version(),
        policy=stack.policy,
        source=stack.source_digest(),
        variables=stack.variables_digest(),
    )


def _report(plan: Plan) -> dict[str, int]:
    """Return GitLab's Terraform report: exactly these three counts (docs: terraform artifact report)."""
    actions = [action for change in plan.changes for action in change.actions]
    return {name: actions.count(name) for name in ("create", "update", "delete")}
