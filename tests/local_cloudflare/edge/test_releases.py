"""The supervisor takes a release that runs, and says why it does not take another."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from factory.system import http
from tests.local_cloudflare.double import HELLO, Double, zipapp


def reason(answer: http.Response) -> str:
    message: str = answer.json()["errors"][0]["message"]
    return message


def test_a_release_is_kept_once_for_its_name(shared: Double) -> None:
    assert shared.release("hello-1111111").status == 201
    again = shared.release("hello-1111111")
    assert again.status == 200
    kept = again.json()["result"]
    assert (kept["name"], kept["state"]) == ("hello-1111111", "running")
    assert len(kept["sha256"]) == 64
    other = shared.release("hello-1111111", HELLO + "# other bytes\n")
    assert other.status == 409
    assert kept["sha256"] in reason(other)
    assert shared.result("GET", "releases/hello-1111111") == kept


def test_a_release_can_be_removed(shared: Double) -> None:
    shared.release("hello-2222222")
    assert shared.result("DELETE", "releases/hello-2222222") == {"name": "hello-2222222"}
    assert shared.call("DELETE", "releases/hello-2222222").status == 404
    assert shared.call("GET", "releases/hello-2222222").status == 404
    assert shared.release("hello-2222222", HELLO + "# other bytes\n").status == 201


@pytest.mark.parametrize("name", ["Hello", "1hello", "h", "hello_1", "h" * 64, "..%2Fhello"])
def test_a_name_that_is_no_host_label_is_refused(shared: Double, name: str) -> None:
    assert shared.release(name).status == 422


def test_a_body_that_is_no_zipapp_is_refused(shared: Double) -> None:
    answer = shared.call("PUT", "releases/hello-3333333", data=b"not a zip")
    assert answer.status == 422
    assert "the archive is damaged: not a gzip file" in reason(answer)
    damaged = bytearray(zipapp())
    damaged[60] ^= 0xFF
    assert shared.call("PUT", "releases/hello-3333333", data=bytes(damaged)).status == 422
    empty = b"PK\x05\x06" + bytes(18)
    assert "no __main__.py" in reason(shared.call("PUT", "releases/hello-3333333", data=empty))
    assert shared.call("GET", "releases/hello-3333333").status == 404


@pytest.mark.parametrize(
    ("main", "said"),
    [
        ("raise SystemExit('no database')", "ended with 1 before it answered\n  no database"),
        ("import time; time.sleep(60)", "did not listen within 1.5 s"),
        (HELLO.replace("send_response(200)", "send_response(503)"), "answered 503 to GET /health: ok within 1.5 s"),
        (
            HELLO.replace("def do_GET(self):", "def do_GET(self):\n        import time; time.sleep(60)"),
            "did not answer",
        ),
    ],
)
def test_a_release_that_does_not_become_healthy_is_refused_and_ended(tmp_path: Path, main: str, said: str) -> None:
    server = Double(tmp_path / "state", health_seconds=1.5)
    try:
        answer = server.release("hello-4444444", main)
        assert answer.status == 422
        assert said in reason(answer)
        assert server.result("GET", "releases") == []
        assert list((tmp_path / "state" / "releases").glob("*.*")) == []
    finally:
        server.close()


def test_the_same_release_put_twice_at_once_is_kept_once(shared: Double) -> None:
    with ThreadPoolExecutor(4) as pool:
        statuses = list(pool.map(lambda _: shared.release("hello-5555555").status, range(4)))
    assert sorted(statuses) == [200, 200, 200, 201]
