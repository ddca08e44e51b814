"""Shows a release on a loopback port, for a browser: copies bytes between the port and the release's socket."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from factory.errors import PortInUse

_CHUNK = 65536
_HOST = "127.0.0.1"
_PAUSE = 0.5


def run(path: Path, port: int, *, while_: Callable[[], bool]) -> None:
    """Serve a unix socket on a port of 127.0.0.1 while a condition holds; raises ``PortInUse``."""
    asyncio.run(_run(path, port, while_))


async def _run(path: Path, port: int, while_: Callable[[], bool]) -> None:
    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_unix_connection(str(path))
        except OSError:
            writer.close()
            return
        await asyncio.gather(_copy(reader, far_writer), _copy(far_reader, writer))

    try:
        server = await asyncio.start_server(relay, _HOST, port)
    except OSError as error:
        raise PortInUse(f"port {port} on {_HOST} is in use") from error
    async with server:
        while while_():  # noqa: ASYNC110 - another process ends the condition
            await asyncio.sleep(_PAUSE)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()
    with suppress(OSError, RuntimeError):
        writer.close()
