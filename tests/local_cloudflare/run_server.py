"""Runs the double until its standard input ends; prints its ports as one JSON line. Started by ``double.Double``."""

import asyncio
import json
import sys
from pathlib import Path

from factory.errors import FactoryError
from factory.local_cloudflare.server import create_app, serve


def say(value: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


async def main(options: dict[str, object]) -> None:
    app = create_app(
        Path(str(options["state"])),
        {"local-reader": "read", "local-writer": "write"},
        sockets=Path(str(options["sockets"])),
    )
    api_port, edge_port = int(str(options["api_port"])), int(str(options["edge_port"]))
    async with serve(app, api_port=api_port, edge_port=edge_port) as listening:
        say({"api_port": listening.api_port, "edge_port": listening.edge_port})
        await asyncio.to_thread(sys.stdin.read)


try:
    asyncio.run(main(json.loads(sys.argv[1])))
except FactoryError as error:
    say({"error": type(error).__name__, "message": str(error)})
    sys.exit(error.exit_code)
