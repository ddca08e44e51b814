"""The API answers as Cloudflare's does: envelope, tokens, codes, validation."""

import re
import uuid
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.local_cloudflare.double import ACCOUNT, Double

TUNNELS = f"/accounts/{ACCOUNT}/cfd_tunnel"
CATCH_ALL = {"service": "http_status:404"}


def fresh() -> str:
    return f"z{uuid.uuid4().hex[:12]}.test"


def zone(shared: Double, name: str | None = None) -> dict[str, Any]:
    made: dict[str, Any] = shared.result("POST", "/zones", json={"name": name or fresh(), "account": {"id": ACCOUNT}})
    return made


def code(answer: Any) -> tuple[int, int]:
    body = answer.json()
    assert body["success"] is False
    assert body["result"] is None
    return answer.status, body["errors"][0]["code"]


def test_a_success_has_the_whole_envelope_and_says_what_it_is(shared: Double) -> None:
    answer = shared.call("GET", "/zones?name=nothing.test")
    assert answer.json() == {
        "success": True,
        "errors": [],
        "messages": [],
        "result": [],
        "result_info": {"page": 1, "per_page": 100, "count": 0, "total_count": 0, "total_pages": 0},
    }
    assert answer.headers["X-Local-Cloudflare"] == "double"
    assert answer.headers["Server"] == "local-cloudflare"


@pytest.mark.parametrize(
    ("token", "method", "path", "expected"),
    [
        (None, "GET", "/zones", (401, 10000)),
        ("local-unknown", "GET", "/zones", (403, 10000)),
        ("local-reader", "POST", "/zones", (403, 10000)),
        ("local-reader", "PUT", "releases/hello-aaaaaaa", (403, 10000)),
        ("local-unknown", "GET", "/user/tokens/verify", (401, 1000)),
        ("local-writer", "GET", "/zones/not-an-id", (404, 7003)),
        ("local-writer", "PUT", "/zones", (404, 7003)),
        ("local-writer", "GET", "/accounts/x/r2/buckets", (404, 7003)),
    ],
)
def test_a_refusal_has_cloudflares_code(
    shared: Double, token: str | None, method: str, path: str, expected: tuple[int, int]
) -> None:
    answer = shared.call(method, path, token=token, json={})
    assert code(answer) == expected
    assert answer.headers["X-Local-Cloudflare"] == "double"


def test_an_unknown_route_says_where_it_went_and_logs_a_line(shared: Double) -> None:
    answer = shared.call("GET", "/accounts/x/r2/buckets")
    errors = answer.json()["errors"]
    assert "Could not route to /client/v4/accounts/x/r2/buckets" in errors[0]["message"]
    assert errors[1] == {"code": 7000, "message": "No route for that URI"}
    assert "local_cloudflare.unknown_route" in shared.log()


def test_verify_tells_a_good_token(shared: Double) -> None:
    answer = shared.call("GET", "/user/tokens/verify", token="local-reader").json()
    assert answer["result"]["status"] == "active"
    assert answer["messages"][0]["message"] == "This API Token is valid and active"


@pytest.mark.parametrize("body", [b"{", b"[]", b"", b"\xff", b'{"ttl": NaN}', b'{"name": "\\ud800"}', b"[" * 100_000])
def test_a_body_that_is_no_object_is_refused(shared: Double, body: bytes) -> None:
    assert code(shared.call("POST", "/zones", data=body)) == (400, 6007)


def test_a_zone_lives_and_goes(shared: Double) -> None:
    made = zone(shared)
    path = f"/zones/{made['id']}"
    assert re.fullmatch("[0-9a-f]{32}", made["id"])
    assert shared.result("GET", "/zones", params={"name": made["name"]}) == [made]
    assert shared.result("PATCH", path, json={"paused": True})["paused"] is True
    assert shared.result("GET", path)["paused"] is True
    shared.result("POST", f"{path}/dns_records", json={"type": "A", "name": "@", "content": "192.0.2.1"})
    assert shared.result("DELETE", path) == {"id": made["id"]}
    assert code(shared.call("GET", path)) == (404, 1001)
    assert code(shared.call("GET", f"{path}/dns_records")) == (404, 1001)
    zone(shared, made["name"])


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"name": "no spaces.test", "account": {"id": ACCOUNT}}, (400, 1049)),
        ({"account": {"id": ACCOUNT}}, (400, 1049)),
        ({"name": "fine.test"}, (400, 1001)),
        ({"name": "fine.test", "account": {"id": ACCOUNT}, "type": ["full"]}, (400, 1004)),
    ],
)
def test_a_bad_zone_is_refused(shared: Double, body: dict[str, Any], expected: tuple[int, int]) -> None:
    assert code(shared.call("POST", "/zones", json=body)) == expected


