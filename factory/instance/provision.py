"""Provisions an embedded instance: accounts, the project from the clone's HEAD, settings, the infrastructure."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from urllib.parse import urlsplit

from factory.errors import Conflict, FactoryError, InvalidInput, Refused
from factory.evidence.trust import APART, Separation, Trust, TrustedHost
from factory.gitlab import bootstrap, deployments, pipelines, runners, variables
from factory.gitlab.connect import Connection, connect
from factory.gitlab.settings import run as settings
from factory.gitlab.settings.run import DesiredSection
from factory.instance import hosts, recorder_key
from factory.instance.workspace import AGENT, BOT, HOST, OPERATOR, REHEARSAL, RUNNERS, Say, Workspace
from factory.local_cloudflare.provider import mirror as packages
from factory.model.gitlab import MAIN
from factory.model.secret import Secret
from factory.operations import apply_evidence, saved_plan
from factory.operations.collect import origin
from factory.policies import read as policy_files
from factory.policies.model import Policies
from factory.policies.secrets import JUDGE
from factory.secrets import tokens
from factory.system import clock, files, process
from factory.workflow.drift import desired_settings as settings_of
from factory.worktrees import blobs
from factory.worktrees.repository import Mirror

_ACCOUNT_ID = "0123456789abcdef0123456789abcdef"
_PATIENCE = 180.0


def provision(workspace: Workspace, *, say: Say, meanwhile: Callable[[], None] | None = None) -> None:
    """Provision the instance; finished steps are skipped. Raises ``InvalidInput``.

    ``meanwhile`` is called while the infrastructure is deployed.

    If it was provisioned with other ports or by an earlier release, only accounts that are missing, the trust root and
    the CI variables are updated.
    """
    done = workspace.state / "provisioned"
    ports = json.dumps(dict(workspace.record.ports), sort_keys=True).encode()
    # An instance of an earlier version has no account of the hosts.
    if done.exists() and done.read_bytes() == ports and (workspace.token_folder / HOST).exists():
        return
    root = connect(workspace.url, workspace.settings["project"], account="root", token=_root_token(workspace))
    bootstrap.local_hooks(root.client)
    if done.exists():
        _recorder(workspace)
        _accounts(workspace, root)
        bootstrap.variables(root, _variables(workspace))
        _judge_token(root)
        files.write_atomic(done, ports)
        return
    policies = policy_files.read(_head_policies(workspace))
    bootstrap.project(root.client, workspace.settings["project"])
    _recorder(workspace)
    _accounts(workspace, root)
    wanted = settings_of.wanted(policies, project=workspace.settings["project"], accounts={}, rehearsal=True)
    # Before the first push, whose pipeline GitLab creates by the definition that the settings name.
    _settle(workspace, root, {}, {"project": wanted["project"]} if "project" in wanted else {})
    seeded, _ = seed(workspace, workspace.url, workspace.settings["project"], _root_token(workspace), say=say)
    bootstrap.variables(root, _variables(workspace) | _runners(workspace, root, policies))
    _judge_token(root)
    acting = {BOT: workspace.connection(BOT)}
    # Sections to apply after the first deployment: protection would block it, and its jobs create resource groups.
    later = {"environments", "resource_groups"}
    _settle(workspace, root, acting, {name: item for name, item in wanted.items() if name not in later})
    say(f"project {workspace.settings['project']} is created from this clone's HEAD")
    _first_deployment(root, policies, seeded, say=say, meanwhile=meanwhile or _nothing)
    _settle(workspace, root, acting, {name: item for name, item in wanted.items() if name in later})
    files.write_atomic(done, ports)


def _settle(
    workspace: Workspace, root: Connection, acting: Mapping[str, Connection], wanted: Mapping[str, DesiredSection]
) -> None:
    """Apply settings of policies/gitlab.yml; raises ``InvalidInput`` if one still differs afterwards."""
    server = settings.opened(root, acting=acting, hook_token=partial(tokens.webhook, workspace.token_folder))
    left = settings.apply(server, wanted, say=lambda _: None)
    if not left.in_sync:
        first = left.differences[0]
        raise InvalidInput(f"{first.section}: {first.key}: {first.field} is {first.found}, not {first.wanted}")


def _root_token(workspace: Workspace) -> str:
    return files.read_text(workspace.state / "gitlab" / "root-token").strip()


def _git(workspace: Workspace, *arguments: str) -> str:
    try:
        return process.run(["git", "-C", str(workspace.settings.clone), *arguments], env=workspace.tool_env).text
    except FactoryError as error:
        raise InvalidInput(f"{workspace.settings.clone} is not a usable git repository: {error}") from error


def _head_policies(workspace: Workspace) -> dict[str, bytes]:
    found = blobs.listed(workspace.settings.clone, "HEAD", "policies/")
    contents = blobs.contents(workspace.settings.clone, found)
    return {item.path: content for item, content in zip(found, contents, strict=True)}


def _accounts(workspace: Workspace, root: Connection) -> None:
    levels = {
        OPERATOR: bootstrap.MAINTAINER,
        BOT: bootstrap.MAINTAINER,
        AGENT: bootstrap.DEVELOPER,
        REHEARSAL: bootstrap.MAINTAINER,
        HOST: bootstrap.DEVELOPER,
    }
    for name, level in levels.items():
        scopes = ("read_api", "write_repository") if name == HOST else ()
        number, token = bootstrap.user(root.client, name, *scopes)
        bootstrap.member(root, number, level)
        if not (workspace.token_folder / name).exists():
            tokens.keep(workspace.token_folder, name, token or bootstrap.token(root.client, number, *scopes))


def _judge_token(root: Connection) -> None:
    """Give the gate's job a token of the bot that reads merge requests, if it has none."""
    if not any((item.key, item.scope) == (origin.VARIABLE, JUDGE) for item in variables.find(root)):
        number, _ = bootstrap.user(root.client, BOT)
        text = bootstrap.token(root.client, number, "read_api", name="judge")
        variables.put(root, origin.VARIABLE, Secret(text), scope=JUDGE, protected=False)


