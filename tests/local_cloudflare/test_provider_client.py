"""The provider's client refuses to be made for anything but loopback, and reads Cloudflare's refusals."""

import pytest

from factory.errors import Conflict, FactoryError, InvalidInput, NotFound, Refused, Unauthorized, Unreachable
from factory.local_cloudflare.provider_client import Cloudflare, require_loopback
from tests.local_cloudflare.double import Double


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8080/client/v4", "http://localhost:1/client/v4", "http://[::1]:1", "http://127.1.2.3"]
)
def test_loopback_is_taken(url: str) -> None:
    assert require_loopback(url) == url


@pytest.mark.parametrize(
    "url",
    [
        None,
        "",
        "https://api.cloudflare.com/client/v4",
        "http://127.0.0.1.example.com/",
        "http://127.0.0.1@192.0.2.1/",
        "http://192.0.2.1\\@127.0.0.1/",
        "http://192.0.2.1#@127.0.0.1/",
        "http://localhost.example.com/",
        "http://0.0.0.0:80/",
        "//127.0.0.1/",
        "http://127.0.0.1:80/ ",
        "http://127.0.0.1:80/\n",
    ],
)
def test_everything_else_is_refused(url: str | None) -> None:
    with pytest.raises(Refused, match="loopback double"):
        Cloudflare(url, "local-writer")


def test_a_token_is_needed_and_must_be_the_doubles_own() -> None:
    with pytest.raises(Unauthorized, match="CLOUDFLARE_API_TOKEN is not set"):
        Cloudflare("http://127.0.0.1:1", None)
    with pytest.raises(Refused, match="looks like a real"):
        Cloudflare("http://127.0.0.1:1", "A1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q7r8-_s9")


@pytest.mark.parametrize(
    ("token", "method", "path", "family"),
    [
        ("local-reader", "POST", "/zones", Unauthorized),
        ("local-unknown", "GET", "/zones", Unauthorized),
        ("local-writer", "GET", f"/zones/{'0' * 32}", NotFound),
        ("local-writer", "POST", "/zones", InvalidInput),
    ],
)
def test_a_refusal_becomes_one_of_our_errors(
    shared: Double, token: str, method: str, path: str, family: type[FactoryError]
) -> None:
    with pytest.raises(family, match=rf"{method} {path}: HTTP 4\d\d: \d+ "):
        Cloudflare(shared.api, token).send(method, path, {} if method == "POST" else None)


def test_a_name_that_is_taken_is_a_conflict(shared: Double) -> None:
    client, path = Cloudflare(shared.api, "local-writer"), f"/accounts/{'c' * 32}/cfd_tunnel"
    client.send("POST", path, {"name": "taken"})
    with pytest.raises(Conflict, match="1013 You already have a tunnel with this name"):
        client.send("POST", path, {"name": "taken"})


def test_an_answer_that_is_not_cloudflares_is_an_error(shared: Double) -> None:
    with pytest.raises(InvalidInput):
        Cloudflare(f"http://127.0.0.1:{shared.edge_port}", "local-writer").send("GET", "/zones")
    with pytest.raises(Unreachable):
        Cloudflare("http://127.0.0.1:1", "local-writer").send("GET", "/zones")
