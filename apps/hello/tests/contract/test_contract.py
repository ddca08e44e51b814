"""Tests that every operation of openapi.yml returns the documented status, content type and schema.

The app runs in a separate process and gets requests over HTTP, so that it cannot change the test. ``APPS`` is the
folder of the apps under test; the default is the folder that contains this file's app.
"""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlencode

import jsonschema
import pytest
import yaml

HERE = Path(__file__).parents[2]
SOURCE = Path(os.environ.get("APPS", HERE.parent)) / HERE.name / "src"
CONTRACT = yaml.safe_load((HERE / "openapi.yml").read_text())


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


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        number: int = probe.getsockname()[1]
    env = {"PATH": os.environ.get("PATH", ""), "PORT": str(number), "RELEASE": "under-test"}
    app = subprocess.Popen(
        [sys.executable, "-IB", str(SOURCE)], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        for _ in range(200):
            if app.poll() is not None or answers(number):
                break
            time.sleep(0.05)
        yield number
    finally:
        app.kill()
        app.wait()


def answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False


@pytest.mark.contract
@pytest.mark.parametrize(("path", "method", "query"), calls())
def test_answers_as_promised(port: int, path: str, method: str, query: str) -> None:
    wire = HTTPConnection("127.0.0.1", port, timeout=10)
    wire.request(method.upper(), f"{path}?{query}" if query else path)
    answer = wire.getresponse()
    status, kind, body = str(answer.status), answer.getheader("Content-Type"), answer.read()
    wire.close()
    promised = CONTRACT["paths"][path][method]["responses"]
    assert status in promised, f"{method.upper()} {path} answers {status}, which openapi.yml does not promise"
    content = promised[status]["content"]
    assert kind in content, f"{method.upper()} {path} answers with {kind}"
    problems = [
        f"{method.upper()} {path}: {error.message}"
        for error in jsonschema.Draft7Validator(content[kind]["schema"]).iter_errors(json.loads(body))
    ]
    assert not problems, "; ".join(problems)
