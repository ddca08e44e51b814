"""Prepares a pipeline job for ``factory infra``: the stacks with their terraform environment, and policy checks."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from factory.apps import archive
from factory.errors import InvalidInput, Refused
from factory.gitlab import jobs
from factory.gitlab.jobs import RunningJob
from factory.model.facts import Plan
from factory.model.gitlab import MAIN
from factory.policies import apps as app_files
from factory.policies import plans
from factory.policies.apps import App
from factory.policies.folder import read_folder
from factory.policies.model import Policies
from factory.secrets import lease
from factory.system import canonical, clock, data, files, process
from factory.system.toolchain import tool_env, toolchain
from factory.terraform import plan as planning
from factory.terraform.apply import Rules
from factory.terraform.plan import Stack
from factory.terraform.program import Terraform

PLANS = Path(".factory/plan")
_ZERO = "0" * 40
_APPS = "TF_VAR_apps"
# The names of Cloudflare's tokens in policies/secrets.yml.
_READS, _WRITES = "cloudflare-plan-token", "cloudflare-apply-token"
PASSED = ("TF_CLI_CONFIG_FILE", "CLOUDFLARE_BASE_URL", "TF_PLUGIN_CACHE_DIR")


@dataclass(frozen=True)
class Job:
    """A pipeline job, or a shell with its variables: the environment, the judge's policies and the checkout."""

    given: Mapping[str, str]
    judge: Path
    policies: Policies
    apps: Mapping[str, App]
    commit: str
    base: str

    @property
    def name(self) -> str:
        """The owner of a lock: the ids of the job and its pipeline in GitLab."""
        return f"job {self.given.get('CI_JOB_ID', '?')} of pipeline {self.given.get('CI_PIPELINE_ID', '?')}"

    @property
    def protected(self) -> bool:
        """Whether the job's variables say that it runs on a protected ref."""
        return self.given.get("CI_COMMIT_REF_PROTECTED") == "true"

    def has(self, feature: str) -> bool:
        """Return whether this GitLab's licence has a feature (docs: GITLAB_FEATURES)."""
        return feature in self.given.get("GITLAB_FEATURES", "").split(",")

    @property
    def release_commit(self) -> str:
        """The commit of the releases that receive the traffic: the job's own, or an earlier one for a rollback."""
        return self.given.get("RELEASE_COMMIT") or self.commit

    @property
    def tool_env(self) -> dict[str, str]:
        """The environment of programs such as git, without secrets."""
        return tool_env(self.given, toolchain(self.given, self.judge))

    @contextmanager
    def token(self, deploys: str = "") -> Iterator[str]:
        """Yield Cloudflare's token: the plan token, or the apply token of the environment ``deploys``.

        The token is leased from OpenBao until the block ends, or comes from a CI variable. Raises the errors of
        ``lease.opened``, and ``InvalidInput`` if policy has no token for the environment.
        """
        name = _WRITES if deploys else _READS
        places = [place for place in self.policies.secrets.places(deploys) if place.name == name]
        if not places:
            raise InvalidInput(f"policies/secrets.yml has no {name} for {deploys or 'plans'}")
        with lease.opened(self.given, places, deploys=deploys) as found:
            yield found[name].reveal()

    def rules(self) -> Rules:
        """Return the policy checks as functions of a plan."""
        today = clock.timestamp()[:10]

        def denials(plan: Plan) -> Sequence[str]:
            return [item.reason for item in plans.judge(self.policies, plan, today=today) if not item.allowed]

        return Rules(denials, lambda plan: len(plans.counted(self.policies, plan, today=today)))

    def releases(self) -> dict[str, str]:
        """Return the release of each app."""
        return {name: f"{name}-{self.release_commit}" for name in self.apps}

    def carried(self, stack: str) -> tuple[str, ...]:
        """Return the apps in a stack's environment, which has the stack's name."""
        return tuple(name for name, app in self.apps.items() if stack in app.environments)

    def of_plan(self, folder: Path) -> Self:
        """Return the job with the apps alone that the saved plan in a folder carries.

        A plan that goes back to earlier releases names no archives, and carries all apps.
        """
        if self.release_commit != self.commit:
            return self
        path = folder / planning.ARCHIVES
        named = data.parse(dict[str, str], files.read_bytes(path), source=planning.ARCHIVES) if path.exists() else {}
        return replace(self, apps={name: app for name, app in self.apps.items() if name in named})

    def changed(self, since: str) -> list[str] | None:
        """Return the paths that differ between a commit and the job's; ``None`` if the checkout lacks the commit."""
        argv = ["git", "diff", "--name-only", "-z", "--no-renames", since, self.commit, "--"]
        result = process.run(argv, env=self.tool_env, check=False)
        return [path for path in result.text.split("\0") if path] if result.returncode == 0 else None

    def archives(self, stack: str, folder: Path | None) -> dict[str, Path]:
        """Return the archive of each app in a stack; empty in a merge request, which builds nothing.

        Also empty for a rollback: its releases exist already, and new archives would have other content.
        """
        if folder is None or not folder.is_dir() or self.release_commit != self.commit:
            return {}
        return {app: folder / archive.file_name(app) for app in self.carried(stack)}

    def stacks(
        self,
        names: Sequence[str],
        token: str,
        *,
        archives: Path | None = None,
        releases: Mapping[str, str] | None = None,
    ) -> list[Stack]:
        """Return stacks with their terraform environment and Cloudflare's token.

        ``archives`` is the folder of the apps' archives; ``releases`` replace the job's own releases.
        """
        tools = toolchain(self.given, self.judge)
        program = tools.terraform(self.policies.terraform.program)
        env = {
            **tool_env(self.given, tools),
            **{key: self.given[key] for key in PASSED if key in self.given},
            **{key: value for key, value in self.given.items() if key.startswith("TF_VAR_")},
            "HOME": self.given.get("HOME", "/nonexistent"),
            "TMPDIR": self.given.get("TMPDIR", "/tmp"),  # noqa: S108 - the system's default for temporary files
            "CLOUDFLARE_API_TOKEN": token,
        }
        version = Terraform(Path.cwd(), program=program, env=env).version()
        found = []
        for name in names:
            built = {
                app: canonical.digest(files.read_bytes(path)) for app, path in self.archives(name, archives).items()
            }
            carried = app_files.variable(self.apps, name, releases or self.releases())
            stack = self._stack(name, program, version, {**env, _APPS: carried})
            found.append(replace(stack, archives=built))
        return found

    def _stack(self, name: str, program: str, version: str, env: Mapping[str, str]) -> Stack:
        return Stack(
            name=name,
            tree=Path.cwd(),
            commit=self.commit,
            base=self.base,
            policy=self.policies.digest,
            program=program,
            terraform=version,
            env={**env, **backend(self.given, name)},
            providers=self.policies.terraform.providers,
        )


