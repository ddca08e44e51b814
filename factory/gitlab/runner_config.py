"""Writes gitlab-runner's configuration of one runner (GitLab docs: Advanced configuration, config.toml)."""

import json
from typing import Literal

Executor = Literal["docker", "shell"]
IMAGE = "python:3.12"
# Limits of a job's container, and the default Docker capabilities that it loses.
_MEMORY, _CPUS = "4g", "2"
_DROPPED = ("NET_RAW", "MKNOD", "AUDIT_WRITE", "SETFCAP", "SYS_CHROOT")


def toml(*, url: str, name: str, token: str, executor: Executor, jobs: int) -> str:
    """Return the config.toml, with the token, of one runner that runs up to ``jobs`` jobs at once.

    A Docker job gets only the stock image, reduced capabilities, no host volume and no cache shared with later jobs.
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
            # An empty list would allow every image.
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
    """Return a TOML basic string; JSON has the same escapes (TOML 1.0, String)."""
    return json.dumps(value)