def test_a_zone_exists_once(shared: Double) -> None:
    made = zone(shared)
    again = shared.call("POST", "/zones", json={"name": made["name"].upper(), "account": {"id": ACCOUNT}})
    assert code(again) == (400, 1061)


def test_lists_come_in_pages(shared: Double) -> None:
    path = f"/zones/{zone(shared)['id']}/dns_records"
    for number in range(3):
        shared.result("POST", path, json={"type": "A", "name": f"n{number}", "content": "192.0.2.1"})
    answer = shared.call("GET", f"{path}?per_page=2&page=2").json()
    assert [record["name"][:2] for record in answer["result"]] == ["n2"]
    assert answer["result_info"] == {"page": 2, "per_page": 2, "count": 1, "total_count": 3, "total_pages": 2}


def test_a_record_lives_and_goes(shared: Double) -> None:
    made = zone(shared)
    path = f"/zones/{made['id']}/dns_records"
    record = shared.result(
        "POST", path, json={"type": "CNAME", "name": "www", "content": "Target.test.", "proxied": True, "ttl": 300}
    )
    one = f"{path}/{record['id']}"
    assert (record["name"], record["content"]) == (f"www.{made['name']}", "target.test")
    assert record["ttl"] == 1, "a proxied record's ttl is automatic"
    assert shared.result("PATCH", one, json={"comment": "moved"})["proxied"] is True
    put = shared.result("PUT", one, json={"type": "A", "name": "www", "content": "192.0.2.1", "ttl": 300})
    assert (put["id"], put["type"], put["proxied"], put["ttl"], put["comment"]) == (
        record["id"],
        "A",
        False,
        300,
        None,
    )
    assert shared.result("GET", path, params={"type": "A", "name": f"www.{made['name']}"}) == [put]
    assert shared.result("GET", path, params={"type": "CNAME"}) == []
    assert shared.result("DELETE", one) == {"id": record["id"]}
    assert code(shared.call("GET", one)) == (404, 81044)


def test_a_record_of_another_zone_is_not_found(shared: Double) -> None:
    one, other = zone(shared), zone(shared)
    record = shared.result(
        "POST", f"/zones/{one['id']}/dns_records", json={"type": "A", "name": "@", "content": "192.0.2.1"}
    )
    assert code(shared.call("DELETE", f"/zones/{other['id']}/dns_records/{record['id']}")) == (404, 81044)


def test_a_bad_record_is_refused_and_leaves_nothing(shared: Double) -> None:
    path = f"/zones/{zone(shared)['id']}/dns_records"
    record = {"type": "A", "name": "www", "content": "192.0.2.1"}
    assert code(shared.call("POST", path, json=record | {"ttl": 2})) == (400, 9021)
    assert shared.result("GET", path) == []
    shared.result("POST", path, json=record)
    assert code(shared.call("POST", path, json=record)) == (400, 81058)
    cname = {"type": "CNAME", "name": "www", "content": "other.test"}
    assert code(shared.call("POST", path, json=cname)) == (400, 81053)


def test_a_tunnel_is_deleted_softly(shared: Double) -> None:
    name = uuid.uuid4().hex
    tunnel = shared.result("POST", TUNNELS, json={"name": name, "config_src": "cloudflare"})
    assert uuid.UUID(tunnel["id"]).version == 4
    assert tunnel["remote_config"] is True
    assert code(shared.call("POST", TUNNELS, json={"name": name})) == (409, 1013)
    one = f"{TUNNELS}/{tunnel['id']}"
    assert shared.result("PATCH", one, json={"name": f"{name}-2"})["name"] == f"{name}-2"
    assert shared.result("DELETE", one)["deleted_at"]
    assert shared.result("GET", one)["deleted_at"]
    assert code(shared.call("DELETE", one)) == (404, 1003)
    assert shared.result("GET", f"{TUNNELS}?name={name}-2&is_deleted=false") == []
    assert len(shared.result("GET", f"{TUNNELS}?name={name}-2")) == 1
    shared.result("POST", TUNNELS, json={"name": f"{name}-2"})


