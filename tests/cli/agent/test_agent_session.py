"""The main job with the real Codex: `factory work` drives it, on a stub model, to a merged change."""

import gzip
import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from factory.local_model import script
from factory.local_model.server import Server, running
from tests.instances import Instance, founded
from tests.servers import ROOT

pytestmark = [
    pytest.mark.long,
    pytest.mark.matrix(4, group="flows"),
    pytest.mark.skipif(
        not (ROOT / ".tools/agents/bin/codex-acp").exists() or shutil.which("bwrap") is None,
        reason="needs bubblewrap and the coding agents: `factory setup --agents`",
    ),
]

KEY = "sk-proj-planted000000000000000000000000"
RECORDING = json.loads((ROOT / "factory/agents/recordings/greet-by-name.json").read_text())


def steps(prompt: str) -> Sequence[script.Step]:
    """Return what the model does for a brief: the recorded patches, by the shell; a question to no other prompt."""
    number = 2 if "Attempt: 2" in prompt else 1
    patches = [turn["patch"] for turn in RECORDING["attempts"][number - 1]["turns"] if turn.get("patch")]
    found: list[script.Step] = [script.Say("I read the brief.")]
    found += [script.Run(f"git apply --recount - <<'END_OF_PATCH'\n{patch}END_OF_PATCH") for patch in patches]
    found.append(script.Run("env | sort; cat /proc/1/environ | tr '\\0' '\\n'"))
    if number == 2:
        found.append(script.Call("comment", {"text": "The contract test was right.", "why": "so that it is known"}))
    return [*found, script.Say("Done.")]


@pytest.fixture(scope="module")
def model() -> Iterator[Server]:
    with running(steps) as server:
        yield server


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, model: Server) -> Iterator[Instance]:
    def codex_and_its_stub(clone: Path) -> None:
        agents = clone / "policies/agents.yml"
        text = agents.read_text().replace("default: replay", "default: codex")
        agents.write_text(text.replace("https://api.openai.com/v1", model.url + "/v1"))

    instance = founded(tmp_path_factory.mktemp("agent-session"), change=codex_and_its_stub)
    yield instance
    instance.run("down", check=False)


@pytest.mark.slow
def test_the_real_codex_carries_an_issue_to_a_merged_change(made: Instance, model: Server) -> None:
    number = str(made.json("issue", "new", "Greet a visitor by name", "--spec", "hello")["iid"])
    worked = made.run("work", "--once", "--issue", number, OPENAI_API_KEY=KEY)
    assert "attempt 1: codex works (the default; sandbox level bwrap)" in worked.stderr
    assert "!1 is ready for review" in worked.stderr, worked.stderr
    made.run("mr", "approve", "1")
    merged = made.run("work", "--once", "--issue", number)
    assert "!1 is merged" in merged.stderr
    main = made.run("mr", "show", "1", "--json").stdout
    assert '"state": "merged"' in main
    check_evidence(made)
    check_credential(made, model)
    shown = made.run("issue", "show", number).stdout
    assert "The contract test was right." in shown


def check_evidence(made: Instance) -> None:
    """Look at what was recorded: agent, model, what the provider counted, priced by policy; the ledger agrees."""
    attempts = [item for item in made.json("evidence", "list") if item["kind"] == "attempt"]
    assert len(attempts) == 2
    folder = made.folder() / "sessions"
    kept = [json.loads(path.read_text()) for path in sorted(folder.glob("*/attempt-*/turn.json"))]
    assert [item["cost"]["source"] for item in kept] == ["provider", "provider"]
    assert kept[0]["usage"]["total_tokens"] == 110 * (kept[0]["calls"] + 1)
    assert kept[0]["cost"]["usd_micros"] == round(
        kept[0]["usage"]["input_tokens"] * 1.25 + kept[0]["usage"]["output_tokens"] * 10
    )
    assert kept[1]["resume"] == kept[0]["resume"], "the second attempt goes on with the agent's own session"
    assert [item["kind"] for item in kept[1]["outputs"]] == ["comment"]
    budget = {item["bound"]: item for item in made.json("budget", "show", "1")}
    assert budget["issue"]["spent"]["tokens"] == sum(item["usage"]["total_tokens"] for item in kept)
    assert budget["day"]["reserved"]["tokens"] == 0


def check_credential(made: Instance, model: Server) -> None:
    """Look for the credential: the model got it, the agent and everything it left never did."""
    credentials = {request.credential for request in model.requests}
    assert len(credentials) == 1
    assert "absent" not in credentials
    for path in made.state.rglob("*"):
        if path.is_file() and not path.is_symlink():
            data = path.read_bytes()
            assert KEY.encode() not in (gzip.decompress(data) if path.suffix == ".gz" else data), path
    seen = [str(request.body) for request in model.requests]
    assert "FACTORY_OUTPUTS" in "".join(seen), "the agent's command did print its environment"
    assert KEY not in "".join(seen)


def test_an_agent_that_is_not_installed_is_reported(made: Instance) -> None:
    number = str(made.json("issue", "new", "Greet a visitor by name", "--spec", "hello")["iid"])
    failed = made.run("work", "--once", "--issue", number, "--agent", "gemini", check=False, GEMINI_API_KEY="x")
    assert failed.returncode == 10
    assert "the agent gemini is not installed" in failed.stderr


def test_a_missing_credential_is_reported_before_anything_starts(made: Instance) -> None:
    number = str(made.json("issue", "new", "Greet a visitor by name", "--spec", "hello")["iid"])
    failed = made.run("work", "--once", "--issue", number, check=False)
    assert failed.returncode == 9
    assert "OPENAI_API_KEY" in failed.stderr
    assert not list(Path(made.folder() / "sessions").glob("*/attempt-*/transcript.jsonl"))
