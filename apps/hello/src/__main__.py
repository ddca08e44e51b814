"""Serves on HOST and PORT until the process ends."""

import os
from wsgiref.simple_server import make_server

from hello import application

with make_server(os.environ.get("HOST", "127.0.0.1"), int(os.environ.get("PORT", "8000")), application) as server:
    server.serve_forever()
