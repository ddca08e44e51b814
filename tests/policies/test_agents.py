"""What ``agents.yml`` may say about an agent's model and login."""

from collections.abc import Mapping
from typing import Any

import pytest
from pydantic import ValidationError

from factory.policies.agents import Agent, Budgets
from tests.policies.shipped import POLICIES

CODEX = {"api": "responses", "url": "https://chatgpt.com/backend-api/codex", "login": "subscription"}
CLAUDE = {"api": "messages", "url": "https://api.anthropic.com", "login": "subscription"}
OPENAI = {"api": "responses", "url": "https://api.openai.com/v1", "key": "OPENAI_API_KEY"}


def agent(name: str, model: Mapping[str, Any]) -> Agent:
    known = POLICIES.agents.agents[name].model_dump(exclude={"model", "sandbox"})
    return Agent.model_validate({**known, "model": dict(model), "sandbox": "bwrap"})


@pytest.mark.parametrize(
    ("name", "model", "login", "called", "billed"),
    [
        ("codex", CODEX, "subscription", "the agent's default", False),
        ("claude", CLAUDE, "subscription", "the agent's default", False),
        ("codex", {**CODEX, "name": "gpt-5-codex"}, "subscription", "gpt-5-codex", False),
        ("codex", OPENAI, "key", "the agent's default", True),
        ("opencode", {**OPENAI, "api": "chat", "name": "gpt-5-mini"}, "key", "gpt-5-mini", True),
    ],
)
def test_a_model_with_a_key_or_a_login(
    name: str, model: Mapping[str, Any], login: str, called: str, *, billed: bool
) -> None:
    found = agent(name, model)
    assert found.model is not None
    assert (found.model.login, found.model.called, found.billed) == (login, called, billed)


@pytest.mark.parametrize(
    ("name", "model", "problem"),
    [
        ("codex", {**CODEX, "key": "OPENAI_API_KEY"}, "name a key with login: key, and none with login: subscription"),
        ("codex", {**CODEX, "login": "key"}, "name a key with login: key"),
        ("codex", {**CODEX, "login": "plan"}, "'key' or 'subscription'"),
        ("codex", {**CODEX, "url": "https://api.openai.com/v1"}, "ends with /backend-api/codex"),
        ("codex", {**CLAUDE}, "needs home: codex with api: responses"),
        ("opencode", {**CODEX, "name": "x"}, "needs home: codex"),
        ("gemini", {**OPENAI, "api": "gemini"}, "name the model: only agents with home: codex or claude"),
        ("aider", {**OPENAI, "api": "chat"}, "name the model"),
    ],
)
def test_what_does_not_belong_together_is_refused(name: str, model: Mapping[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        agent(name, model)


def test_the_age_of_prices_has_a_default() -> None:
    known = POLICIES.budgets.model_dump(exclude={"price_age_days"})
    assert Budgets.model_validate(known).price_age_days == 400
    with pytest.raises(ValidationError):
        Budgets.model_validate({**known, "price_age_days": 0})
