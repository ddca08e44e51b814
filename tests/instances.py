"""The real command line on an instance of its own, in a repository made from this working tree."""

import fcntl
import hashlib
import json
import os
import shutil
import signal
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tests.cli import command_line
from tests.servers import ROOT, git

_COPIED = (
    "factory",
    "scripts",
    "apps",
    "specs",
    "policies",
    "terraform",
    "runbooks",
    ".gitlab-ci.yml",
    "pyproject.toml",
)
_LOCKS = ("requirements.lock", "requirements-uv.lock", "requirements-terraform.lock", "requirements-node.lock")


@dataclass(frozen=True)
class Instance:
    """A clone, its state folder, and how to call ``factory`` there."""

    clone: Path
    state: Path

    def run(self, *arguments: str, check: bool = True, stdin: str | None = None, **env: str) -> Any:
        """Run one command; return the finished process."""
        done = command_line.run(arguments, cwd=self.clone, env=self.env(**env), stdin=stdin)
        if check and done.returncode != 0:
            raise AssertionError(f"factory {' '.join(arguments)}: {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done

    def json(self, *arguments: str, **env: str) -> Any:
        """Run one command with ``--json``; return what it printed."""
        return json.loads(self.run(*arguments, "--json", check=True, stdin=None, **env).stdout)

    def env(self, **more: str) -> dict[str, str]:
        """Return the environment of a command: nobody's configuration."""
        home = self.state / "home"
        home.mkdir(parents=True, exist_ok=True)
        kept = {
            key: os.environ[key]
            for key in ("PATH", "LANG", "PYTHONDONTWRITEBYTECODE", "XDG_CACHE_HOME")
            if key in os.environ
        }
        return {**kept, "HOME": str(home), "XDG_STATE_HOME": str(self.state), **more}

    def bind(self, account: str) -> None:
        """Name an account among those that the agents' rules bind, in a commit."""
        name_agent(self.clone, account)
        git("commit", "-qam", "bind the factory's account", cwd=self.clone)

    def folder(self, name: str = "default") -> Path:
        """Return an instance's own folder."""
        of_clones = (
            path for path in (self.state / "factory").glob("*") if path.name not in {"checkpoints", "logins", "prove"}
        )
        return next(of_clones) / name


def name_agent(clone: Path, account: str) -> None:
    """Name an account among those that the agents' rules bind."""
    scope = clone / "policies/scope.yml"
    before = scope.read_text()
    scope.write_text(before.replace("agents: [factory-agent", f"agents: [factory-agent, {account}"))
    assert scope.read_text() != before


def make_instance(folder: Path) -> Instance:
    """Make a control repository from the working tree, committed."""
    clone = folder / "clone"
    clone.mkdir(parents=True)
    for name in (*_COPIED, *_LOCKS):
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, clone / name, ignore=shutil.ignore_patterns("__pycache__", ".terraform"))
        elif source.exists():
            shutil.copy2(source, clone / name)
    git("init", "-q", "-b", "main", cwd=clone)
    git("add", "-A", cwd=clone)
    git("commit", "-qm", "start", cwd=clone)
    for name in (".venv", ".tools"):
        (clone / name).symlink_to(ROOT / name)
    (clone / ".git/info/exclude").write_text(".venv\n.tools\n")
    return Instance(clone, folder / "state")


def founded(
    folder: Path, *, tier: str = "premium", name: str = "default", change: Callable[[Path], object] | None = None
) -> Instance:
    """Return an instance that runs, and has made its founding deployment: a copy of one that all test processes share.

    It listens on ports of its own. ``change`` changes the clone, and main has that too, without a pipeline.
    """
    return _copy(_shared(tier, partial(_found, tier)), folder, name, change)


def demonstrated(folder: Path, point: str) -> Instance:
    """Return a running demo that was killed at a boundary of a step: a copy of one that all test processes share."""
    return _copy(_shared(point, partial(_demonstrate, point)), folder, "demo")


def _found(tier: str, folder: Path) -> Instance:
    made = make_instance(folder)
    made.run("up", FACTORY_TIER=tier)
    return made


def _demonstrate(point: str, folder: Path) -> Instance:
    made = founded(folder, name="demo")
    killed = made.run("demo", "--yes", "--keep", check=False, FACTORY_KILL_AT=point)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    return made


def _shared(what: str, make: Callable[[Path], Instance]) -> Path:
    """Return the folder of a stopped instance that is there once for all test processes; the first that asks makes it.

    What could not be made whole is made anew.
    """
    folder = Path(os.environ["FACTORY_TEST_SHARED"]) / what.replace(":", "-")
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "whole").exists():
            shutil.rmtree(folder, ignore_errors=True)
            try:
                make(folder)
            finally:
                for state in (folder / "state/factory").glob("*/*/daemon.json"):
                    Instance(folder / "clone", folder / "state").run("--instance", state.parent.name, "down")
            (folder / "whole").touch()
    return folder


def _copy(first: Path, folder: Path, name: str, change: Callable[[Path], object] | None = None) -> Instance:
    made = Instance(folder / "clone", folder / "state")
    shutil.copytree(first / "clone", made.clone, symlinks=True)
    # A clone's state goes by where the clone is.
    place = hashlib.sha256(str(made.clone).encode()).hexdigest()[:12]
    state = made.state / "factory" / place / name
    (there,) = (first / "state/factory").glob("*/*")
    shutil.copytree(there, state, symlinks=True)
    if change:
        change(made.clone)
        git("add", "-A", cwd=made.clone)
        git("commit", "-qm", "as the test wants it [skip ci]", cwd=made.clone)
        git("push", "-q", str(state / "gitlab/repositories/1.git"), "HEAD:refs/heads/main", cwd=made.clone)
    made.run("--instance", name, "up", "--new-ports")
    return made
