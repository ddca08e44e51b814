"""A corpus of merge requests: the bad are refused to the last one with the expected rule, the good pass."""

import pytest

from tests.gates import corpus, corpus_bad_code, corpus_bad_paths

BAD = (*corpus_bad_paths.BAD, *corpus_bad_code.BAD)


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory) -> corpus.Corpus:
    return corpus.Corpus(tmp_path_factory.mktemp("corpus"))


@pytest.mark.parametrize("case", BAD, ids=lambda case: case.name.encode("unicode_escape").decode())
def test_a_bad_merge_request_is_refused(repository: corpus.Corpus, case: corpus.Case) -> None:
    decision = repository.decision(case)
    assert not decision.passed
    assert corpus.rules(decision) >= set(case.rules), (corpus.rules(decision), corpus.skipped(decision))
    assert corpus.skipped(decision) >= set(case.blocked)
    assert case.rules or case.blocked
