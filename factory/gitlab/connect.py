"""Wraps python-gitlab: a connection per account, and GitLab's errors as ``FactoryError``."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import gitlab
import requests

from factory.errors import Conflict, FactoryError, InvalidInput, NotFound, Refused, Unauthorized, Unreachable
from factory.gitlab import rate_limit

_BY_STATUS: dict[int, type[FactoryError]] = {
    HTTPStatus.BAD_REQUEST: InvalidInput,
    HTTPStatus.UNAUTHORIZED: Unauthorized,
    HTTPStatus.FORBIDDEN: Refused,
    HTTPStatus.NOT_FOUND: NotFound,
    HTTPStatus.METHOD_NOT_ALLOWED: Refused,
    HTTPStatus.NOT_ACCEPTABLE: Refused,
    HTTPStatus.CONFLICT: Conflict,
    HTTPStatus.UNPROCESSABLE_ENTITY: InvalidInput,
}
# GitLab gives one status to a token that is wrong, revoked or expired.
_RENEW = (
    "The token is wrong, revoked or expired: enter a new one with `factory connect URL --browser`, the factory's own "
    "with `--bot`, a job's as its CI variable."
)


@dataclass(frozen=True)
class Connection:
    """One account's connection to one project."""

    url: str
    project_path: str
    account: str
    client: gitlab.Gitlab

    @cached_property
    def project(self) -> Any:
        """Return python-gitlab's project object; sends no request."""
        return self.client.projects.get(self.project_path, lazy=True)

    @property
    def api(self) -> str:
        """Return the project's API path, for calls without a python-gitlab method."""
        return f"/projects/{quote(self.project_path, safe='')}"


def connect(
    url: str,
    project_path: str,
    *,
    account: str,
    token: str,
    timeout: float = 30.0,
    say: Callable[[str], None] | None = None,
) -> Connection:
    """Return a connection; sends no request. ``timeout`` is in seconds per request; ``say`` reports pauses."""
    client = gitlab.Gitlab(url, private_token=token, timeout=timeout, retry_transient_errors=False)
    client.session.trust_env = False
    limiter = rate_limit.RateLimiter(rate_limit.rates(url), say=say)
    for scheme in ("https://", "http://"):
        client.session.mount(scheme, limiter)
    return Connection(url, project_path, account, client)


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Raise errors of python-gitlab and requests as ``FactoryError``; ``what`` completes "GitLab refused to"."""
    try:
        yield
    except gitlab.GitlabError as error:
        status = error.response_code or 0
        reason = str(error.error_message or error)
        hint = _RENEW if status == HTTPStatus.UNAUTHORIZED else None
        kind = _BY_STATUS.get(status, Unreachable)
        raise kind(f"GitLab refused to {what}: {reason} (HTTP {status})", hint=hint) from error
    except requests.RequestException as error:
        raise Unreachable(f"GitLab did not answer the attempt to {what}") from error


def project_id(connection: Connection) -> int:
    """Return the project's numeric id, which id tokens and state URLs contain."""
    with translated("show the project"):
        found: Any = connection.client.http_get(connection.api)
        return int(found["id"])


def version(connection: Connection) -> str:
    """Return the server's version; that of the loopback GitLab ends in ``-local``."""
    with translated("show its version"):
        found: Any = connection.client.http_get("/version")
        return str(found["version"])
