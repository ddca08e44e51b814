"""HTTP client for everything except GitLab's API and the agents' traffic."""

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import requests

from factory.errors import FactoryError, InvalidInput, Unreachable

_BLOCK, _LARGEST = 64 * 1024, 256 * 2**20


@dataclass(frozen=True)
class Response:
    """An answer: status code, headers, body."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        """The body as text; bytes that are not UTF-8 are replaced."""
        return self.body.decode(errors="replace")

    def json(self) -> Any:
        """Return the body as JSON; raises ``InvalidInput`` if it is not JSON."""
        try:
            return json.loads(self.text)
        except ValueError as error:
            raise InvalidInput(f"the server's answer is not JSON: {self.text[:80]!r}") from error


class Client:
    """Sends requests to one base URL, with the same headers and over connections that stay open."""

    def __init__(self, base_url: str, *, headers: Mapping[str, str] | None = None, timeout: float = 30.0) -> None:
        self._base_url = base_url.rstrip("/")
        self._timeout = timeout
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.headers.update(headers or {})

    def send(self, method: str, path: str, **arguments: Any) -> Response:
        """Send one request; ``arguments`` are those of ``requests.request``.

        Raises ``Unreachable`` and, for an answer of more than 256 MiB, ``InvalidInput``.
        """
        arguments.setdefault("timeout", self._timeout)
        arguments.setdefault("allow_redirects", False)
        try:
            with self._session.request(method, self._base_url + path, stream=True, **arguments) as answer:
                return self._bounded(answer, _LARGEST)
        except requests.RequestException as error:
            raise Unreachable(f"no answer from {self._base_url}: {_reason(error)}") from error

    def fetch(self, path: str, *, params: Mapping[str, str], largest: int, seconds: float) -> Response:
        """Get an answer that may be hostile: at most ``largest`` bytes, and whole within ``seconds``.

        Raises ``Unreachable`` and, for a longer answer, ``InvalidInput``.
        """
        found: list[Response | FactoryError] = []
        # A server that sends a byte now and then resets every timeout of the socket, so the whole has a time limit.
        worker = threading.Thread(target=lambda: found.append(self._fetched(path, params, largest)), daemon=True)
        worker.start()
        worker.join(seconds)
        result = found[0] if found else Unreachable(f"no answer from {self._base_url}: timed out")
        if isinstance(result, FactoryError):
            raise result
        return result

    def _fetched(self, path: str, params: Mapping[str, str], largest: int) -> Response | FactoryError:
        headers = {"Accept-Encoding": "identity"}
        url, wait = self._base_url + path, self._timeout
        try:
            with self._session.get(
                url, params=params, headers=headers, timeout=wait, allow_redirects=False, stream=True
            ) as answer:
                return self._bounded(answer, largest)
        except InvalidInput as error:
            return error
        except requests.RequestException as error:
            return Unreachable(f"no answer from {self._base_url}: {_reason(error)}")

    def _bounded(self, answer: requests.Response, largest: int) -> Response:
        body = bytearray()
        for block in answer.iter_content(_BLOCK):
            body += block
            if len(body) > largest:
                raise InvalidInput(f"the answer of {self._base_url} is larger than {largest} bytes")
        return Response(answer.status_code, answer.headers, bytes(body))

    def close(self) -> None:
        """Close the connections."""
        self._session.close()


def _reason(error: requests.RequestException) -> str:
    if isinstance(error, requests.Timeout):
        return "timed out"
    if isinstance(error, requests.ConnectionError):
        return "connection refused or broken"
    return type(error).__name__
