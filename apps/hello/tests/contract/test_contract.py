"""Every operation of openapi.yml answers as it promises: status, content type and schema."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from wsgiref.util import setup_testing_defaults

import jsonschema
import pytest
import yaml
from hello import application

CONTRACT = yaml.safe_load((Path(__file__).parents[2] / "openapi.yml").read_text())


def calls() -> list[tuple[str, str, str]]:
    found = []
    for path, item in CONTRACT["paths"].items():
        for method, operation in item.items():
            examples = {p["name"]: p["example"] for p in operation.get("parameters", []) if p["in"] == "query"}
            required = {p["name"] for p in operation.get("parameters", []) if p.get("required")}
            found.append((path, method, urlencode({k: v for k, v in examples.items() if k in required})))
            if examples:
                found.append((path, method, urlencode(examples)))
    return found


@pytest.mark.contract
@pytest.mark.parametrize(("path", "method", "query"), calls())
def test_answers_as_promised(path: str, method: str, query: str) -> None:
    environ: dict[str, Any] = {"PATH_INFO": path, "QUERY_STRING": query, "REQUEST_METHOD": method.upper()}
    setup_testing_defaults(environ)
    seen: list[tuple[str, dict[str, str]]] = []
    body = b"".join(application(environ, lambda status, headers: seen.append((status, dict(headers)))))
    status, headers = seen[0]
    promised = CONTRACT["paths"][path][method]["responses"]
    assert status[:3] in promised, f"{method.upper()} {path} answers {status}, which openapi.yml does not promise"
    content = promised[status[:3]]["content"]
    assert headers["Content-Type"] in content
    problems = [
        f"{method.upper()} {path}: {error.message}"
        for error in jsonschema.Draft7Validator(content[headers["Content-Type"]]["schema"]).iter_errors(
            json.loads(body)
        )
    ]
    assert not problems, "; ".join(problems)
