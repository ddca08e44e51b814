"""The provider's client refuses to be made for anything but loopback, and reads Cloudflare's refusals."""

import pytest

from factory.errors import Conflict, FactoryError, InvalidInput, NotFound, Refused, Unauthorized, Unreachable
from factory.local_cloudflare.provider.client import Cloudflare, Patience, require_loopback
from tests.local_cloudflare.double import Double
from tests.local_cloudflare.misbehaving import Deed, misbehaving


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


QUICK = Patience(answer=0.3, tries=3, first_pause=0.01, longest_pause=1.0)


class Asked:
    """A script that plays the same deeds for every request and counts what was asked."""

    def __init__(self, *deeds: Deed) -> None:
        self.deeds = deeds
        self.count = 0

    def __call__(self, _method: str, _path: str, number: int) -> Deed:
        self.count += 1
        return self.deeds[number - 1] if number <= len(self.deeds) else "pass"


def test_an_answer_that_is_not_cloudflares_is_an_error(shared: Double) -> None:
    with misbehaving(shared.api, Asked("html")) as url, pytest.raises(InvalidInput, match="not JSON"):
        Cloudflare(url, "local-writer").send("GET", "/zones")
    with pytest.raises(Unreachable, match=r"GET /zones: no answer from http://127.0.0.1:1: .*, tries: 3"):
        Cloudflare("http://127.0.0.1:1", "local-writer", QUICK).send("GET", "/zones")


@pytest.mark.parametrize("deed", ["429", "500", "hang", "reset", "drop_after"])
def test_a_request_that_can_be_repeated_is_tried_again(shared: Double, deed: Deed) -> None:
    asked = Asked(deed, deed)
    with misbehaving(shared.api, asked) as url:
        assert isinstance(Cloudflare(url, "local-writer", QUICK).send("GET", "/zones"), list)
    assert asked.count == 3


@pytest.mark.parametrize(("deed", "said"), [("429", "HTTP 429"), ("500", "HTTP 500"), ("reset", "no answer from")])
def test_after_some_tries_it_gives_up_and_says_so(shared: Double, deed: Deed, said: str) -> None:
    asked = Asked(*[deed] * 9)
    with misbehaving(shared.api, asked) as url, pytest.raises(Unreachable, match=rf"GET /zones: {said}.*, tries: 3"):
        Cloudflare(url, "local-writer", QUICK).send("GET", "/zones")
    assert asked.count == 3


def test_a_wait_that_is_too_long_is_not_waited_for(shared: Double) -> None:
    hurried = Patience(tries=3, longest_pause=0.5)
    asked = Asked("429")
    with (
        misbehaving(shared.api, asked) as url,
        pytest.raises(Unreachable, match=r"tries: 1; the server asks to wait 1 s"),
    ):
        Cloudflare(url, "local-writer", hurried).send("GET", "/zones")
    assert asked.count == 1


@pytest.mark.parametrize("deed", ["500", "hang", "reset", "drop_after"])
def test_a_create_whose_answer_is_lost_is_not_sent_again(shared: Double, deed: Deed) -> None:
    asked, name = Asked(deed), f"lost-{deed.replace('_', '-')}"
    path = f"/accounts/{'d' * 32}/cfd_tunnel"
    with misbehaving(shared.api, asked) as url, pytest.raises(Unreachable, match="it is unknown whether") as lost:
        Cloudflare(url, "local-writer", QUICK).send("POST", path, {"name": name})
    assert asked.count == 1
    assert "terraform import" in lost.value.hint
    assert len(shared.result("GET", f"{path}?name={name}")) == (1 if deed == "drop_after" else 0)


def test_a_create_that_was_refused_for_its_rate_is_sent_again(shared: Double) -> None:
    path = f"/accounts/{'d' * 32}/cfd_tunnel"
    with misbehaving(shared.api, Asked("429")) as url:
        assert Cloudflare(url, "local-writer", QUICK).send("POST", path, {"name": "limited"})["name"] == "limited"
    assert len(shared.result("GET", f"{path}?name=limited")) == 1


def test_a_token_that_is_not_taken_is_told_apart(shared: Double) -> None:
    Cloudflare(shared.api, "local-reader").require_active()
    with pytest.raises(Unauthorized, match="CLOUDFLARE_API_TOKEN is unknown or revoked"):
        Cloudflare(shared.api, "local-unknown").require_active()
