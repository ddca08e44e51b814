"""Git's messages as a person reads them."""

import pytest

from factory.errors import DiskFull, Refused
from factory.worktrees.git_errors import cause, failed

_QUOTE = "\n  stderr: '{}'"


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("", "no message"),
        ("fatal: not a git repository\n", "not a git repository"),
        (
            _QUOTE.format("fatal: '/nope' does not appear to be a git repository\nfatal: Could not read\n\nPlease …"),
            "'/nope' does not appear to be a git repository",
        ),
        (
            "error: Your local changes to these files would be overwritten:\n\ta.py\n\tb.py\nPlease",
            "Your local changes to these files would be overwritten: a.py, b.py",
        ),
        (
            _QUOTE.format("remote: You are not allowed to download code.\nfatal: unable to access 'http://x/': 403"),
            "unable to access 'http://x/': 403 (You are not allowed to download code.)",
        ),
        ("fatal: unable to access 'http://oauth2:secret@host/x.git/': no", "unable to access 'http://host/x.git/': no"),
        ("warning: x\nsomething else", "something else"),
    ],
)
def test_the_reason_its_names_and_the_servers_words_are_kept(said: str, told: str) -> None:
    assert cause(said) == told


@pytest.mark.parametrize(
    "said",
    [
        "fatal: unable to write loose object file: No space left on device\n",
        "fatal: sha1 file 'objects/pack/tmp_pack_1xj2mE' write error. Out of diskspace\n",
    ],
)
def test_a_full_disk_is_named_as_such(said: str) -> None:
    error = failed(Refused, "fast-import", said)
    assert isinstance(error, DiskFull)
    assert "Free some space" in (error.hint or "")
