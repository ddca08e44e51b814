"""A question on a terminal that waits for its answer for some time only."""

import os
import pty
import subprocess
import sys
from contextlib import suppress

import pytest

from tests.servers import PATIENCE, ROOT

_ASK = "import sys; from factory.cli.prompt import agreed_within; print(agreed_within('Approve?', float(sys.argv[1])))"


def asked(answer: bytes, seconds: float) -> str:
    """Ask on a terminal, type the answer once the question is there, and return everything that is shown."""
    outer, inner = pty.openpty()
    run = subprocess.Popen(
        [sys.executable, "-c", _ASK, str(seconds)], cwd=ROOT, stdin=inner, stdout=inner, stderr=inner
    )
    os.close(inner)
    seen = b""
    with suppress(OSError):  # the terminal is gone with the program
        while more := os.read(outer, 1000):
            seen += more
            if answer and seen.endswith(b"[y/N]: "):
                os.write(outer, answer)
                answer = b""
    run.wait(PATIENCE)
    os.close(outer)
    return seen.decode()


@pytest.mark.parametrize(
    ("answer", "agreed"), [(b"y\n", True), (b"YES\n", True), (b"n\n", False), (b"\n", False), (b"\x04", False)]
)
def test_an_answer_in_time(answer: bytes, *, agreed: bool) -> None:
    assert asked(answer, PATIENCE).rstrip().endswith(str(agreed))


@pytest.mark.parametrize("typed", [b"", b"y"], ids=["nothing", "no whole line"])
def test_a_question_that_is_left_open_ends_with_its_time(typed: bytes) -> None:
    seen = asked(typed, 0.5)
    assert "AwaitingHuman: nobody answered before the time was over" in seen
    assert "True" not in seen
