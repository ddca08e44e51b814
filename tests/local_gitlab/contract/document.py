"""Checks the server's answers against ``factory/local_gitlab/serving/openapi.yml``."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import requests
import yaml
from openapi_core import OpenAPI
from openapi_core.exceptions import OpenAPIError
from openapi_core.testing import MockRequest, MockResponse

from factory.local_gitlab.serving.openapi import FILE, METHODS

PREFIX = "/api/v4"
PAGE_HEADERS = ("X-Page", "X-Per-Page", "X-Total", "X-Total-Pages", "X-Next-Page", "X-Prev-Page", "Link")
Operation = tuple[str, str]


@dataclass(frozen=True)
class Exchange:
    """One request and its answer; ``path`` is the sent path below ``/api/v4``."""

    method: str
    path: str
    status: int
    headers: Mapping[str, str]
    body: bytes

    @classmethod
    def of(cls, response: requests.Response) -> "Exchange":
        """Return the exchange of a response."""
        request = response.request
        path = urlsplit(request.path_url).path.removeprefix(PREFIX)
        return cls(str(request.method), path, response.status_code, dict(response.headers), response.content)


def written() -> dict[str, Any]:
    """Return the OpenAPI document; libyaml reads it within the time that tests may take to be collected."""
    return dict(yaml.load(FILE.read_text(), Loader=yaml.CSafeLoader))


class Contract:
    """The OpenAPI document: its operations, and the violations of an answer."""

    def __init__(self) -> None:
        self.document = written()
        self._openapi = OpenAPI.from_dict(self.document)
        templates = sorted(self.document["paths"], key=lambda path: path.count("{"))
        self._patterns = [(re.compile(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(path))), path) for path in templates]

    def operations(self) -> dict[Operation, dict[str, Any]]:
        """Return all operations by method and path template."""
        return {
            (method.upper(), path): operation
            for path, item in self.document["paths"].items()
            for method, operation in item.items()
            if method in METHODS
        }

    def absent(self) -> list[tuple[str, str]]:
        """Return method and path of the operations that the document declares as absent."""
        return [(item["method"], item["path"]) for item in self.document["x-absent"]]

    def prefix(self, template: str) -> str:
        """Return the prefix of a path: the API's, or none if the path has its own ``servers``."""
        return "" if "servers" in self.document["paths"][template] else PREFIX

    def promised(self) -> set[tuple[str, str, int]]:
        """Return all operations with each status that they may answer."""
        return {
            (*key, int(status)) for key, operation in self.operations().items() for status in operation["responses"]
        }

    def operation(self, method: str, path: str) -> Operation:
        """Return the operation of a sent path; fails if no operation matches."""
        for pattern, template in self._patterns:
            if pattern.fullmatch(path) and method.lower() in self.document["paths"][template]:
                return method, template
        raise AssertionError(f"{method} {path} is not in {FILE.name}")

    def violations(self, exchange: Exchange) -> Iterator[str]:
        """Yield an answer's violations: status, headers, content type, schema, unknown fields."""
        method, template = self.operation(exchange.method, exchange.path)
        where = f"{method} {template} {exchange.status}"
        request = MockRequest("http://localhost", method.lower(), self.prefix(template) + exchange.path)
        kind = exchange.headers.get("Content-Type", "application/json").split(";")[0]
        response = MockResponse(exchange.body, exchange.status, dict(exchange.headers), kind)
        for error in self._openapi.iter_apicall_response_errors(request, response):
            yield from (f"{where}: {line}" for line in _lines(error))
        if kind == "application/json" and exchange.body:
            answer = self.document["paths"][template][method.lower()]["responses"].get(str(exchange.status), {})
            content = self._resolved(answer).get("content", {}).get(kind, {})
            value = json.loads(exchange.body)
            yield from (f"{where}: {line}" for line in self._unknown(content.get("schema", {}), value, "$"))

    def _unknown(self, schema: Mapping[str, Any], value: Any, at: str) -> Iterator[str]:
        """Yield the fields of a value that the schema does not contain."""
        schema = self._resolved(schema)
        for part in schema.get("oneOf", []):
            yield from self._unknown(part, value, at)
        if isinstance(value, list):
            for item in value:
                yield from self._unknown(schema.get("items", {}), item, f"{at}[]")
        known = schema.get("properties")
        if not isinstance(value, dict) or known is None:
            return
        for key, item in value.items():
            if key in known:
                yield from self._unknown(known[key], item, f"{at}.{key}")
            else:
                yield f"{at}.{key} is not in the document"

    def _resolved(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        if "$ref" not in schema:
            return schema
        found: Any = self.document
        for step in schema["$ref"].removeprefix("#/").split("/"):
            found = found[step]
        return self._resolved(found)


def _lines(error: BaseException) -> Iterator[str]:
    """Yield an error or its schema errors with their positions, one line each."""
    details = getattr(error, "schema_errors", None)
    if details:
        yield from (f"{each.json_path}: {each.message}"[:300] for each in details)
    elif isinstance(error.__cause__, OpenAPIError):
        yield from _lines(error.__cause__)
    else:
        yield f"{error!r}: {error.__cause__!r}"[:300]
