"""Answers of Cloudflare that are huge, slow, wrong or refusing: each becomes one typed error, and never a token."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from factory.cloudflare import zones
from factory.cloudflare.client import Patience, Reader
from factory.errors import (
    Conflict,
    FactoryError,
    InvalidInput,
    NotFound,
    RateLimited,
    Unauthorized,
    Unreachable,
)
from factory.model.cloudflare import ZoneFacts
from tests.stub_server import Answer, saying

TOKEN, KEY = "local-secret-4711", "a" * 32
QUICK = Patience(answer=60.0, pause=0.01, longest_pause=0.5, tries=3)
ZONE = {"id": KEY, "name": "acme.com", "account": {"id": "b" * 32}, "plan": {"legacy_id": "free"}}
FACTS = ZoneFacts(KEY, "acme.com", "b" * 32, "free")


def good(result: Any, **more: Any) -> Answer:
    return Answer(200, body={"success": True, "errors": [], "result": result} | more)


def failed(status: int, message: str = "no", **headers: str) -> Answer:
    return Answer(status, headers, {"success": False, "errors": [{"code": 10000, "message": message}]})


@contextmanager
def reading(*answers: Answer) -> Iterator[tuple[Reader, list[Any]]]:
    """Yield a reader of a server that gives these answers, the last one again and again; and what it was asked."""
    with saying(lambda _method, _path, number: answers[min(number, len(answers) - 1)]) as stub:
        # Only a server that is slow on purpose meets a limit: a busy machine is no reason.
        patience = replace(QUICK, answer=0.3) if any(answer.delay for answer in answers) else QUICK
        yield Reader(TOKEN, url=stub.url, patience=patience), stub.asked


@pytest.mark.parametrize(
    ("answer", "error", "said", "asked"),
    [
        (failed(401), Unauthorized, "HTTP 401: 10000 no", 1),
        (failed(403, "Authentication error"), Unauthorized, "10000 Authentication error", 1),
        (failed(404), NotFound, "HTTP 404", 1),
        (failed(400, "a\x1b[2Jb\n" + "c" * 1000), InvalidInput, "10000 a[2Jbccc", 1),
        (failed(500), Unreachable, "HTTP 500", 3),
        (failed(503), Unreachable, "HTTP 503", 3),
        (failed(429), RateLimited, "asks to wait 0.01 s", 3),
        (failed(429, **{"Retry-After": "3600"}), RateLimited, "asks to wait 3600 s", 1),
        (failed(429, **{"Retry-After": "9" * 400}), RateLimited, "asks to wait 999999 s", 1),
        (failed(429, **{"Retry-After": "soon"}), RateLimited, "asks to wait 0.01 s", 3),
        (Answer(302, {"Location": "https://example.com/"}), InvalidInput, "HTTP 302", 1),
        (Answer(200, body=["x"]), InvalidInput, "not Cloudflare's", 1),
        (Answer(200, body={"success": "yes", "result": []}), InvalidInput, "not Cloudflare's", 1),
        (Answer(200, body={"success": False, "errors": "x"}), InvalidInput, "not Cloudflare's", 1),
        (Answer(200, body={"success": False, "errors": [7, None]}), InvalidInput, "not Cloudflare's", 1),
        (good("x" * 9 * 2**20), InvalidInput, "larger than 8388608 bytes", 1),
        (Answer(200, delay=0.5), Unreachable, "timed out", 3),
    ],
)
def test_an_answer_that_is_none_is_one_error(answer: Answer, error: type[FactoryError], said: str, asked: int) -> None:
    with reading(answer) as (reader, requests), pytest.raises(error) as told:
        reader.get("/zones")
    assert said in str(told.value)
    assert len(str(told.value)) < 400
    assert str(told.value).isprintable()
    assert TOKEN not in str(told.value) + told.value.hint
    assert len(requests) == asked


def test_a_moment_later_it_answers() -> None:
    with reading(failed(500), failed(429, **{"Retry-After": "0"}), good([ZONE])) as (reader, _):
        assert zones.find(reader, "acme.com") == FACTS


def test_a_server_that_drips_is_left() -> None:
    """Every byte comes before the timeout of the socket, and the whole would take minutes."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ended = threading.Event()

        def drip() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
                while not ended.wait(0.05):
                    try:
                        connection.sendall(b" ")
                    except OSError:
                        return

        thread = threading.Thread(target=drip)
        thread.start()
        patience = Patience(answer=0.5, tries=1)
        reader = Reader(TOKEN, url=f"http://127.0.0.1:{listener.getsockname()[1]}", patience=patience)
        begun = time.monotonic()
        with pytest.raises(Unreachable, match="timed out"):
            reader.get("/zones")
        assert time.monotonic() - begun < 30
        ended.set()
        thread.join()


