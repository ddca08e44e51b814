"""``factory agent doctor --own-login``: a tiny task on an agent's own model, here a stub in its place."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from factory.instance.agent_trial_script import CONTENT, FILE
from factory.local_model import script
from factory.local_model.server import Server, running
from tests.cli.test_refusals import assert_told
from tests.instances import Instance, make_instance
from tests.servers import ROOT, git

KEY = "sk-proj-planted000000000000000000000000"
ARGUMENTS = ("agent", "doctor", "--own-login")
needs_codex = pytest.mark.skipif(
    not (ROOT / ".tools/agents/bin/codex-acp").exists() or shutil.which("bwrap") is None,
    reason="needs bubblewrap and the coding agents: `factory setup --agents`",
)


@pytest.fixture(scope="module")
def model() -> Iterator[Server]:
    with running(lambda _: [script.Write(FILE, CONTENT), script.Say("Done.")]) as server:
        yield server


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, model: Server) -> Instance:
    instance = make_instance(tmp_path_factory.mktemp("own-login"))
    agents = instance.clone / "policies/agents.yml"
    agents.write_text(agents.read_text().replace("https://api.openai.com/v1", model.url + "/v1"))
    return instance


def test_an_agent_without_a_model_writes_the_file(made: Instance) -> None:
    found = made.json(*ARGUMENTS, "replay")
    assert (found["wrote"], found["reason"], found["cost"]) == (True, "done_for_review", "no model")


def test_one_agent_with_a_login_is_needed(made: Instance) -> None:
    assert_told(made.run(*ARGUMENTS, check=False), 3, "name one agent")
    assert_told(made.run(*ARGUMENTS, "nobody", check=False), 4, "names no agent nobody")


@needs_codex
def test_without_a_login_nothing_starts(made: Instance, model: Server) -> None:
    before = len(model.requests)
    assert_told(made.run(*ARGUMENTS, "codex", check=False), 9, "OPENAI_API_KEY")
    assert len(model.requests) == before


@pytest.mark.long
@needs_codex
def test_codex_uses_the_key_and_its_cost_is_told(made: Instance, model: Server) -> None:
    done = made.run(*ARGUMENTS, "codex", OPENAI_API_KEY=KEY)
    assert done.stdout.startswith("codex: done_for_review in ")
    assert "it wrote the file" in done.stdout
    assert "tokens by provider; 0.0" in done.stdout
    assert "absent" not in {request.credential for request in model.requests}
    assert KEY not in done.stdout + done.stderr
    assert git("status", "--porcelain", "--", FILE, cwd=made.clone).stdout == ""
    assert not list(Path(made.state).rglob(FILE))
