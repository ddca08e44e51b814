"""Which settings of the GitLab project follow from the policies."""

from factory.policies import folder, read
from factory.workflow.drift import desired_settings
from tests.servers import ROOT

GATES = "policies/gates.yml"


def variables(contents: dict[str, bytes]) -> set[str]:
    wanted = desired_settings.wanted(read.read(contents), project="acme/shop", accounts={})
    return {name for name in wanted["variables"].state if not name.startswith("FACTORY_RUN")}


def test_a_project_without_infrastructure_needs_no_token_of_cloudflare() -> None:
    contents = folder.contents(ROOT)
    with_it = variables(contents)
    plain = b"\n".join(line for line in contents[GATES].split(b"\n") if not line.startswith(b"  plan:"))
    without = variables(contents | {GATES: plain})
    assert {name.split()[0] for name in with_it - without} == {"CLOUDFLARE_PLAN_TOKEN", "CLOUDFLARE_APPLY_TOKEN"}
    assert "FACTORY_TOKEN_JUDGE judge" in without
