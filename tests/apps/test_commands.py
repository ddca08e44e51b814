"""How a command is split into words without a shell."""

import pytest

from factory.apps import commands
from factory.errors import InvalidInput


def test_the_port_and_the_socket_are_words_of_a_release() -> None:
    assert commands.split("a --on '${PORT} x' $SOCKET", "Procfile") == ("a", "--on", "$PORT x", "$SOCKET")


@pytest.mark.parametrize("command", ["a | b", "a && b", "a > b", "a $HOME", "a `b`", "a $(b)", "a 'b", "a \\"])
def test_what_only_a_shell_runs_is_refused(command: str) -> None:
    with pytest.raises(InvalidInput, match="Procfile starts") as caught:
        commands.split(command, "Procfile")
    assert "Write `run`" in caught.value.hint
