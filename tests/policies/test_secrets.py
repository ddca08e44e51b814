"""``secrets.yml``: who may read which secret, and what is refused when it is read."""

import re

import pytest

from factory.model.secret import SecretLocation
from factory.policies import read
from tests.policies.shipped import FILES

TEXT = """provider: openbao
address: https://bao.example:8200
audience: factory
secrets:
  plan-token: {variable: PLAN_TOKEN, rotate_days: 30}
  apply-token: {variable: APPLY_TOKEN, environments: [production], rotate_days: 30}
"""


def problems(text: str) -> list[str]:
    return read.check(FILES | {"policies/secrets.yml": text.encode()})


def test_a_job_reads_what_is_for_it() -> None:
    found = read.read(FILES | {"policies/secrets.yml": TEXT.encode()}).secrets
    assert found.places() == (SecretLocation("plan-token", "plan/plan-token", "PLAN_TOKEN"),)
    assert found.places("production") == (SecretLocation("apply-token", "apply/production/apply-token", "APPLY_TOKEN"),)
    assert found.places("staging") == ()


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("openbao", "vault", "secrets.yml:1: provider"),
        ("https://", "http://", "secrets.yml:2: address"),
        ("[production]", "[produktion]", "secrets.yml:6: .*produktion.*did you mean production"),
        ("PLAN_TOKEN", "plan token", "secrets.yml:5"),
        ("rotate_days: 30}\n  apply", "rotate_days: 0}\n  apply", "secrets.yml:5"),
        ("plan-token: {variable", "plan-token: {value: x, variable", "secrets.yml:5: .*value"),
        (", environments: [production]", ", environments: []", ""),
    ],
)
def test_what_is_refused(old: str, new: str, told: str) -> None:
    assert old in TEXT
    found = problems(TEXT.replace(old, new))
    assert len(found) == (1 if told else 0), found
    if told:
        assert re.search(told, found[0]), found[0]


def test_two_secrets_have_two_variables() -> None:
    found = problems(TEXT.replace("APPLY_TOKEN, environments: [production]", "PLAN_TOKEN"))
    assert len(found) == 1
    assert "already holds the secret plan-token" in found[0]