def test_a_tunnel_belongs_to_its_account(shared: Double) -> None:
    tunnel = shared.result("POST", TUNNELS, json={"name": uuid.uuid4().hex})
    other = f"/accounts/{'f' * 32}/cfd_tunnel/{tunnel['id']}"
    assert code(shared.call("GET", other)) == (404, 1003)


@pytest.mark.parametrize("secret", ["short", "AQID", "\x80", 7])
def test_a_weak_tunnel_secret_is_refused(shared: Double, secret: object) -> None:
    body = {"name": uuid.uuid4().hex, "tunnel_secret": secret}
    assert code(shared.call("POST", TUNNELS, json=body)) == (400, 1001)


def test_a_configuration_counts_its_versions(shared: Double) -> None:
    tunnel = shared.result("POST", TUNNELS, json={"name": uuid.uuid4().hex})
    path = f"{TUNNELS}/{tunnel['id']}/configurations"
    assert shared.result("GET", path)["config"] is None
    config = {"ingress": [{"hostname": "www.hello.test", "service": "http://hello-1"}, CATCH_ALL]}
    assert shared.result("PUT", path, json={"config": config})["version"] == 1
    assert shared.result("PUT", path, json={"config": config})["version"] == 2
    assert shared.result("GET", path)["config"] == config
    assert shared.result("GET", f"{TUNNELS}/{tunnel['id']}")["config_src"] == "local"


@pytest.mark.parametrize(
    "config",
    [
        None,
        {},
        {"ingress": []},
        {"ingress": ["x"]},
        {"ingress": [{"hostname": "www.hello.test"}, CATCH_ALL]},
        {"ingress": [{"hostname": "www.hello.test", "service": "http://hello-1"}]},
        {"ingress": [CATCH_ALL, CATCH_ALL]},
        {"ingress": [{"hostname": ["www"], "service": "http://hello-1"}, CATCH_ALL]},
        {"ingress": [{"service": "http://hello-1", "path": "/", "originRequest": "x"}, CATCH_ALL]},
        {"ingress": [{"path": "(", "service": "http://hello-1"}, CATCH_ALL]},
    ],
)
def test_a_bad_configuration_is_refused(shared: Double, config: object) -> None:
    tunnel = shared.result("POST", TUNNELS, json={"name": uuid.uuid4().hex})
    answer = shared.call("PUT", f"{TUNNELS}/{tunnel['id']}/configurations", json={"config": config})
    assert code(answer) == (400, 1056)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from(["A", "CNAME", "www", "a.test"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)
FIELDS = (
    *("name", "account", "type", "ttl", "content", "proxied", "priority"),
    *("comment", "tags", "paused", "config_src", "tunnel_secret"),
)
RULE = st.fixed_dictionaries({}, optional=dict.fromkeys(("hostname", "path", "service", "originRequest"), JSON))
CONFIG = st.fixed_dictionaries({"ingress": st.lists(RULE | JSON, max_size=3)}) | JSON
BODY = st.fixed_dictionaries({}, optional=dict.fromkeys(FIELDS, JSON) | {"config": CONFIG})


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(body=BODY)
def test_no_body_breaks_the_server(shared: Double, body: dict[str, Any]) -> None:
    """Every JSON object is either taken or refused with a code."""
    zone_id = shared.fixed("zone", lambda: zone(shared)["id"])
    tunnel = shared.fixed("tunnel", lambda: shared.result("POST", TUNNELS, json={"name": "fixed"})["id"])
    for method, path in (
        ("POST", "/zones"),
        ("PATCH", f"/zones/{zone_id}"),
        ("POST", f"/zones/{zone_id}/dns_records"),
        ("POST", TUNNELS),
        ("PATCH", f"{TUNNELS}/{tunnel}"),
        ("PUT", f"{TUNNELS}/{tunnel}/configurations"),
    ):
        answer = shared.call(method, path, json=body)
        assert answer.status in {200, 400, 409}, (method, path, body, answer.text)
        assert answer.json()["success"] is (answer.status == 200)
