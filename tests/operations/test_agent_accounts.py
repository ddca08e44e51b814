"""The list `agents` of policies/scope.yml, and the names of the factory's service accounts."""

import pytest

from factory.errors import Refused
from factory.gitlab.namespace import service_accounts
from factory.operations import agent_accounts
from factory.system import defaults


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("agents: [factory-agent]", "agents: [factory-agent, b, a]"),
        ("agents: [ one,two ]  # both", "agents: [one, two, b, a]  # both"),
        ("agents: []", "agents: [b, a]"),
    ],
)
def test_the_list_gets_longer_and_the_rest_stays(line: str, found: str) -> None:
    text = "protected:\n  - a/**\n{}\nmax_files: 40\n"
    assert agent_accounts.longer(text.format(line), ["b", "a"]) == text.format(found)


@pytest.mark.parametrize("text", ["", "agents:\n  - one\n", "# agents: [one]\n", "agents: [one,\n  two]\n"])
def test_a_list_of_another_form_is_left_to_a_person(text: str) -> None:
    with pytest.raises(Refused, match="does not list b, a"):
        agent_accounts.longer(text, ["b", "a"])


def test_the_default_policy_has_the_form() -> None:
    text = defaults.read(agent_accounts.PATH).decode()
    assert "agents: [factory-agent, a]" in agent_accounts.longer(text, ["a"])


def test_names_are_compared_as_gitlab_does() -> None:
    assert agent_accounts.missing(["Crew-Bot", "other"], ["crew-bot", "crew-agent"]) == ["crew-agent"]


@pytest.mark.parametrize(
    ("project", "name"),
    [
        ("crew/shop", "crew-shop-factory-bot"),
        ("Crew/Tools/My.Shop_2", "crew-tools-my-shop-2-7bdfcb-factory-bot"),
        ("crew/" + "x" * 300, "crew-" + "x" * 195 + "-66679a-factory-bot"),
    ],
)
def test_a_service_account_has_one_name_for_each_project(project: str, name: str) -> None:
    assert service_accounts.username(project, "factory-bot") == name
    assert len(name) < 255


def test_no_two_projects_share_one() -> None:
    paths = ["crew/a/b", "crew/a-b", "crew-a/b", "crew/a.b", "crew/a_b"]
    assert len({service_accounts.username(path, "factory-bot") for path in paths}) == len(paths)
