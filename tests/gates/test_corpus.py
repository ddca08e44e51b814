"""A corpus of merge requests: the bad are refused to the last one with the expected rule, the good pass.

And one character: whatever a policy or spec becomes by one, it is refused, or its digest tells that it is another.
"""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from factory.errors import InvalidInput
from factory.model.facts import Change
from factory.operations.collect import facts
from factory.policies import read as policy_files
from tests.gates import corpus, corpus_bad_code, corpus_bad_paths, corpus_bad_tests, corpus_bad_tricks, corpus_good
from tests.gates.corpus import Case, Corpus, by_person
from tests.servers import ROOT

BAD = (*corpus_bad_paths.BAD, *corpus_bad_code.BAD, *corpus_bad_tests.BAD, *corpus_bad_tricks.TRICKS)
GOOD = corpus_good.GOOD
LAWS = {
    str(path.relative_to(ROOT)): path.read_text()
    for path in sorted([*ROOT.glob("policies/*.yml"), *ROOT.glob("specs/*.md")])
}
POLICIES = {path: text.encode() for path, text in LAWS.items() if path.startswith("policies/")}
SPECS = tuple(path for path in LAWS if path.startswith("specs/"))
TYPED = "x0- #:\"'\n\t{*é\u200b\u202e"


def altered(text: str, place: int, typed: str, how: str) -> str:
    """Return a text with one character replaced, inserted or deleted."""
    kept = place + (how != "insert")
    return text[:place] + ("" if how == "delete" else typed) + text[kept:]


def sampled() -> list[tuple[str, str]]:
    """Return sixty files that differ from a policy or spec by one character, spread over all of them."""
    found = []
    for number in range(60):
        path = list(LAWS)[number % len(LAWS)]
        text = LAWS[path]
        place = number * 7919 % len(text)
        typed = next(char for char in TYPED[number % len(TYPED) :] + "xy" if char != text[place])
        found.append((path, altered(text, place, typed, ("replace", "insert", "delete")[number % 3])))
    return found


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return Corpus(tmp_path_factory.mktemp("corpus"))


def name_of(case: Case) -> str:
    return case.name.encode("unicode_escape").decode()


def test_the_corpus_is_large_and_each_case_is_another() -> None:
    assert len(BAD) >= 60
    assert len(GOOD) >= 20
    assert len({case.name for case in (*BAD, *GOOD)}) == len(BAD) + len(GOOD)
    assert all(case.rules or case.blocked for case in BAD)
    assert not any(case.rules or case.blocked for case in GOOD)


@pytest.mark.matrix(6)
@pytest.mark.parametrize("case", BAD, ids=name_of)
def test_a_bad_merge_request_is_refused(repository: Corpus, case: Case) -> None:
    decision = repository.decision(case)
    assert not decision.passed
    assert corpus.rules(decision) >= set(case.rules), corpus.rules(decision)
    assert corpus.skipped(decision) >= set(case.blocked)


@pytest.mark.matrix(6)
@pytest.mark.parametrize("case", GOOD, ids=name_of)
def test_a_good_merge_request_passes(repository: Corpus, case: Case) -> None:
    decision = repository.decision(case)
    assert not corpus.rules(decision)
    assert decision.passed
    assert decision.needed is not None
    assert decision.needed.judge_changed == case.judge_changed
    assert decision.needed.approvals >= 1


@pytest.mark.long
@pytest.mark.matrix(3)
@pytest.mark.parametrize("case", [case for case in GOOD if case.judge_changed], ids=name_of)
def test_what_a_person_changes_of_the_judge_is_flagged_and_refused_to_an_agent(repository: Corpus, case: Case) -> None:
    by_one = repository.decision(case)
    assert [verdict.flags for verdict in by_one.verdicts if verdict.gate == "scope"] != [()]
    agent = Case(case.name, case.edits, case.rules or ("scope",), base=case.base)
    by_other = repository.decision(agent)
    assert not by_other.passed
    assert corpus.rules(by_other) & {"scope.protected", "scope.path"}
    assert by_one.policy == by_other.policy


@pytest.mark.long
@given(st.data())
@settings(max_examples=40, deadline=None)
def test_one_character_of_a_policy_is_refused_or_changes_its_digest(data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(sorted(POLICIES)))
    text = LAWS[path]
    place = data.draw(st.integers(0, len(text) - 1))
    typed = data.draw(st.sampled_from([char for char in TYPED if char != text[place]]) | st.characters(codec="utf-8"))
    how = data.draw(st.sampled_from(("replace", "insert", "delete")))
    made = altered(text, place, typed, how)
    try:
        found = policy_files.read({**POLICIES, path: made.encode()})
    except InvalidInput:
        return
    assert (found.digest == policy_files.digest(POLICIES)) == (made == text)


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_one_character_of_a_spec_is_refused_or_changes_its_digest(data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(SPECS))
    text = LAWS[path]
    place = data.draw(st.integers(0, len(text) - 1))
    typed = data.draw(st.sampled_from(TYPED) | st.characters(codec="utf-8"))
    made = altered(text, place, typed, data.draw(st.sampled_from(("replace", "insert", "delete"))))
    name = path.removeprefix("specs/").removesuffix(".md")
    change = Change("b", "h", (), (f"Change\n\nSpec: {name}",))
    before, after = (facts.spec_facts(change, {path: content.encode()}.get) for content in (text, made))
    usable = not after.problem and not after.findings and after.status == "decided"
    assert not usable or made == text or after.digest != before.digest


@pytest.mark.matrix(4)
@pytest.mark.parametrize(("path", "made"), sampled())
def test_one_character_is_judged_by_what_it_was(repository: Corpus, path: str, made: str) -> None:
    agent = repository.decision(Case("agent", {path: made}, ("scope",)))
    assert not agent.passed
    assert corpus.rules(agent) & {"scope.protected", "scope.path"}
    person = repository.decision(by_person("person", {path: made}, rules=("scope",)))
    assert person.passed
    assert person.needed is not None
    assert person.needed.judge_changed
    assert agent.policy == person.policy == policy_files.digest(POLICIES)
