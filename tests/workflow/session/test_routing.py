"""Tests of the choice of agent: by request, label or default, then a stronger agent or a substitute."""

from collections.abc import Collection

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factory.errors import InvalidInput
from factory.model.attempt import Escalation
from factory.policies.agents import Agent, Agents, Route
from factory.workflow.session import routing
from tests.policies.shipped import POLICIES

SHIPPED = POLICIES.agents
PLAIN = SHIPPED.agents["replay"]


def agent(stronger: str | None = None, instead: str | None = None) -> Agent:
    return PLAIN.model_copy(update={"stronger": stronger, "instead": instead})


AGENTS = SHIPPED.model_copy(
    update={
        "default": "plain",
        "routes": (Route(labels=("hard", "risky"), agent="strong"), Route(labels=("docs",), agent="cheap")),
        "agents": {
            "plain": agent("strong", "other"),
            "strong": agent(None, "plain"),
            "cheap": agent("plain", None),
            "other": agent(None, "plain"),
        },
    }
)


def chosen(
    *labels: str,
    asked: str | None = None,
    escalation: Escalation = Escalation.AGAIN,
    down: Collection[str] = (),
    last: str | None = None,
    agents: Agents = AGENTS,
) -> str:
    return routing.choose(agents, labels, asked=asked, escalation=escalation, down=down, last=last).name


def test_a_person_then_labels_in_order_then_the_default() -> None:
    assert chosen() == "plain"
    assert chosen("docs") == "cheap"
    assert chosen("docs", "risky") == "strong"
    assert chosen("docs", "risky", asked="other") == "other"


def test_the_same_agent_continues_until_it_makes_no_progress() -> None:
    assert chosen("docs", last="plain") == "plain"
    assert chosen(last="plain", escalation=Escalation.OTHER) == "plain"
    assert chosen(last="cheap", escalation=Escalation.STRONGER) == "plain"
    assert chosen(last="strong", escalation=Escalation.STRONGER) == "strong"


def test_a_substitute_replaces_an_agent_with_an_unavailable_provider() -> None:
    assert chosen(down=["plain"]) == "other"
    assert chosen("docs", down=["cheap"]) == "cheap", "it has no substitute"
    assert chosen(last="cheap", escalation=Escalation.STRONGER, down=["plain"]) == "other"


@pytest.mark.parametrize(
    ("down", "instead"),
    [
        (["plain"], "other"),
        (["plain", "other"], None),
        (["strong"], "plain"),
        (["cheap"], None),
        (["plain", "strong"], "other"),
    ],
)
def test_substitute(down: list[str], instead: str | None) -> None:
    assert routing.substitute(AGENTS, down) == instead


def test_an_unknown_agent_is_refused() -> None:
    with pytest.raises(InvalidInput, match="no agent 'ghost'"):
        chosen(asked="ghost")


NAMES = st.sampled_from("abcd")
CHAINS = st.dictionaries(NAMES, st.tuples(st.none() | NAMES, st.none() | NAMES), min_size=4, max_size=4)


@given(CHAINS, st.lists(NAMES, min_size=1), st.sampled_from(list(Escalation)), st.none() | NAMES)
def test_cycles_of_agents_end(
    chains: dict[str, tuple[str | None, str | None]], down: list[str], escalation: Escalation, last: str | None
) -> None:
    known = {name: agent(*others) for name, others in chains.items()}
    agents = AGENTS.model_copy(update={"default": "a", "routes": (), "agents": known})
    found = chosen(agents=agents, down=down, escalation=escalation, last=last)
    instead = routing.substitute(agents, down)
    assert found in known
    assert instead is None or instead not in down
    if last == down[-1] and escalation is not Escalation.STRONGER and instead:
        assert found not in down, "an available substitute must be chosen"
