"""The systemd units of a host: words that systemd reads as they are, tokens in no unit."""

from pathlib import Path

import pytest

from factory.errors import InvalidInput
from factory.host import units


@pytest.mark.parametrize(
    ("word", "written"),
    [
        ("plain/path-1", "plain/path-1"),
        ("my trust.json", '"my trust.json"'),
        ("100%", "100%%"),
        ("$HOME", "$$HOME"),
        ('a"b', r'"a\"b"'),
        ("a\\b", r'"a\\b"'),
        ("a;b", '"a;b"'),
    ],
)
def test_a_word_stays_one_word(word: str, written: str) -> None:
    assert f"\nExecStart=run {written} --state" in units.host("production", "jane", ("run", word)).text


@pytest.mark.parametrize("word", ["", "a\nUser=root", "a\0", "a\x7f"])
def test_what_would_begin_another_line_is_refused(word: str) -> None:
    with pytest.raises(InvalidInput, match="cannot stand"):
        units.host("production", "jane", ("run", word))
    with pytest.raises(InvalidInput, match="cannot stand"):
        units.host("production", word, ("run",))
    with pytest.raises(InvalidInput, match="cannot stand"):
        units.tunnel("production", word, Path("/usr/bin/cloudflared"))


def test_the_folders_of_the_unit_are_those_of_the_command() -> None:
    made = units.host("staging", "jane", ("run",))
    assert made.name == "factory-host-staging.service"
    assert "RuntimeDirectory=factory/staging\n" in made.text
    assert "--sockets %t/factory/staging\n" in made.text
    assert f"LoadCredential=gitlab-token:{made.token}\n" in made.text
