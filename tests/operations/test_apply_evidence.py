"""What the job of an apply demands of the evidence branch that it fetched."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from factory.errors import EvidenceIncomplete, EvidenceInvalid
from factory.operations import apply_evidence
from factory.operations.infra_job import Job
from factory.policies.apps import App, Place
from factory.policies.folder import read_folder
from factory.terraform import plan as planning
from factory.terraform.manifest import Manifest
from tests.evidence import examples
from tests.servers import ROOT, git

MERGED = examples.commit("merge 12")
BEFORE = ("claim", "attempt", "verdict", "merge plan", "merge approval", "merge", "plan", "deploy approval")


class Planned(Manifest):
    """A manifest with the digest that the example's statements name."""

    def digest(self) -> str:
        return examples.digest("final 12 manifest")


def manifest() -> Manifest:
    fields = dict.fromkeys(Manifest.__dataclass_fields__, "")
    return Planned(**{**fields, "plan": examples.digest("final 12 plan"), "state_serial": 1})  # type: ignore[arg-type]


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Job:
    git("init", "-q", "-b", "main", cwd=tmp_path)
    monkeypatch.chdir(tmp_path)
    given = {apply_evidence.VARIABLE: examples.trust().write().decode()}
    return Job(given, ROOT, read_folder(ROOT), {}, MERGED, "")


def fetched(tree: Mapping[str, bytes]) -> None:
    for path, data in tree.items():
        file = Path(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    git("add", "-A", cwd=Path())
    git("commit", "-qm", "evidence", cwd=Path())
    git("update-ref", "refs/remotes/origin/factory/evidence", "HEAD", cwd=Path())


def record(*steps: str, **changes: Any) -> None:
    fetched(examples.recorded(examples.make(step, changes.get(step.replace(" ", "_"))) for step in steps))


def require(job: Job, *, starter: str = "") -> str:
    return apply_evidence.require(job, "production", manifest(), starter=starter)


def test_a_recorded_merge_plan_and_approval_allow_an_apply(job: Job) -> None:
    record(*BEFORE)
    assert require(job) == "the evidence of !12 allows this plan"


@pytest.mark.parametrize("left_out", ["plan", "deploy approval"])
def test_what_is_missing_is_named(job: Job, left_out: str) -> None:
    record(*(step for step in BEFORE if step != left_out))
    with pytest.raises(EvidenceIncomplete, match=left_out.rsplit(maxsplit=1)[-1]):
        require(job)


def test_a_persons_start_is_the_approval_where_gitlab_has_no_other(job: Job) -> None:
    record(*BEFORE[:-1])
    assert "allows this plan" in require(job, starter="operator")
    with pytest.raises(EvidenceIncomplete):
        require(job)


@pytest.mark.parametrize(
    ("own", "starter", "allowed"), [("allow", "Operator", True), ("deny", "second", True), ("deny", "Operator", False)]
)
def test_policy_says_whether_an_author_may_start_their_own_change(
    job: Job, own: str, starter: str, *, allowed: bool
) -> None:
    fetched(examples.recorded(examples.own_statements()[:6]))
    merge = job.policies.approvals.merge.model_copy(update={"own": own})
    approvals = job.policies.approvals.model_copy(update={"merge": merge})
    rules = job.policies.model_copy(update={"approvals": approvals})
    if allowed:
        assert "allows this plan" in require(replace(job, policies=rules), starter=starter)
    else:
        with pytest.raises(EvidenceIncomplete, match="own: deny"):
            require(replace(job, policies=rules), starter=starter)


def test_a_commit_that_no_statement_merged_is_not_applied(job: Job) -> None:
    record(*BEFORE)
    with pytest.raises(EvidenceIncomplete, match="no statement records a merge of 000"):
        require(replace(job, commit="0" * 40))


def test_the_founding_deployment_needs_no_statement_and_carries_no_app(job: Job) -> None:
    for known in ((), ("claim", "attempt")):
        if known:
            record(*known)
        assert apply_evidence.founding(job)
        assert "the first deployment" in require(job)
        with pytest.raises(EvidenceIncomplete, match="no merge is recorded yet, so no release may be deployed"):
            apply_evidence.require(job, "production", replace(manifest(), archives=examples.digest("archives")))


def test_with_a_merge_whoever_signed_it_nothing_is_founded_any_more(job: Job) -> None:
    fetched(examples.recorded([examples.make(step) for step in BEFORE], by="somebody"))
    assert not apply_evidence.founding(job)
    assert not apply_evidence.founding(replace(job, given={}))


def test_a_job_carries_the_apps_that_its_saved_plan_names(job: Job, tmp_path: Path) -> None:
    app = App(environments={"production": Place(hostname="www.acme.test")})
    job = replace(job, apps={"shop": app, "blog": app})
    assert job.of_plan(tmp_path).carried("production") == ()
    (tmp_path / planning.ARCHIVES).write_text(json.dumps({"shop": examples.digest("shop")}))
    assert job.of_plan(tmp_path).carried("production") == ("shop",)
    back = replace(job, given={"RELEASE_COMMIT": "1" * 40})
    assert back.of_plan(tmp_path).carried("production") == ("shop", "blog"), "a rollback's plan names no archives"


def test_a_log_of_another_key_allows_nothing(job: Job) -> None:
    fetched(examples.recorded([examples.make(step) for step in BEFORE], by="somebody"))
    with pytest.raises(EvidenceIncomplete, match="no statement records a merge"):
        require(job)


@pytest.mark.parametrize("kind", ["-plan-", "-merge-", "-approval-"])
def test_a_changed_statement_allows_nothing(job: Job, kind: str) -> None:
    tree = dict(examples.recorded(examples.make(step) for step in BEFORE))
    changed = max(path for path in tree if kind in path)
    fetched({**tree, changed: tree[changed].replace(b"a", b"b", 1)})
    with pytest.raises(EvidenceInvalid):
        require(job)


def test_without_a_trust_root_it_says_that_nothing_is_checked(job: Job) -> None:
    record(*BEFORE)
    assert "not checked" in require(replace(job, given={}))
