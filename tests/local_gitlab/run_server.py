"""Runs the server until its standard input ends; prints ``ready`` on a line. Started by ``test_crash``."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from factory.local_gitlab.server import serve


async def main(options: dict[str, Any]) -> None:
    state = Path(options["state"])
    settings = {
        "kept": state / "kept",
        "tier": "premium",
        "expander": tuple(options["expander"]),
        "tool_env": options["tool_env"],
    }
    async with serve(state, port=options["port"], **settings):
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.read)


asyncio.run(main(json.loads(sys.argv[1])))
