"""Moving the traffic under load: no request may fail, and the slowest ones stand beside those before the move."""

import asyncio
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import aiohttp

from factory.errors import InvalidInput
from tests.local_cloudflare.double import HELLO, Double

_CONNECTIONS, _REQUESTS = 50, 10_000
_HOST = "www.switch.test"
_ONE, _TWO, _THREE = (f"hello-{letter * 12}" for letter in "abc")
# What moves the traffic, and from which release to which.
_MOVES = (("deployment", _ONE, _TWO), ("rollback", _TWO, _ONE), ("deployment of a third release", _ONE, _THREE))
# As servers that people use do, it lets more connections wait than there are.
_APP = HELLO.replace("ThreadingHTTPServer((", "ThreadingHTTPServer.request_queue_size = 1024\nThreadingHTTPServer((")
_RETURN = ("return after a failed check", _THREE, _ONE)
_KEPT, _FAILING = (f"kept-{letter * 12}" for letter in "ab")
_FILL = ("python3", "-c", "open(__import__('os').environ['STATE_DIRECTORY'] + '/rows', 'wb').write(b'x' * 50_000_000)")
_FAIL = ("python3", "-c", "import time; time.sleep(1); raise SystemExit('no such column')")


def rows() -> list[dict[str, object]]:
    """Return the rows of ``make bench``."""
    with tempfile.TemporaryDirectory() as name, closing(Double(Path(name) / "double")) as double:
        for release in (_ONE, _TWO, _THREE):
            double.release(release, _APP)
        tunnel = double.serve_host("switch.test", _service(_ONE))["tunnel"]
        found = []
        for what, before, after in (*_MOVES, _RETURN):
            seen = asyncio.run(_under_load(double, partial(double.configure, tunnel, _HOST, _service(after))))
            found.append(_row(what, seen, before, after))
        double.release(_KEPT, _APP, migrate=_FILL)
        double.configure(tunnel, _HOST, _service(_KEPT))
        seen = asyncio.run(_under_load(double, partial(_migrate_wrong, double)))
        found.append(_row("failing migration", seen, _KEPT, _KEPT))
        return found


def _migrate_wrong(double: Double) -> None:
    try:
        double.release(_FAILING, _APP, migrate=_FAIL)
    except InvalidInput:
        return
    raise AssertionError("the migration did not fail")


def _service(release: str) -> str:
    return f"unix:/run/factory/production/{release}.sock"


async def _under_load(double: Double, move: Callable[[], None]) -> list[tuple[float, float, str]]:
    """Send the requests, and move the traffic after the first half; return when each began, its seconds, its answer."""
    seen: list[tuple[float, float, str]] = []
    numbers, half = iter(range(_REQUESTS)), asyncio.Event()
    connector = aiohttp.TCPConnector(limit=_CONNECTIONS)
    async with aiohttp.ClientSession(connector=connector, headers={"Host": _HOST}) as session:
        clients = [asyncio.create_task(_client(double, session, numbers, seen, half)) for _ in range(_CONNECTIONS)]
        await half.wait()
        await asyncio.to_thread(move)
        seen.append((time.monotonic(), 0.0, "moved"))
        await asyncio.gather(*clients)
    return seen


async def _client(
    double: Double,
    session: aiohttp.ClientSession,
    numbers: Iterator[int],
    seen: list[tuple[float, float, str]],
    half: asyncio.Event,
) -> None:
    for number in numbers:
        began = time.monotonic()
        try:
            async with session.get(f"http://127.0.0.1:{double.edge_port}/{number}") as answer:
                text = await answer.text()
                said = text if answer.status == 200 else f"HTTP {answer.status}"
        except aiohttp.ClientError as error:
            said = type(error).__name__
        seen.append((began, time.monotonic() - began, said))
        if len(seen) >= _REQUESTS / 2:
            half.set()


def _row(what: str, seen: list[tuple[float, float, str]], before: str, after: str) -> dict[str, object]:
    """Return the failed requests of a move, which may be none, and the 99th percentiles before and during it, in ms."""
    at = next(moment for moment, _, said in seen if said == "moved")
    requests = [item for item in seen if item[2] != "moved"]
    served = dict.fromkeys((before, after), 0)
    for _, _, said in requests:
        release = said.partition(" ")[0]
        served[release] = served.get(release, 0) + 1
    failed = len(requests) - sum(served[release] for release in {before, after})
    late = sum(said.startswith(before) for began, _, said in requests if began > at) if before != after else 0
    ends = [began + took for began, took, _ in requests]
    first = [took for (_, took, _), end in zip(requests, ends, strict=True) if end < at - 0.5]
    during = [took for (began, took, _), end in zip(requests, ends, strict=True) if began < at + 0.5 and end > at - 0.5]
    p99 = [round(sorted(values)[int(len(values) * 0.99)] * 1000) for values in (first, during)]
    return {
        "what": f"{what}: failed of {len(requests)} requests on {_CONNECTIONS} connections",
        "failed": failed,
        "served by the old release afterwards": late,
        "p99 before, ms": p99[0],
        "p99 during, ms": p99[1],
        "limit": 0,
        "holds": failed == 0 and late == 0 and served[after] > 0,
    }


if __name__ == "__main__":
    for line in rows():
        print(json.dumps(line))  # noqa: T201 - a program's output
