"""The loopback GitLab is recorded on both tiers, and compared with the transcripts that the repository keeps.

They are of the double itself: nobody has recorded a real GitLab yet, and docs/gitlab.md says so.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from factory.gitlab.conformance_transcript import Answer, faults
from factory.operations import conformance
from tests.cli.test_refusals import assert_told
from tests.instances import Instance, make_instance
from tests.servers import ROOT, running_gitlab

KEPT = ROOT / "docs/conformance"


@pytest.mark.long
@pytest.mark.matrix(1)
@pytest.mark.parametrize("tier", ["premium", "free"])
def test_the_double_answers_as_was_written_down(tier: str, tmp_path: Path) -> None:
    instance = make_instance(tmp_path / "made")
    with running_gitlab(tmp_path / "gitlab", tier=tier, protection=2) as server:
        out = tmp_path / "recorded.json"
        instance.run(
            "conformance", "record", "--url", server.url, "--out", str(out), FACTORY_TOKEN_OPERATOR=server.root_token
        )
        left = [project.path for project in server.client().projects.list(get_all=True)]
        assert not [path for path in left if path.startswith(conformance.PREFIX)]
        assert server.root_token not in out.read_text()
    recorded, kept = (json.loads(path.read_text()) for path in (out, KEPT / f"local-{tier}.json"))
    assert recorded["tier"] == tier
    assert recorded["server"].startswith("local_gitlab")
    assert recorded["jobs"] == conformance.JOBS
    # Polling sees more or fewer fields filled: null fits anything.
    now, then = ([Answer(**item) for item in value["answers"]] for value in (recorded, kept))
    assert faults(then, now) == []
    assert faults(now, then) == []
    assert (
        instance.run("conformance", "compare", str(KEPT / f"local-{tier}.json"), str(out)).stdout == "no differences\n"
    )


@pytest.mark.long
def test_what_differs_is_told(tmp_path: Path) -> None:
    instance: Instance = make_instance(tmp_path)
    kept = KEPT / "local-premium.json"
    other: Any = json.loads(kept.read_text())
    other["answers"][0]["status"] = 418
    (tmp_path / "other.json").write_text(json.dumps(other))
    differs = instance.run("conformance", "compare", str(kept), str(tmp_path / "other.json"), check=False)
    assert_told(differs, 6, "1 difference between the answers")
    assert "418, the real server answers" in differs.stdout
    (tmp_path / "bad.json").write_text('{"answers": [{"call": 1}]}')
    assert_told(
        instance.run("conformance", "compare", str(kept), str(tmp_path / "bad.json"), check=False),
        3,
        "not a transcript",
    )
    unreachable = instance.run("conformance", "record", "--url", "http://127.0.0.1:9", stdin="t", check=False)
    assert_told(unreachable, 8, "did not answer")
    assert_told(
        instance.run("conformance", "record", "--url", "http://gitlab.example", stdin="t", check=False), 3, "https"
    )
