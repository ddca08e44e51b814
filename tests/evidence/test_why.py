"""What the evidence says of a commit, and what it does not say."""

from collections.abc import Collection

from factory.evidence import transparency_log, why
from factory.evidence.why import Deployment, Provenance, Requirement
from tests.evidence import examples

ENTRIES = transparency_log.read(examples.recorded(examples.statements()))
HEAD, MERGED = examples.commit("head 12"), examples.commit("merge 12")
OTHER = examples.commit("other")


def known(commit: str = HEAD, containing: Collection[str] = (HEAD, MERGED), session: str = "s-7") -> Provenance:
    return why.of_commit(ENTRIES, commit, containing=containing, author="Ada", session=session)


def test_the_chain_of_an_agents_commit() -> None:
    found = known()
    assert (found.issue, found.merge_request, found.unknown) == (7, 12, ())
    assert found.made.startswith("attempt 1 of session s-7 by replay 1: ")
    assert found.merged.startswith("!12 merged into main by factory-bot")
    assert found.judged.startswith("pipeline 31 passed")
    assert found.requirements == (Requirement("HELLO-1", "passed", ("tests.test_hello.test_a",)),)
    assert [item.split(" ")[:4] for item in found.approvals] == [
        [scope, "approved", "by", "operator"] for scope in ("merge", "deploy")
    ]
    (deployed,) = found.deployments
    assert (deployed.environment, deployed.now) == ("production", True)


def test_a_persons_commit_says_so() -> None:
    found = known(OTHER, (OTHER, MERGED), session="")
    assert found.made == "written by Ada, in no session"
    assert found.merge_request == 12


def test_what_a_rewrite_lost_is_unknown() -> None:
    found = known(OTHER, (OTHER, MERGED))
    assert found.made == ""
    assert found.unknown == ("who made it: the commit names session s-7, but no statement names the commit",)


def test_a_commit_that_was_never_merged_has_no_approval() -> None:
    found = known(OTHER, (OTHER,), session="")
    assert (found.merge_request, found.approvals, found.deployments, found.requirements) == (None, (), (), ())
    assert len(found.unknown) == 1


def test_a_commit_that_a_session_began_with_was_not_brought_by_its_merge() -> None:
    found = known(OTHER, (OTHER, examples.commit("base"), HEAD, MERGED), session="")
    assert (found.merge_request, found.approvals, found.judged) == (None, (), "")
    assert [item.environment for item in found.deployments] == ["production"]
    assert found.unknown == ("how it came to the default branch: no statement records the merge that brought it",)


def test_an_environment_that_went_back_no_longer_has_it() -> None:
    later = examples.predicates()["deploy"] | {"commit": OTHER, "deployment": 4}
    statements = [*examples.statements(), examples.make("deploy", later, key="deploy/again")]
    entries = transparency_log.read(examples.recorded(statements))
    found = why.of_commit(entries, HEAD, containing=(HEAD, MERGED), author="Ada", session="s-7")
    assert [(item.environment, item.now) for item in found.deployments] == [("production", False)]
    assert isinstance(found.deployments[0], Deployment)
