"""What is adopted and what is not: from values alone."""

import pytest

from factory.errors import Conflict, InvalidInput, Refused
from factory.model.cloudflare import CUSTOM, RATE_LIMIT, Record, Rule, Ruleset, ZoneContents, ZoneFacts
from factory.operations.zone import adoption
from factory.policies.apps import App
from factory.system import hcl
from tests.servers import ROOT

ZONE = ZoneFacts("a" * 32, "acme.com", "b" * 32, "pro")
ROOTS = {name: (ROOT / f"terraform/live/{name}/zone.tf").read_text() for name in ("production", "staging")}
OTHER = Rule("1" * 32, "1" * 32, "theirs", "ssl")


def app(**hostnames: str) -> App:
    places = {name: {"hostname": hostname} for name, hostname in hostnames.items()}
    return App.model_validate({"environments": places, "health": "/version", "requests_per_minute": 300})


APPS = {"hello": app(production="www.acme.com", staging="www-staging.acme.com")}


def record(name: str, kind: str = "A", content: str = "192.0.2.1", key: str = "c") -> Record:
    return Record(key * 32, name, kind, content)


def decide(
    *records: Record,
    rulesets: tuple[Ruleset, ...] = (),
    plan: str = "pro",
    apps: dict[str, App] = APPS,
    roots: dict[str, str] = ROOTS,
    environments: tuple[str, ...] = ("production", "staging"),
) -> adoption.Adoption:
    zone = ZoneFacts(ZONE.id, ZONE.name, ZONE.account, plan)
    found = ZoneContents(zone, records, rulesets, ("ssl",))
    return adoption.decide(found, apps, roots, environments, owner="production")


def zone_of(found: adoption.Adoption, environment: str) -> dict[str, object]:
    """Return what the written zone.tf says of its zone."""
    text = found.changes[f"terraform/live/{environment}/zone.tf"].decode()
    (block,) = [item for item in hcl.parse(text) if item.kind == "locals"]
    value: dict[str, object] = block.body["zone"]
    return value


def test_one_root_has_the_rules_and_every_root_a_tunnel() -> None:
    found = decide()
    assert [(root.environment, root.tunnel, len(root.left_out)) for root in found.roots] == [
        ("production", "acme.com-production", 0),
        ("staging", "acme.com-staging", 2),
    ]
    assert zone_of(found, "production")["custom_rules"] is True
    assert zone_of(found, "staging")["rate_limited"] is False
    assert all(zone_of(found, name)["settings"] == {} for name in ROOTS)
    assert set(found.changes) == {f"terraform/live/{name}/zone.tf" for name in ROOTS}


def test_a_phase_with_rules_of_others_is_left_to_them() -> None:
    found = decide(rulesets=(Ruleset("d" * 32, CUSTOM, (OTHER,)), Ruleset("e" * 32, RATE_LIMIT, ())))
    assert list(found.roots[0].left_out) == [CUSTOM]
    assert [item.id for item in found.roots[0].imports] == [f"zones/{ZONE.id}/{'e' * 32}"]
    assert found.rules == {CUSTOM: 1}


@pytest.mark.parametrize(("plan", "left_out"), [("free", [RATE_LIMIT]), ("pro", []), ("", [])])
def test_a_plan_without_limits_by_hostname_has_none(plan: str, left_out: list[str]) -> None:
    assert list(decide(plan=plan).roots[0].left_out) == left_out


def test_more_apps_than_the_plan_has_rules() -> None:
    many = {f"app{number}": app(production=f"app{number}.acme.com") for number in range(3)}
    assert "3 rules, but at most 2" in decide(apps=many).roots[0].left_out[RATE_LIMIT]


def test_a_record_at_a_hostname_becomes_ours_and_no_other() -> None:
    beside = (record("acme.com"), record("mail.acme.com"), record("www.acme.com", "TXT", "x", key="d"))
    (imported,) = decide(record("www.acme.com"), *beside).roots[0].imports
    assert imported.id == f"{ZONE.id}/{'c' * 32}"
    text = decide(record("www.acme.com", "CNAME", "old.example\n}\x1b[0m{")).changes[
        "terraform/live/production/imports.tf"
    ]
    assert [item.kind for item in hcl.parse(text.decode())] == ["import"]


@pytest.mark.parametrize(
    "records",
    [
        (record("www.acme.com"), record("www.acme.com", "AAAA", "2001:db8::1")),
        (record("www.acme.com"), record("www.acme.com", "A", "192.0.2.2")),
        (record("www.acme.com", "NS", "ns1.example"),),
    ],
)
def test_a_hostname_that_leads_to_more_is_left_to_a_person(records: tuple[Record, ...]) -> None:
    with pytest.raises(Conflict, match=f"www.acme.com has {len(records)} records"):
        decide(*records)


@pytest.mark.parametrize("hostname", ["acme.com", "www.acme.org", "wwwacme.com"])
def test_a_hostname_outside_the_zone_is_refused(hostname: str) -> None:
    with pytest.raises(InvalidInput, match=r"apps/hello/app.yml: the hostname .* is not below acme.com"):
        decide(apps={"hello": app(production=hostname)})


def test_a_root_that_has_the_zone_is_left_as_it_is() -> None:
    once = {name: decide().changes[f"terraform/live/{name}/zone.tf"].decode() for name in ROOTS}
    assert decide(roots={**ROOTS, "staging": once["staging"]}).changes.keys() == {"terraform/live/production/zone.tf"}
    assert decide(roots=once).changes == {}
    other = {name: text.replace(ZONE.id, "9" * 32) for name, text in once.items()}
    with pytest.raises(Conflict, match=f"has the zone {'9' * 32}"):
        decide(roots=other)


def test_a_zone_that_a_root_creates_is_not_adopted() -> None:
    creating = ROOTS["staging"].replace("hello-staging.test", "acme.com")
    with pytest.raises(Refused, match=r"terraform/live/staging creates the zone acme\.com itself"):
        decide(roots={**ROOTS, "staging": creating}, environments=("production",))
    with pytest.raises(Conflict, match="was changed by hand"):
        decide(roots={**ROOTS, "staging": "locals {}\n"})
    with pytest.raises(InvalidInput, match=r"terraform/live/review/zone.tf does not exist"):
        decide(environments=("review",))
