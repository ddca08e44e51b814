"""What an app asks for: read strictly, and given to Terraform as one variable."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factory.errors import InvalidInput
from factory.policies import apps
from factory.policies.apps import App

PLACES = b"environments: {staging: {hostname: a.test}, production: {hostname: www.a.test}}"
GOOD = PLACES + b"\nhealth: /version\nrequests_per_minute: 60\n"


def test_an_app_in_an_environment_is_a_hostname_and_a_release() -> None:
    found = apps.read({"apps/hello/app.yml": GOOD})
    assert found["hello"].health == "/version"
    value = json.loads(apps.variable(found, "production", {"hello": "hello-1"}))
    assert value == {"hello": {"hostname": "www.a.test", "release": "hello-1", "requests_per_minute": 60}}
    assert json.loads(apps.variable(found, "other", {"hello": "hello-1"})) == {}


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (b"health: /version", b"health: version", ":2: health"),
        (b"www.a.test", b"www.A.test", "environments.production.hostname"),
        (b"www.a.test", b"'*.a.test'", "environments.production.hostname"),
        (b"www.a.test", b"a.test", "environments.production.hostname: a.test already belongs to hello in staging"),
        (b"60", b"0", "requests_per_minute"),
        (b"health", b"helth", "helth"),
        (PLACES, b"environments: []", ":1: environ"),
        (b"health: /version", b"run: gunicorn", ":2: run"),
        (b"health: /version", b"limits: {memory_mb: 1}", ":2: limits.memory_mb"),
    ],
)
def test_what_is_refused(old: bytes, new: bytes, told: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        apps.read({"apps/hello/app.yml": GOOD.replace(old, new)})
    assert str(refused.value).startswith("apps/hello/app.yml:")
    assert told in str(refused.value)


@given(st.binary(max_size=60))
def test_any_bytes_are_refused_with_the_file_named_or_say_nothing(data: bytes) -> None:
    try:
        found = apps.read({"apps/a/app.yml": data})
    except InvalidInput as error:
        assert "apps/a/app.yml" in str(error)  # noqa: PT017 - most bytes are refused, but not all
    else:
        assert found == {"a": App()}