def _runners(workspace: Workspace, root: Connection, policies: Policies) -> dict[str, tuple[str, bool]]:
    """Register the runners of policies/gitlab.yml and a hosted one; return the CI variable that selects them."""
    wanted = settings_of.runners(policies)
    if not (workspace.token_folder / RUNNERS).exists():
        known = {item.name: item.id for item in runners.find(root)}
        created = {
            name: runners.renew(root, known[name]) if name in known else runners.register(root, name, fields)
            for name, fields in wanted.items()
        }
        tokens.keep(workspace.token_folder, RUNNERS, json.dumps(created | {"hosted": runners.hosted(root.client)}))
    return {runners.VARIABLE: (runners.OWN, False)} if wanted else {}


def _recorder(workspace: Workspace) -> None:
    """Write the trust root, with the hosts' key; the hosts begin once they find their account's token."""
    recorder(workspace, workspace.settings["project"], agent=AGENT, simulated=True, own=hosts.trusted(workspace))


def recorder(
    workspace: Workspace,
    project: str,
    *,
    agent: str,
    simulated: bool,
    separation: Separation = APART,
    own: Mapping[str, TrustedHost] | None = None,
) -> None:
    """Write the recorder's key, if missing, and the trust root of this key; ``agent`` is the agent's account.

    ``own`` are the hosts of an embedded instance.

    The log is named after the project's address; a log that has a name keeps it.
    """
    signer, path = recorder_key.ensure(workspace), workspace.state / "trust.json"
    name = f"{urlsplit(workspace.url).hostname}/{project}"
    if path.exists():
        name = Trust.read(files.read_bytes(path), source=path.name).origin
    rooted = Trust.of(signer.public, origin=name, agent_account=agent)
    trust = replace(rooted, simulated_approvals=simulated, separation=separation, hosts=own or {})
    files.write_atomic(path, trust.write())


def publish_trust(workspace: Workspace, owner: Connection) -> None:
    """Set the CI variable with which the jobs of applies check the evidence, unless another machine has set it.

    More machines need ``policies/trust.yml``, whose keys come before those of the variable.
    """
    if _has_trust(owner):
        return
    text = files.read_text(workspace.state / "trust.json")
    try:
        bootstrap.variables(owner, {apply_evidence.VARIABLE: (text, False)})
    except InvalidInput:
        # Another machine may have set it in the meantime.
        if not _has_trust(owner):
            raise


def _has_trust(owner: Connection) -> bool:
    return any(item.key == apply_evidence.VARIABLE for item in variables.find(owner))


def mirror(workspace: Workspace, url: str, project: str) -> Mirror:
    """Return the instance's mirror of a project's repository."""
    copy = Mirror(workspace.state / "mirror.git", f"{url}/{project}.git")
    copy.ensure()
    return copy


