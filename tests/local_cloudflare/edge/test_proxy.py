"""The edge routes by host as records and tunnels say, streams, and never leaves loopback."""

import contextlib
import socket
import subprocess
import threading
import uuid
from pathlib import Path

import pytest

from factory.local_cloudflare.edge.routes import Answer, Loopback, Route, Socket, route
from factory.local_cloudflare.store import Store
from tests.local_cloudflare.double import ACCOUNT, Double

ONE, TWO = "hello-aaaaaaaaaaaa", "hello-bbbbbbbbbbbb"


def socket_of(release: str) -> str:
    """Return the service of an ingress rule that leads to a release."""
    return f"unix:/run/factory/production/{release}.sock"


def fresh() -> str:
    return f"z{uuid.uuid4().hex[:12]}.test"


def test_traffic_moves_with_the_configuration(shared: Double) -> None:
    zone = fresh()
    for name in (ONE, TWO):
        shared.release(name)
    ids = shared.serve_host(zone, socket_of(ONE))
    assert shared.visit(f"www.{zone}", "/a?b=%2F").text == f"{ONE} /a?b=%2F"
    shared.configure(ids["tunnel"], f"www.{zone}", socket_of(TWO))
    answer = shared.visit(f"WWW.{zone}.:80")
    assert answer.text == f"{TWO} /"
    assert answer.headers["Server"] == "local-cloudflare"
    assert answer.headers["X-Local-Cloudflare"] == "double"
    assert answer.headers["CF-Ray"] == answer.headers["Seen-CF-Ray"]


def test_the_sockets_of_a_host_are_the_releases(shared: Double) -> None:
    zone, name = fresh(), "hello-" + "0123456789" * 4
    shared.release(name)
    ids = shared.serve_host(zone, f"unix:/run/factory/production/{name[:18]}.sock")
    assert shared.visit(f"www.{zone}", "/a").text == f"{name} /a"
    shared.configure(ids["tunnel"], f"www.{zone}", f"unix:/run/factory/production/{name[:18]}.release.sock")
    assert shared.visit(f"www.{zone}", "/anything").json() == {"release": name}
    shared.configure(ids["tunnel"], f"www.{zone}", "unix:/run/factory/production/hello-ffffffffffff.sock")
    assert shared.visit(f"www.{zone}").status == 502


def test_headers_of_one_hop_do_not_pass(shared: Double) -> None:
    zone = fresh()
    shared.release(ONE)
    shared.serve_host(zone, socket_of(ONE))
    sent = {"Connection": "X-Mine", "X-Mine": "1", "TE": "trailers", "X-Theirs": "2", "X-Forwarded-For": "192.0.2.9"}
    seen = shared.visit(f"www.{zone}", headers=sent).headers
    assert seen["Seen-X-Theirs"] == "2"
    assert seen["Seen-Host"] == f"www.{zone}"
    assert seen["Seen-X-Forwarded-For"] == "192.0.2.9, 127.0.0.1"
    assert not {"Seen-X-Mine", "Seen-TE", "X-Hop", "Content-Type"} & set(seen)


def test_a_large_body_goes_through_whole(shared: Double) -> None:
    zone = fresh()
    shared.release(ONE)
    shared.serve_host(zone, socket_of(ONE))
    body = bytes(range(256)) * 4 * 4096
    assert shared.visit(f"www.{zone}", method="POST", data=body).body == body


def test_a_path_with_two_slashes_stays_on_its_host(shared: Double) -> None:
    zone = fresh()
    shared.release(ONE)
    shared.serve_host(zone, socket_of(ONE))
    with socket.create_connection(("127.0.0.1", shared.edge_port)) as wire:
        wire.sendall(f"GET //192.0.2.1/x HTTP/1.1\r\nHost: www.{zone}\r\nConnection: close\r\n\r\n".encode())
        said = wire.makefile("rb").read().decode()
    assert said.endswith(f"{ONE} /192.0.2.1/x"), "its http.server makes one slash of two"