def test_the_token_goes_only_where_it_is_safe() -> None:
    for url in (
        "http://api.cloudflare.com/client/v4",
        "ftp://x",
        "http://127.0.0.1.evil.example/",
        "http://localhost@evil",
    ):
        with pytest.raises(InvalidInput, match="is not an https address"):
            Reader(TOKEN, url=url)
    Reader(TOKEN)


@pytest.mark.parametrize(
    "result",
    [
        None,
        {},
        "x",
        [7],
        [{"id": "../../x", "name": "acme.com", "account": {"id": "b" * 32}}],
        [{"id": KEY, "name": "acme.com\n", "account": {"id": "b" * 32}}],
        [{"id": KEY, "name": "acme.com", "account": None}],
        [{"id": KEY, "name": "acme.com", "account": {"id": 7}}],
    ],
)
def test_a_zone_of_another_form_is_refused(result: Any) -> None:
    with reading(good(result)) as (reader, _), pytest.raises(InvalidInput, match="Cloudflare's answer"):
        zones.find(reader, "acme.com")


def test_a_zone_is_found_by_its_whole_name() -> None:
    other = {**ZONE, "name": "notacme.com"}
    with reading(good([other])) as (reader, _), pytest.raises(NotFound):
        zones.find(reader, "acme.com")
    with (
        reading(good([ZONE, {**ZONE, "id": "c" * 32}])) as (reader, _),
        pytest.raises(Conflict, match="several accounts"),
    ):
        zones.find(reader, "acme.com")
    for name in ("acme", "acme.com/../x", "acme.com?per_page=1", "-.com", "ACME.com", ""):
        with reading(good([])) as (reader, asked), pytest.raises(InvalidInput, match="is not a domain"):
            zones.find(reader, name)
        assert not asked


RECORD = {"id": KEY, "name": "www.acme.com", "type": "A", "content": "192.0.2.1"}


def test_every_page_is_read_and_endless_ones_are_not() -> None:
    page = [RECORD] * 500
    with reading(good(page), good(page), good([RECORD]), good([]), good([])) as (reader, asked):
        assert len(zones.contents(reader, FACTS).records) == 1001
    assert [path.partition("?")[2] for _, path, _ in asked[:3]] == [f"page={n}&per_page=500" for n in (1, 2, 3)]
    with reading(good(page)) as (reader, asked), pytest.raises(InvalidInput, match="more than 20000 items"):
        zones.contents(reader, FACTS)
    assert len(asked) == 40


def test_rulesets_come_in_pages_that_name_the_next() -> None:
    def page(number: int) -> Answer:
        return good([{"kind": "managed"}], result_info={"cursors": {"after": f"c{number}"}})

    with reading(good([RECORD]), page(1), page(2), good([{"kind": "managed"}]), good([])) as (reader, asked):
        assert zones.contents(reader, FACTS).rulesets == ()
    assert [path.partition("?")[2] for _, path, _ in asked[1:4]] == ["", "cursor=c1", "cursor=c2"]
    with reading(good([RECORD]), page(1)) as (reader, _), pytest.raises(InvalidInput, match="more than 40 pages"):
        zones.contents(reader, FACTS)


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ([good([{**RECORD, "id": 'x"}\nresource'}])], "no valid id"),
        ([good([{**RECORD, "name": None}])], "no valid name"),
        ([good([]), good([{"kind": "zone", "phase": "../settings"}])], "no valid phase"),
        ([good([]), good([{"kind": "zone", "phase": f"p{number}"} for number in range(70)])], "rulesets in 70 phases"),
        ([good([]), good([{"kind": "zone", "phase": "p"}]), good([])], "is not an object"),
        ([good([]), good([{"kind": "zone", "phase": "p"}]), good({"id": KEY, "rules": "x"})], "is not a list"),
        ([good([]), good([]), good({})], "is not a list"),
    ],
)
def test_contents_of_another_form_are_refused(answers: list[Answer], said: str) -> None:
    with reading(*answers) as (reader, _), pytest.raises(InvalidInput, match=said):
        zones.contents(reader, FACTS)


def test_a_phase_without_a_ruleset_is_no_error() -> None:
    with reading(failed(404)) as (reader, _):
        assert zones.entrypoint(reader, KEY, "http_ratelimit") is None
    with reading(failed(403)) as (reader, _), pytest.raises(Unauthorized):
        zones.entrypoint(reader, KEY, "http_ratelimit")
    with reading(failed(404)) as (reader, asked), pytest.raises(InvalidInput, match="is not the id of a zone"):
        zones.read(reader, "../accounts")
    assert not asked