def require_history(workspace: Workspace) -> None:
    """Raise ``InvalidInput`` if a new instance could not be made of the clone: no commit, or part of its history."""
    if (workspace.state / "provisioned").exists():
        return
    if _git(workspace, "rev-parse", "--is-shallow-repository", "HEAD").startswith("true"):
        raise InvalidInput(
            "this clone is shallow, and no server takes a push of a part of a history",
            hint="Run `git fetch --unshallow`, then the command again.",
        )


def prepare(workspace: Workspace) -> None:
    """Fetch the clone's HEAD into the mirror of an instance that is not provisioned; needs no server."""
    if not (workspace.state / "provisioned").exists():
        copy = mirror(workspace, workspace.url, workspace.settings["project"])
        copy.take(workspace.settings.clone, _git(workspace, "rev-parse", "HEAD").strip())


def seed(workspace: Workspace, url: str, project: str, token: str, *, say: Say) -> tuple[str, bool]:
    """If the project is empty, push the clone's HEAD as main; return main's commit, and whether it was pushed.

    Uncommitted changes are not included.
    """
    copy = mirror(workspace, url, project)
    copy.fetch(token)
    existing = copy.head(MAIN)
    if existing is not None:
        return existing, False
    if _git(workspace, "status", "--porcelain", "--untracked-files=no").strip():
        say("the clone has uncommitted changes, which are not pushed")
    commit = _git(workspace, "rev-parse", "HEAD").strip()
    copy.take(workspace.settings.clone, commit)
    try:
        copy.push(commit, MAIN, token)
    except (Conflict, Refused):
        # Another clone may have pushed main in the meantime, and protected it: then it is adopted.
        copy.fetch(token)
        existing = copy.head(MAIN)
        if existing is None:
            raise
        return existing, False
    return commit, True


def _variables(workspace: Workspace) -> dict[str, tuple[str, bool]]:
    ports = workspace.record.ports
    tokens_of = workspace.cloudflare_tokens()
    config = packages.write(workspace.state / "provider", process.python())
    base = f"http://127.0.0.1:{ports['cloudflare']}"
    return {
        "CLOUDFLARE_BASE_URL": (f"{base}/client/v4", False),
        "CLOUDFLARE_PLAN_TOKEN": (tokens_of["plan"], True),
        "CLOUDFLARE_APPLY_TOKEN": (tokens_of["apply"], True),
        "TF_CLI_CONFIG_FILE": (str(config), False),
        "TF_VAR_account_id": (_ACCOUNT_ID, False),
        "FACTORY_EDGE_URL": (f"http://127.0.0.1:{ports['edge']}", False),
        apply_evidence.VARIABLE: (files.read_text(workspace.state / "trust.json"), False),
    }


def _nothing() -> None:
    """Do nothing."""


def _first_deployment(
    root: Connection, policies: Policies, head: str, *, say: Say, meanwhile: Callable[[], None]
) -> None:
    """Deploy the first commit as the administrator, before the environment is protected."""
    environment = policies.environments.deploy
    if any(item.status == "success" and item.environment == environment for item in deployments.find(root)):
        return
    say("running main's first pipeline as the instance's administrator")
    meanwhile()
    deadline = clock.monotonic() + _PATIENCE
    played = set[str]()
    while clock.monotonic() < deadline:
        found = pipelines.of_commit(root, head, ref=MAIN)
        status = found[0].status if found else "created"
        if status == "success":
            return
        if status in {"failed", "canceled", "skipped"}:
            reason = found[0].yaml_errors or f"pipeline {found[0].id} {status}"
            hint = f"See `factory pipeline logs {found[0].id}`; fix it, commit, `factory up --fresh`."
            raise InvalidInput(f"the infrastructure cannot be deployed: {reason}", hint=hint)
        if status == "manual":
            _play_applies(root, found[0].id, policies, played)
        clock.sleep(0.1)
    raise InvalidInput("the infrastructure was not deployed within 3 minutes")


def _play_applies(root: Connection, pipeline: int, policies: Policies, played: set[str]) -> None:
    """Start the applies that wait, and add their stacks to ``played``."""
    for job in pipelines.jobs(root, pipeline):
        stack = job.name.removeprefix("apply-")
        if stack != job.name and job.status == "manual" and stack not in played:
            asked = policies.environments.asked(stack)
            approved = {"APPROVED_MANIFEST": saved_plan.of(root, pipeline).digest(stack)} if asked else {}
            pipelines.play(root, job.id, approved)
            played.add(stack)
