"""Builds a workflow context on the loopback GitLab, with two accounts and a real mirror."""

import sys
from collections.abc import Mapping
from pathlib import Path

from factory.gitlab import bootstrap
from factory.gitlab.connect import Connection, connect
from factory.gitlab.settings import run
from factory.policies import read
from factory.workflow.context import Accounts, Console, Context, Machine, Recorder
from factory.workflow.drift import desired_settings
from factory.worktrees.repository import Mirror
from tests.evidence import examples
from tests.servers import ROOT, TOOL_ENV, LocalGitlab, git, with_token

DEVELOPER, MAINTAINER = 30, 40


def context(server: LocalGitlab, folder: Path, files: Mapping[str, bytes]) -> Context:
    """Create a project with these files on main and the factory's branch protection; return the context."""
    project = server.project()
    root = connect(server.url, project.path_with_namespace, account="root", token=server.root_token)
    accounts: dict[str, tuple[Connection, str]] = {}
    for name, level in (("bot", MAINTAINER), ("agent", DEVELOPER)):
        user, token = server.user(name)
        bootstrap.member(root, user.id, level)
        accounts[name] = (connect(server.url, root.project_path, account=user.username, token=token), token)
    _seed(folder / "seed", files, with_token(project.http_url_to_repo, server.root_token))
    policies = read.read({f"policies/{path.name}": path.read_bytes() for path in (ROOT / "policies").glob("*.yml")})
    names = {"factory-bot": accounts["bot"][0].account}
    branches = desired_settings.wanted(policies, project=root.project_path, accounts=names)["branches"]
    run.apply(run.opened(root, acting={}), {"branches": branches}, say=lambda _: None)
    mirror = Mirror(folder / "mirror.git", project.http_url_to_repo)
    mirror.ensure()
    created = Context(
        accounts=Accounts(
            bot=accounts["bot"][0],
            agent=accounts["agent"][0],
            bot_token=accounts["bot"][1],
            agent_token=accounts["agent"][1],
            simulator=True,
        ),
        mirror=mirror,
        machine=Machine(
            state=folder,
            holder="test/0",
            env=TOOL_ENV,
            readable=(ROOT / ".venv", ROOT / "factory", Path(sys.base_prefix)),
        ),
        recorder=Recorder(signer=lambda _: examples.signer(), own=examples.trust()),
        console=Console(say=lambda _: None, timed=lambda _, __: None),
    )
    created.fetch()
    return created


def shipped() -> dict[str, bytes]:
    """Return the files of this repository that a change may touch or that the gates read."""
    names = git("ls-files", "apps", "specs", "policies", "docs", "AGENTS.md", ".gitlab-ci.yml", cwd=ROOT).stdout.split()
    return {name: (ROOT / name).read_bytes() for name in names if (ROOT / name).is_file()}


def _seed(folder: Path, files: Mapping[str, bytes], url: str) -> None:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    folder.mkdir(parents=True, exist_ok=True)
    git("init", "-q", "-b", "main", cwd=folder)
    git("add", "-A", cwd=folder)
    git("commit", "-q", "--allow-empty", "-m", "start", cwd=folder)
    git("push", "-q", url, "HEAD:main", cwd=folder)