@pytest.mark.parametrize("host", ["nowhere.test", "localhost", "", "[::1]", "a b", "é"])
def test_an_unknown_host_is_told_that_this_is_a_double(shared: Double, host: str) -> None:
    with socket.create_connection(("127.0.0.1", shared.edge_port)) as wire:
        wire.sendall(f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        said = wire.makefile("rb").read().decode()
    assert said.startswith("HTTP/1.1 530")
    assert "Error 1016" in said
    assert "not Cloudflare" in said


def test_a_service_that_is_not_there_is_a_bad_gateway(shared: Double) -> None:
    zone = fresh()
    ids = shared.serve_host(zone, socket_of("hello-ffffffffffff"))
    assert "the service did not answer" in shared.visit(f"www.{zone}").text
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    shared.configure(ids["tunnel"], f"www.{zone}", f"http://127.0.0.1:{port}")
    assert shared.visit(f"www.{zone}").status == 502


def test_an_answer_that_breaks_off_does_not_look_whole(shared: Double) -> None:
    zone = fresh()
    with socket.create_server(("127.0.0.1", 0)) as origin:
        thread = threading.Thread(target=break_off, args=(origin,))
        thread.start()
        shared.serve_host(zone, f"http://127.0.0.1:{origin.getsockname()[1]}")
        with socket.create_connection(("127.0.0.1", shared.edge_port)) as wire:
            wire.sendall(f"GET / HTTP/1.1\r\nHost: www.{zone}\r\n\r\n".encode())
            said = read_all(wire)
        thread.join()
    assert b"Content-Length: 100" in said
    assert said.endswith(b"half")


def read_all(wire: socket.socket) -> bytes:
    said = b""
    with contextlib.suppress(ConnectionResetError):
        while block := wire.recv(4096):
            said += block
    return said


def test_curl_sees_the_release_and_its_status_without_a_body(shared: Double) -> None:
    zone = fresh()
    name = f"hello-{uuid.uuid4().hex[:12]}"
    shared.release(name)
    shared.serve_host(zone, socket_of(name))
    host = f"www.{zone}:{shared.edge_port}"
    base = ["curl", "-sS", "--noproxy", "*", "--max-time", "10", "--resolve", f"{host}:127.0.0.1"]
    assert subprocess.run([*base, f"http://{host}/x"], capture_output=True, check=True).stdout.decode() == f"{name} /x"
    head = subprocess.run([*base, "-I", f"http://{host}/x"], capture_output=True, check=True).stdout.decode()
    assert head.startswith("HTTP/1.1 200")
    big = subprocess.run(
        [*base, "-H", "Expect: 100-continue", "--data-binary", "x" * 5000, f"http://{host}/"],
        capture_output=True,
        check=True,
    )
    assert big.stdout == b"x" * 5000


def break_off(origin: socket.socket) -> None:
    wire, _ = origin.accept()
    with wire:
        wire.recv(4096)
        wire.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "state.sqlite3")


def put(
    store: Store, record: dict[str, object], rules: list[dict[str, str]] | None = None, *, remote: bool = True
) -> None:
    with store.transaction():
        full = {"type": "CNAME", "content": "t.cfargotunnel.com", "proxied": True} | record
        store.put("dns_record", "r", full, name=str(full["name"]))
        store.put("tunnel", "t", {"id": "t", "account_tag": ACCOUNT, "deleted_at": None, "remote_config": remote})
        if rules:
            store.put("configuration", "t", {"config": {"ingress": rules}})


