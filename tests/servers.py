"""The loopback servers, started in this process on free ports."""

import asyncio
import itertools
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gitlab

from factory.gitlab import runners
from factory.local_gitlab.runner import executor
from factory.local_gitlab.server import serve
from factory.local_gitlab.serving.context import Context
from factory.system import ports

ROOT = Path(__file__).parent.parent
TOOL_PATH = f"{ROOT / '.venv/bin'}:{ROOT / '.tools/bin'}:/usr/local/bin:/usr/bin:/bin"
TOOL_ENV = {
    "PATH": TOOL_PATH,
    "HOME": "/nonexistent",
    "LANG": "C.UTF-8",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_TERMINAL_PROMPT": "0",
}


def free_port() -> int:
    """Return a port on which nothing listens."""
    return ports.free(1)[0]


# How long a test waits for what must happen. Benchmarks judge how fast; a slow machine fails no test.
PATIENCE = 900.0


def wait_for(what: Callable[[], Any], *, seconds: float = PATIENCE) -> Any:
    """Return the first true value of ``what``; fail after ``seconds``."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = what()
        if value:
            return value
        time.sleep(0.05)
    raise AssertionError(f"nothing after {seconds} s: {what}")


@dataclass
class LocalGitlab:
    """A running loopback GitLab."""

    url: str
    state: Path
    root_token: str
    context: Context
    loop: asyncio.AbstractEventLoop
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def client(self, token: str | None = None) -> gitlab.Gitlab:
        """Return a real python-gitlab client."""
        return gitlab.Gitlab(self.url, private_token=token or self.root_token)

    def user(self, name: str) -> tuple[Any, str]:
        """Make a user with a token; return both."""
        root = self.client()
        user = root.users.create(
            {"username": f"{name}-{next(self._numbers)}", "name": name, "email": f"{name}@localhost"}
        )
        return user, user.personal_access_tokens.create({"name": "test", "scopes": ["api"]}).token

    def project(self, files: dict[str, str] | None = None, **settings: Any) -> Any:
        """Make a project whose first commit on main has these files, and whose merges are fast-forward."""
        name = f"p{next(self._numbers)}"
        project = self.client().projects.create({"name": name, "merge_method": "ff", **settings})
        if files:
            actions = [{"action": "create", "file_path": path, "content": text} for path, text in files.items()]
            project.commits.create({"branch": "main", "commit_message": "start", "actions": actions})
        return project


def expander() -> tuple[str, ...]:
    """Return the command line of gitlab-ci-local."""
    node = shutil.which("node", path=TOOL_PATH)
    assert node, "node is missing: run `make setup`"
    return (node, str(ROOT / ".tools/node_modules/gitlab-ci-local/dist/index.js"))


@contextmanager
def running_gitlab(
    state: Path, *, tier: str = "premium", concurrency: int = 2, protection: int = 0
) -> Iterator[LocalGitlab]:
    """Run a loopback GitLab and its runner in threads of this process.

    ``protection`` is that of new projects' default branches: most tests push to them as anybody.
    """
    port = free_port()
    ready: list[Context] = []
    loops: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def main() -> None:
        stop = asyncio.Event()
        loops.append((asyncio.get_running_loop(), stop))
        async with serve(
            state,
            port=port,
            tier=tier,
            expander=expander(),
            tool_env=TOOL_ENV,
            kept=Path(os.environ.get("XDG_CACHE_HOME", state)) / "factory/ci",
        ) as context:
            ready.append(context)
            await stop.wait()

    thread = threading.Thread(target=lambda: asyncio.run(main()), daemon=True)
    thread.start()
    wait_for(lambda: ready or not thread.is_alive())
    context = ready[0]  # nothing is there if the server failed, and the thread has told why
    root = (state / "root-token").read_text()
    server = LocalGitlab(context.base_url, state, root, context, loops[0][0])
    server.client().http_put("/application/settings", post_data={"default_branch_protection": protection})
    token = runners.hosted(server.client())
    ended = threading.Event()
    settings = executor.Settings(
        url=server.url,
        tokens=(token,),
        builds=state / "builds",
        env={**TOOL_ENV, "FACTORY_PYTHON": sys.executable},
        readable=(ROOT / ".venv", Path(sys.base_prefix)),
        concurrency=concurrency,
    )
    worker = threading.Thread(target=executor.run, args=(settings, ended), daemon=True)
    worker.start()
    try:
        yield server
    finally:
        ended.set()
        loop, stop = loops[0]
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)


def git(*arguments: str, cwd: Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run the real git with nobody's configuration."""
    env = {**TOOL_ENV, "HOME": str(cwd)} | {
        key: value
        for who in ("AUTHOR", "COMMITTER")
        for key, value in ((f"GIT_{who}_NAME", "Test"), (f"GIT_{who}_EMAIL", "test@localhost"))
    }
    return subprocess.run(
        ["git", *arguments], cwd=cwd, env=env, check=check, capture_output=True, text=True, timeout=PATIENCE
    )


def with_token(url: str, token: str) -> str:
    """Return a project's HTTP URL with a token as the password."""
    return url.replace("http://", f"http://oauth2:{token}@")
