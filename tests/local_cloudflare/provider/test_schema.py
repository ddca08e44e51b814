"""The double promises nothing that Cloudflare's provider 5.14.0 does not have."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from factory.local_cloudflare.provider.provider import VERSION, Provider
from factory.local_cloudflare.provider.types import Attribute, Object, is_set
from factory.local_cloudflare.provider.zone_data import ZoneData

REAL = json.loads(Path(__file__).with_name("provider_5_14_0.json").read_text())
DOUBLE = {f"cloudflare_{kind.get_name()}": kind.attributes for kind in Provider({}).get_resources()}


def names(attributes: Sequence[Attribute], prefix: str = "") -> Iterator[tuple[str, str]]:
    for each in attributes:
        yield prefix + each.name, "required" if each.required else "optional" if each.optional else "computed"
        nested = each.type if isinstance(each.type, Object) else getattr(each.type, "element_type", None)
        if isinstance(nested, Object):
            yield from names(nested.attributes, f"{prefix}{each.name}.")


def sets(attributes: Sequence[Attribute], prefix: str = "") -> Iterator[str]:
    for each in attributes:
        if is_set(each.type):
            yield prefix + each.name
        nested = each.type if isinstance(each.type, Object) else getattr(each.type, "element_type", None)
        if isinstance(nested, Object):
            yield from sets(nested.attributes, f"{prefix}{each.name}.")


def test_the_version_is_the_real_one() -> None:
    assert REAL["version"] == VERSION


@pytest.mark.parametrize("kind", DOUBLE)
def test_every_attribute_is_one_of_the_real_provider(kind: str) -> None:
    real = REAL["resources"][kind]
    assert {name: real.get(name) for name, _ in names(DOUBLE[kind])} == dict(names(DOUBLE[kind]))


@pytest.mark.parametrize("kind", DOUBLE)
def test_no_required_attribute_is_missing(kind: str) -> None:
    """Else a root that the double takes would be refused by the real provider."""
    have = dict(names(DOUBLE[kind]))
    for name, how in REAL["resources"][kind].items():
        parent = name.rpartition(".")[0]
        if how == "required" and (not parent or parent in have):
            assert have.get(name) == "required", name


@pytest.mark.parametrize("kind", DOUBLE)
def test_sets_are_sets(kind: str) -> None:
    """A set has no order: where the real provider has one, a list would show differences that are none."""
    have = {f"{kind}.{name}" for name in sets(DOUBLE[kind])}
    real = {name for name in REAL["sets"] if name.startswith(f"{kind}.")}
    assert have == real


def test_the_data_source_is_the_real_one() -> None:
    real, have = REAL["data_sources"]["cloudflare_zone"], dict(names(ZoneData.attributes))
    assert {name: real.get(name) for name in have} == have
    assert [kind.get_name() for kind in Provider({}).get_data_sources()] == ["zone"]


def test_the_provider_block_is_the_real_one() -> None:
    schema = Provider({}).get_provider_schema(None)
    assert {each.name for each in schema.attributes} <= set(REAL["provider"])
