"""Prints the service's seconds per request for each path as one JSON object, for the gate `performance`."""

import json
import os
import sys
import time
from pathlib import Path
from wsgiref.util import setup_testing_defaults

sys.path.insert(0, str(Path(os.environ.get("APPS", Path(__file__).parents[1])) / "hello" / "src"))

from hello import application

REQUESTS = 20_000


def ask(path: str) -> float:
    """Return the average seconds per request."""
    environ: dict[str, object] = {"PATH_INFO": path, "REQUEST_METHOD": "GET", "QUERY_STRING": ""}
    setup_testing_defaults(environ)
    start = time.perf_counter()
    for _ in range(REQUESTS):
        list(application(environ, lambda _status, _headers: None))
    return (time.perf_counter() - start) / REQUESTS


sys.stdout.write(json.dumps({path: ask(path) for path in ("/greeting", "/version")}) + "\n")