def opened(given: Mapping[str, str], judge: Path, *, base: str = "") -> Job:
    """Return the job that this process runs in; ``given`` is its environment.

    ``base`` is the commit to compare with, by default CI's. Raises ``InvalidInput`` for invalid policies or app files.
    """
    folder = judge.resolve()
    policies = read_folder(folder)
    found = {f"apps/{path.parent.name}/{path.name}": files.read_bytes(path) for path in Path().glob("apps/*/app.yml")}
    env = tool_env(given, toolchain(given, folder))
    head = process.run(["git", "rev-parse", "HEAD"], env=env).text.strip()
    commit = given.get("CI_COMMIT_SHA") or head
    before = base or given.get("CI_MERGE_REQUEST_DIFF_BASE_SHA") or given.get("CI_COMMIT_BEFORE_SHA") or ""
    return Job(given, folder, policies, app_files.read(found), commit, "" if before == _ZERO else before)


def require_protected(job: Job) -> RunningJob:
    """Return this job from GitLab's API; raise ``Refused`` unless it runs on the default branch, at this commit.

    GitLab identifies the job by its token, which cannot be forged; variables can. Raises ``Unauthorized`` too.
    """
    given = job.given
    if not job.protected:
        raise Refused(
            f"the ref {given.get('CI_COMMIT_REF_NAME', '(none)')} is not protected; applies run only on protected refs"
        )
    token = given.get("CI_JOB_TOKEN", "")
    found = jobs.current(given.get("CI_API_V4_URL", ""), token)
    actual = (str(found.id), f"tag {found.ref}" if found.tag else found.ref, found.sha)
    claimed = (given.get("CI_JOB_ID", ""), MAIN, job.commit)
    if actual != claimed:
        raise Refused(f"GitLab knows this job as {' '.join(actual)}, not as {' '.join(claimed)}")
    return found


def backend(given: Mapping[str, str], stack: str) -> dict[str, str]:
    """Return the settings of GitLab's Terraform state backend (docs: GitLab-managed Terraform state)."""
    api, project, token = given.get("CI_API_V4_URL"), given.get("CI_PROJECT_ID"), given.get("CI_JOB_TOKEN")
    if not (api and project and token):
        raise InvalidInput(
            "this command needs the variables CI_API_V4_URL, CI_PROJECT_ID and CI_JOB_TOKEN of a GitLab job"
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


def parallelism() -> int:
    """Return the default number of stacks to plan at the same time: one for each processor."""
    return os.cpu_count() or 1
