"""The configuration of gitlab-runner for one runner (GitLab docs: Advanced configuration, config.toml)."""

import json
from typing import Literal

Executor = Literal["docker", "shell"]
IMAGE = "python:3.12"
# What a job's container may use of its machine, and of the rights that Docker gives one unasked.
_MEMORY, _CPUS = "4g", "2"
_DROPPED = ("NET_RAW", "MKNOD", "AUDIT_WRITE", "SETFCAP", "SYS_CHROOT")


def toml(*, url: str, name: str, token: str, executor: Executor, jobs: int) -> str:
    """Return a whole config.toml of one runner that takes ``jobs`` at once; it holds the token.

    In Docker a job has the stock image alone, no rights beyond it, no volume of the machine and no cache that a later
    job would read.
    """
    lines = [
        f"concurrent = {jobs}",
        "check_interval = 3",
        "shutdown_timeout = 60",
        "",
        "[[runners]]",
        f"  name = {_text(name)}",
        f"  url = {_text(url)}",
        f"  token = {_text(token)}",
        f"  executor = {_text(executor)}",
        f"  limit = {jobs}",
    ]
    if executor == "docker":
        lines += [
            "  [runners.docker]",
            f"    image = {_text(IMAGE)}",
            f"    allowed_images = [{_text(IMAGE)}]",
            # An empty list would let every image be one.
            '    allowed_services = ["none"]',
            '    pull_policy = ["if-not-present"]',
            "    privileged = false",
            '    security_opt = ["no-new-privileges:true"]',
            f"    cap_drop = [{', '.join(map(_text, _DROPPED))}]",
            "    disable_cache = true",
            "    volumes = []",
            f"    memory = {_text(_MEMORY)}",
            f"    cpus = {_text(_CPUS)}",
        ]
    return "\n".join(lines) + "\n"


def _text(value: str) -> str:
    """Return a TOML basic string; JSON escapes as TOML does (TOML 1.0, String)."""
    return json.dumps(value)
