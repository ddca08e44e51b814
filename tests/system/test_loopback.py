"""What every loopback server refuses before it reads a body, over real sockets."""

import asyncio
import socket
import threading
from collections.abc import Iterator

import pytest
import requests
from aiohttp import web

from factory.errors import PortInUse
from factory.system import loopback


async def _echo(request: web.Request) -> web.Response:
    if request.content_type == "multipart/form-data":
        form = await loopback.read_form(request, 1000)
        return web.Response(text=",".join(form))
    return web.Response(body=await loopback.read(request, 1000))


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """Serve an echo in a thread."""
    ready: list[int] = []
    up, ended = threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()

    async def main() -> None:
        app = web.Application(client_max_size=2**20, middlewares=[loopback.own_address])
        app.router.add_route("*", "/", _echo)
        runner = loopback.runner(app)
        await runner.setup()
        ready.append(await loopback.listen(runner, 0))
        with pytest.raises(PortInUse):
            await loopback.listen(runner, ready[0])
        up.set()
        await ended.wait()
        await runner.cleanup()

    thread = threading.Thread(target=lambda: loop.run_until_complete(main()), daemon=True)
    thread.start()
    assert up.wait(10)
    yield ready[0]
    loop.call_soon_threadsafe(ended.set)
    thread.join(10)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Host": "localhost:{port}"}, 200),
        ({"Origin": "http://127.0.0.1:{port}"}, 200),
        ({"Host": "attacker.test:{port}"}, 421),
        ({"Host": "127.0.0.1"}, 200),
        ({"Host": "127.0.0.1:1"}, 200),
        ({"Host": "127.0.0.1:x"}, 421),
        ({"Host": "127.0.0.1.attacker.test:{port}"}, 421),
        ({"Host": ""}, 421),
        ({"Origin": "https://attacker.test"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://127.0.0.1:1"}, 403),
        ({"Origin": "https://127.0.0.1:{port}"}, 403),
    ],
)
def test_only_its_own_address_and_pages(port: int, headers: dict[str, str], status: int) -> None:
    given = {name: value.format(port=port) for name, value in headers.items()}
    assert requests.post(f"http://127.0.0.1:{port}/", headers=given, timeout=30).status_code == status


def test_a_body_is_bounded_also_without_a_length(port: int) -> None:
    url = f"http://127.0.0.1:{port}/"
    assert requests.post(url, data=b"x" * 1000, timeout=30).content == b"x" * 1000
    assert requests.post(url, data=b"x" * 1001, timeout=30).status_code == 413
    assert requests.post(url, data=iter([b"x" * 600, b"x" * 600]), timeout=30).status_code == 413
    assert requests.post(url, files={"a": b"x"}, timeout=30).text == "a"
    assert requests.post(url, files={"a": b"x" * 2000}, timeout=30).status_code == 413


def test_a_body_that_does_not_come_is_given_up(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loopback, "_PATIENCE", 0.3)
    with socket.create_connection(("127.0.0.1", port), timeout=30) as peer:
        peer.sendall(b"POST / HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Length: 10\r\n\r\nx" % port)
        assert peer.recv(100).startswith(b"HTTP/1.1 408")


def test_a_connection_without_a_whole_request_is_given_up() -> None:
    async def main() -> bytes:
        runner = loopback.runner(web.Application())
        await runner.setup()
        server = runner.server
        assert server
        port = await loopback.listen(runner, 0)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nHost: ")
        try:
            async with asyncio.timeout(10):
                return await reader.read()
        finally:
            writer.close()
            await runner.cleanup()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loopback, "_IDLE", 0.5)
        assert asyncio.run(main()) == b""
