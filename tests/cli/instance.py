"""The real command line on an instance of its own, in a repository made from this working tree."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.servers import ROOT, git

_COPIED = ("factory", "apps", "specs", "policies", "terraform", "runbooks", ".gitlab-ci.yml", "pyproject.toml")
_LOCKS = ("requirements.lock", "requirements-terraform.lock", "requirements-node.lock")


@dataclass(frozen=True)
class Instance:
    """A clone, its state folder, and how to call ``factory`` there."""

    clone: Path
    state: Path

    def run(self, *arguments: str, check: bool = True, stdin: str | None = None, **env: str) -> Any:
        """Run one command; return the finished process."""
        done = subprocess.run(
            [sys.executable, "-P", "-m", "factory", *arguments],
            cwd=self.clone,
            env=self.env(**env),
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            timeout=400,
            check=False,
        )
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
        scope = self.clone / "policies/scope.yml"
        before = scope.read_text()
        scope.write_text(before.replace("agents: [factory-agent", f"agents: [factory-agent, {account}"))
        assert scope.read_text() != before
        git("commit", "-qam", "bind the factory's account", cwd=self.clone)

    def folder(self, name: str = "default") -> Path:
        """Return an instance's own folder."""
        return next((self.state / "factory").glob("*")) / name


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
