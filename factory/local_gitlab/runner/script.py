"""Builds the script, environment and git configuration of a job."""

import base64
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from factory.local_gitlab.definition.variables import expanded
from factory.system import safe_path


def bash(lines: Sequence[str]) -> str:
    """Return the bash script of a step: it prints each command before running it and stops at the first failure."""
    body = ["set -eo pipefail", "set +o noclobber"]
    for line in lines:
        first, *rest = line.strip("\n").splitlines() or [""]
        shown = f"$ {first}" + (" # collapsed multi-line command" if rest else "")
        body += [f"echo {shlex.quote(shown)}", line]
    return "\n".join(body) + "\n"


def job_env(
    base: Mapping[str, str], payload: Mapping[str, Any], checkout: Path, scratch: Path, *, network: bool
) -> dict[str, str]:
    """Return a job's complete environment; without network it contains no masked variable, so no token or secret."""
    env = {**base, "HOME": str(scratch), "TMPDIR": str(scratch), "CI_PROJECT_DIR": str(checkout)}
    env |= {
        "CI_SERVER": "yes",
        "CI_SERVER_TLS_CA_FILE": "",
        "CI_SHARED_ENVIRONMENT": "true",
        "CI_BUILDS_DIR": str(checkout.parent),
        "CI_JOB_TIMEOUT": str(payload["runner_info"]["timeout"]),
    }
    seen = [item for item in payload["variables"] if network or not item["masked"]]
    found = values(env, {"variables": seen})
    for item in {item["key"]: item for item in seen}.values():
        value = found[item["key"]]
        if item.get("file"):
            path = scratch / "variables" / item["key"]
            safe_path.write(scratch, path, value.encode(), mode=0o600)
            value = str(path)
        env[item["key"]] = value
    return env


def values(known: Mapping[str, str], payload: Mapping[str, Any]) -> dict[str, str]:
    """Return the values of a job's variables; those that they name and that are not among them are ``known``."""
    last = {item["key"]: item for item in payload["variables"]}
    raw = {key for key, item in last.items() if item.get("raw")}
    return expanded({key: item["value"] for key, item in last.items()}, known, raw=raw)


def without_credentials(url: str) -> str:
    """Return a URL without user and password."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)))


def credential_env(url: str, plain: str) -> dict[str, str]:
    """Return the environment that lets git authenticate to ``plain`` with the credentials in ``url``."""
    parts = urlsplit(url)
    basic = base64.b64encode(f"{parts.username}:{parts.password}".encode()).decode()
    return {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"http.{plain}.extraHeader",
        "GIT_CONFIG_VALUE_0": f"Authorization: Basic {basic}",
    }


def git_config(origin: str) -> str:
    """Return the configuration of a job's checkout."""
    return (
        "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = false\n"
        f'[remote "origin"]\n\turl = {origin}\n\tfetch = +refs/heads/*:refs/remotes/origin/*\n'
        "[gc]\n\tauto = 0\n"
    )