@pytest.mark.parametrize(
    ("service", "expected"),
    [
        ("unix:/run/factory/production/hello-abc123456789.sock", Socket("production/hello-abc123456789.sock")),
        ("unix:/run/factory/x/hello-abc123456789.release.sock", Socket("x/hello-abc123456789.release.sock")),
        ("http://127.0.0.1:8080", Loopback("127.0.0.1", 8080)),
        ("http://localhost:8080", Loopback("127.0.0.1", 8080)),
        ("http://[::1]:8080", Loopback("[::1]", 8080)),
        ("http_status:404", Answer(404, "the ingress rule answers http_status:404")),
    ],
)
def test_a_service_is_a_socket_of_a_host_a_loopback_port_or_a_status(
    store: Store, service: str, expected: Route
) -> None:
    put(store, {"name": "www.hello.test"}, [{"service": service}])
    assert route(store, "www.hello.test", "/") == expected


@pytest.mark.parametrize(
    "service",
    [
        "unix:/run/factory/production/hello.sock",
        "unix:/run/factory/../hello-abc123456789.sock",
        "unix:/run/factory/hello-abc123456789.sock",
        "unix:/run/factory/production/x/hello-abc123456789.sock",
        "unix:/srv/production/hello-abc123456789.sock",
        "http://hello-abc1234",
        "unix:hello-abc123456789.sock",
        "unix:/hello-abc123456789.sock",
        "unix:/run/hello-abc123456789.other.sock",
        "unix:/run/hello-abc123456789.sock\n",
        "http://192.0.2.1:80",
        "http://example.com",
        "https://127.0.0.1:8443",
        "http://127.0.0.1@192.0.2.1:80",
        "http://user@hello-abc1234",
        "http://hello-abc1234:80",
        "http://hello-abc1234/path",
        "ssh://127.0.0.1:22",
        "unix:/run/x.sock",
        "http://[oops",
        "http://127.0.0.1:99999",
        "http://127.0.0.1:0",
        "http://127.0.0.1:80\n",
        "hello_world",
    ],
)
def test_no_service_leaves_loopback(store: Store, service: str) -> None:
    put(store, {"name": "www.hello.test"}, [{"service": service}])
    found = route(store, "www.hello.test", "/")
    assert isinstance(found, Answer)
    assert found.status == 502


@pytest.mark.parametrize(
    ("record", "code"),
    [
        ({"name": "other.test"}, 1016),
        ({"name": "www.hello.test", "proxied": False}, 1016),
        ({"name": "www.hello.test", "type": "A", "content": "192.0.2.1"}, 1016),
        ({"name": "www.hello.test", "content": "gone.cfargotunnel.com"}, 1033),
    ],
)
def test_a_host_without_a_tunnel_is_an_error_of_the_edge(store: Store, record: dict[str, object], code: int) -> None:
    put(store, record, [{"service": "http_status:204"}])
    found = route(store, "www.hello.test", "/")
    assert isinstance(found, Answer)
    assert (found.status, found.code) == (530, code)


def test_the_first_rule_that_matches_serves(store: Store) -> None:
    rules = [
        {"hostname": "www.hello.test", "path": "^/api/", "service": socket_of("hello-aaaaaaaaaaaa")},
        {"hostname": "*.hello.test", "service": socket_of("hello-bbbbbbbbbbbb")},
        {"service": "http_status:404"},
    ]
    put(store, {"name": "*.hello.test"}, rules)
    assert route(store, "www.hello.test", "/api/x") == Socket("production/hello-aaaaaaaaaaaa.sock")
    assert route(store, "www.hello.test", "/x") == Socket("production/hello-bbbbbbbbbbbb.sock")
    assert route(store, "api.hello.test", "/api/x") == Socket("production/hello-bbbbbbbbbbbb.sock")
    assert isinstance(route(store, "hello.test", "/"), Answer)


@pytest.mark.parametrize(("rules", "remote"), [(None, True), ([{"service": "http_status:200"}], False)])
def test_a_tunnel_without_rules_here_is_unavailable(
    store: Store, rules: list[dict[str, str]] | None, *, remote: bool
) -> None:
    put(store, {"name": "www.hello.test"}, rules, remote=remote)
    found = route(store, "www.hello.test", "/")
    assert isinstance(found, Answer)
    assert found.status == 503
