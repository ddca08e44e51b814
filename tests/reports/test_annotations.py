"""Annotations: GitLab's form, in the given order, addresses of the web alone."""

import json

import pytest

from factory.errors import InvalidInput
from factory.reports import annotations


def test_links_have_gitlabs_form_and_keep_their_order() -> None:
    report = annotations.render({"Verdict": "https://gitlab.example/1", "Evidence": "http://localhost:8080/2"})
    assert json.loads(report) == {
        "Factory": [
            {"external_link": {"label": "Verdict", "url": "https://gitlab.example/1"}},
            {"external_link": {"label": "Evidence", "url": "http://localhost:8080/2"}},
        ]
    }


def test_no_links_is_an_empty_section() -> None:
    assert json.loads(annotations.render({})) == {"Factory": []}


@pytest.mark.parametrize("url", ["javascript:alert(1)", "/relative", "ftp://host/file", ""])
def test_only_addresses_of_the_web(url: str) -> None:
    with pytest.raises(InvalidInput, match="Evidence"):
        annotations.render({"Evidence": url})
