"""The world that is attacked: an applied stack with an approved plan, its state in GitLab, and a job of GitLab's."""

import json
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from factory.errors import FactoryError
from factory.local_cloudflare.provider import mirror
from factory.operations import infra_job
from factory.operations.infra_job import Job
from factory.system import canonical, files
from factory.terraform import apply as applying
from factory.terraform import plan as planning
from factory.terraform.apply import Order
from factory.terraform.manifest import decode
from factory.terraform.plan import Stack
from factory.terraform.state import State
from tests.local_cloudflare.double import ACCOUNT, Double
from tests.servers import LocalGitlab, running_gitlab
from tests.terraform import running_jobs
from tests.terraform.stacks import TERRAFORM, make_stack, order, state_env

LIVE = "terraform/live/production"
HEAD = """
terraform {
  required_providers {
    cloudflare = {
      source  = "cloudflare/cloudflare"
      version = "5.14.0"
    }
  }
}
variable "account_id" {}
variable "release" {}
variable "hidden" {
  default   = "planted-1"
  sensitive = true
}
"""
ZONE = """
resource "cloudflare_zone" "this" {
  account = { id = var.account_id }
  name    = "red.test"
}
resource "cloudflare_zone_setting" "this" {
  for_each   = { ssl = "strict", min_tls_version = "1.2" }
  zone_id    = cloudflare_zone.this.id
  setting_id = each.key
  value      = each.value
}
"""


def record(name: str, content: str = "var.release", more: str = "") -> str:
    """Return a TXT record as Terraform has it."""
    return f"""
resource "cloudflare_dns_record" "{name}" {{
  zone_id = cloudflare_zone.this.id
  name    = "{name}.red.test"
  type    = "TXT"
  content = {content}
  ttl     = 300
  {more}
}}
"""


FIRST = HEAD + ZONE + record("plain")
SECOND = FIRST + record("new")


@dataclass(frozen=True)
class Scene:
    """One row's own copy of the world: what is applied, where its plan is, by which job, and on whose order."""

    world: "World"
    folder: Path
    stack: Stack
    order: Order
    job: Job
    first: Callable[[], None] = lambda: None

    @property
    def out(self) -> Path:
        """Where the plan is, as the job got it."""
        return self.folder / "plan"

    @property
    def root(self) -> Path:
        """The root's folder in the checkout."""
        return self.stack.tree / LIVE

    @property
    def state(self) -> State:
        """The stack's state, as its owner opens it."""
        env = self.stack.env
        return State(env["TF_HTTP_ADDRESS"], username="root", token=self.world.server.root_token)

    def given(self, **env: str) -> "Scene":
        """Return the scene with other variables for terraform."""
        return replace(self, stack=replace(self.stack, env={**self.stack.env, **env}))

    def ordered(self, **fields: Any) -> "Scene":
        """Return the scene with another order."""
        return replace(self, order=replace(self.order, **fields))

    def claiming(self, **given: str) -> "Scene":
        """Return the scene with a job that claims something else."""
        return replace(self, job=replace(self.job, given={**self.job.given, **given}))

    def edit(self, name: str, **fields: Any) -> "Scene":
        """Change fields of a JSON file beside the plan."""
        value = json.loads((self.out / name).read_text())
        (self.out / name).write_text(json.dumps(value | fields))
        return self

    def written(self, name: str, data: bytes) -> "Scene":
        """Put something else in the place of a file beside the plan."""
        (self.out / name).write_bytes(data)
        return self

    def write_state(self, **fields: Any) -> "Scene":
        """Write the state with other fields, as somebody with a token does."""
        with self.state.held(who="somebody", operation="write", minutes=1) as lock:
            self.state.write(json.dumps(json.loads(self.state.read()) | fields).encode(), lock)
        return self

    def wrapped(self, before: str, after: str = "") -> "Scene":
        """Return the scene with a terraform that runs lines of shell before and after it applies."""
        program = self.folder / "terraform"
        script = (
            f'test "$1" = apply || exec {TERRAFORM} "$@"\n{before}\n{TERRAFORM} "$@"\ncode=$?\n{after}\nexit $code\n'
        )
        program.write_text(f"#!/bin/sh\n{script}")
        program.chmod(0o755)
        return replace(self, stack=replace(self.stack, program=str(program)))

    def retried(self, main: str = SECOND) -> "Scene":
        """Return the scene as its job finds it once started again: with the plan alone, in another folder."""
        again = replace(self, folder=self.folder / "retried")
        files.remove_tree(again.folder)
        shutil.copytree(self.world.plan(main), again.out)
        return again

    def apply(self) -> None:
        """Do what the command of the job does: ask GitLab whose job this is, then apply."""
        infra_job.require_protected(self.job)
        applying.apply(self.stack, self.out, self.order, self.job.rules(), first=self.first)

    def seen(self) -> tuple[Any, ...]:
        """Return what an apply would change: the account's objects, the state and its lock."""
        return self.world.objects(), self.state.read(), self.state.holder()

    def told(self) -> dict[str, Any]:
        """Return what the apply left in ``apply.json``; nothing where it never came to that."""
        path = self.out / applying.RESULT
        return json.loads(path.read_text()) if path.exists() else {}


