"""Makes the repository of a run: a clone of the factory's source, changed so that it fits the run."""

import re
from collections.abc import Mapping
from pathlib import Path

from factory.errors import ProofFailed, Refused
from factory.system import files, process

APP = "apps/hello/app.yml"
# The demo's app, and the source of which the pipeline makes its judge.
_NEEDED = (APP, "factory/cli/__init__.py", "specs/hello.md", "terraform/live", "docs/conformance")
_PROGRAMS = ("node_modules", "bin")
_SCOPE, _AGENTS = "policies/scope.yml", "agents: ["
_HOSTNAME = re.compile(r"hostname: [^}\s]+")


def require_source(clone: Path) -> None:
    """Raise ``Refused`` if a repository is not a clone of the factory's source."""
    for name in _NEEDED:
        if not (clone / name).exists():
            raise Refused(
                f"{clone} is not a clone of the factory's source: it has no {name}",
                hint="Run it in a clone of the factory: the demo's app and its recording are there.",
            )


def make(source: Path, clone: Path, env: Mapping[str, str], *, bind: str, hostnames: Mapping[str, str]) -> None:
    """Clone HEAD of ``source`` and commit what a run changes: the account ``bind`` counts as an agent.

    ``hostnames`` are the app's by environment; without them the app is not deployed anywhere. The clone uses the
    outside programs of ``source``. Raises ``ToolFailed``.
    """
    _git(env, source, "clone", "--quiet", "--no-local", "--no-tags", str(source), str(clone))
    _git(env, clone, "switch", "--quiet", "-C", "main")
    for key, value in (("user.name", "factory prove"), ("user.email", "factory-prove@localhost")):
        _git(env, clone, "config", key, value)
    _link_programs(source / ".tools", clone / ".tools")
    files.write_atomic(clone / ".git/info/exclude", b".tools\n")
    scope = files.read_text(clone / _SCOPE)
    files.write_atomic(clone / _SCOPE, scope.replace(_AGENTS, f"{_AGENTS}{bind}, ", 1).encode())
    if hostnames:
        files.write_atomic(clone / APP, _with_hostnames(files.read_text(clone / APP), hostnames).encode())
    else:
        (clone / APP).unlink()
    commit(clone, env, "Prepare the run")


def own_tunnels(clone: Path, env: Mapping[str, str], tunnels: Mapping[str, str]) -> None:
    """Commit the names of the run's tunnels, by environment, to the roots that adopted the zone."""
    for environment, name in tunnels.items():
        path = clone / "terraform/live" / environment / "zone.tf"
        text, count = re.subn(r'(\btunnel\s*=\s*)"[^"]*"', rf'\g<1>"{name}"', files.read_text(path))
        if count != 1:
            raise ProofFailed(f"{path.name} of {environment} names {count} tunnels, not one")
        files.write_atomic(path, text.encode())
    commit(clone, env, "Name the tunnels of the run")


def commit(clone: Path, env: Mapping[str, str], message: str) -> None:
    """Commit all changes of the clone."""
    _git(env, clone, "commit", "--quiet", "--all", "--message", message)


def to_main(clone: Path, env: Mapping[str, str], branch: str) -> None:
    """Let main be the branch, and check it out."""
    _git(env, clone, "switch", "--quiet", "-C", "main", branch)


def head(clone: Path, env: Mapping[str, str]) -> str:
    """Return the commit of a clone, and whether files differ from it."""
    changed = _git(env, clone, "status", "--porcelain", "--untracked-files=no").strip()
    return _git(env, clone, "rev-parse", "--short=12", "HEAD").strip() + (" and uncommitted changes" if changed else "")


def _with_hostnames(text: str, hostnames: Mapping[str, str]) -> str:
    lines = []
    for line in text.splitlines(keepends=True):
        name = line.strip().partition(":")[0]
        lines.append(_HOSTNAME.sub(f"hostname: {hostnames[name]}", line) if name in hostnames else line)
    return "".join(lines)


def _link_programs(source: Path, target: Path) -> None:
    if not target.exists():
        target.symlink_to(source.resolve())
        return
    for folder in ("", "agents"):
        for name in _PROGRAMS:
            if (source / folder / name).exists() and not (target / folder / name).exists():
                (target / folder / name).symlink_to((source / folder / name).resolve())


def _git(env: Mapping[str, str], folder: Path, *arguments: str) -> str:
    return process.run(["git", "-C", str(folder), *arguments], env=env, timeout=120.0).text
