"""Notes each HTTP request of this process in ``OUTSIDE_EXCHANGES``: of the tests, and of the commands that they start.

Python imports a module of this name at its start. It imports nothing of this repository.
"""

import json
import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests

_send = requests.Session.send


def _noted(session: requests.Session, request: requests.PreparedRequest, **options: Any) -> requests.Response:
    response = _send(session, request, **options)
    path = re.sub(r"(?<=/)\d+(?=/|$)", ":id", urlsplit(request.url or "").path.removeprefix("/api/v4"))
    refused = response.status_code >= requests.codes.bad_request
    noted = [f"{request.method} {path}", response.status_code, response.text if refused else ""]
    with Path(os.environ["OUTSIDE_EXCHANGES"]).open("a") as exchanges:
        exchanges.write(json.dumps(noted) + "\n")
    return response


if "OUTSIDE_EXCHANGES" in os.environ:
    setattr(requests.Session, "send", _noted)  # noqa: B010 - mypy forbids to assign a method