@dataclass(frozen=True)
class Attack:
    """A row: what is done to a scene of the configuration ``main``, and the error and reason that it must end in.

    ``steals`` says that somebody else does something to the lock during the apply.
    """

    name: str
    do: Callable[[Scene], Scene]
    error: type[FactoryError]
    reason: str
    main: str = SECOND
    steals: bool = False

    def must_fail(self, scene: Scene) -> None:
        """Attack; make sure that the apply is refused for the reason, that nothing changed and that no lock stayed."""
        scene = self.do(scene)
        objects, state, lock = scene.seen()
        with pytest.raises(self.error, match=self.reason):
            scene.apply()
        assert scene.seen()[:2] == (objects, state)
        assert self.steals or scene.state.holder() == lock
        assert scene.told().get("phase") != "done"
        assert not scene.told().get("done")


@dataclass(frozen=True)
class World:
    """Servers, a stack that was applied once (its state is ``bytes``), GitLab's jobs, and plans, each made once."""

    folder: Path
    server: LocalGitlab
    double: Double
    stack: Stack
    jobs: Mapping[str, Job]
    bytes: bytes = b""

    @property
    def applied(self) -> Path:
        """Where the plan is that was applied first."""
        return self.folder / "applied"

    def plan(self, main: str = SECOND, **env: str) -> Path:
        """Return the folder of the plan of a configuration, made from the state as it was first applied."""
        out = self.folder / "plans" / canonical.digest_of([main, env]).removeprefix("sha256:")
        if not out.exists():
            stack = replace(self.stack, tree=_tree(self.stack.tree, out.with_suffix(".tree"), main))
            planning.make(replace(stack, env={**stack.env, **env}), out, lock_state=False)
        return out

    def scene(self, folder: Path, main: str = SECOND, **env: str) -> Scene:
        """Return a copy in ``folder``: tree, plan and a state of its own, with the order that a person approved."""
        shutil.copytree(self.plan(main, **env), folder / "plan")
        manifest = decode((folder / "plan" / planning.MANIFEST).read_bytes())
        address = state_env(self.server.url, self.server.project().id, "production", self.server.root_token)
        tree = _tree(self.stack.tree, folder / "tree", main)
        stack = replace(self.stack, tree=tree, env={**self.stack.env, **address, **env})
        scene = Scene(self, folder, stack, order(manifest.digest(), stale="replan"), self.jobs["apply"])
        with scene.state.held(who="the test", operation="copy", minutes=1) as lock:
            scene.state.write(self.bytes, lock)
        return scene

    def objects(self) -> list[Any]:
        """Return the account's objects, as its API lists them."""
        found: list[Any] = self.double.result("GET", "/zones")
        paths = [f"/zones/{zone['id']}/{kind}" for zone in found for kind in ("dns_records", "settings")]
        return [found, *(self.double.result("GET", path) for path in paths)]

    @contextmanager
    def another(self, folder: Path) -> Iterator["World"]:
        """Give the same world with an account of its own, for what really applies something."""
        shutil.copytree(self.double.state, folder / "cloudflare")
        double = Double(folder / "cloudflare")
        try:
            stack = replace(self.stack, env={**self.stack.env, "CLOUDFLARE_BASE_URL": double.api})
            yield replace(self, double=double, stack=stack)
        finally:
            double.close()


@contextmanager
def running(folder: Path) -> Iterator[World]:
    """Give a world below ``folder`` whose servers are its own; no runner takes its jobs."""
    double = Double(folder / "cloudflare")
    try:
        with running_gitlab(folder / "gitlab", concurrency=0) as server:
            stack, jobs = _stack_and_jobs(folder, server, double)
            with running_jobs.alive(server, jobs):
                yield _first_applied(World(folder, server, double, stack, jobs))
    finally:
        double.close()


def _stack_and_jobs(folder: Path, server: LocalGitlab, double: Double) -> tuple[Stack, Mapping[str, Job]]:
    jobs = running_jobs.take(server)
    env = state_env(server.url, server.project().id, "production", server.root_token) | {
        "TF_CLI_CONFIG_FILE": str(mirror.write(folder / "mirror", sys.executable)),
        "CLOUDFLARE_BASE_URL": double.api,
        "CLOUDFLARE_API_TOKEN": "local-writer",
        "TF_VAR_account_id": ACCOUNT,
        # Not in the tree, which is copied: a terraform that is killed leaves its provider's socket there.
        "TMPDIR": str(files.private_folder(folder / "tmp")),
    }
    return replace(make_stack(folder / "tree", env, main=FIRST), commit=jobs["apply"].commit), jobs


def _first_applied(world: World) -> World:
    manifest, _ = planning.make(world.stack, world.applied, lock_state=True)
    applying.apply(world.stack, world.applied, order(manifest.digest()), world.jobs["apply"].rules())
    env = world.stack.env
    return replace(world, bytes=State(env["TF_HTTP_ADDRESS"], username="root", token=world.server.root_token).read())


def _tree(source: Path, target: Path, main: str) -> Path:
    shutil.copytree(source, target)
    (target / LIVE / "main.tf").write_text(main)
    return target
