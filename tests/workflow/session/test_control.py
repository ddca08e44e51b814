"""Tests of the signals that a person sends to a running session."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from factory.model.agent import Reason
from factory.workflow.session import control
from factory.workflow.session.control import Control, ControlSignal


@pytest.mark.parametrize("signal", list(ControlSignal))
def test_a_signal_is_read_until_the_next(tmp_path: Path, signal: ControlSignal) -> None:
    assert control.read(tmp_path).signal is ControlSignal.WORK
    sent = control.send(tmp_path, signal, by="operator")
    assert control.read(tmp_path) == sent
    assert (tmp_path / "control.json").stat().st_mode & 0o077 == 0
    control.send(tmp_path, ControlSignal.WORK, by="operator")
    assert control.read(tmp_path).signal is ControlSignal.WORK


def test_which_signals_end_an_attempt() -> None:
    found = {signal: control.ending(Control(signal, "me")) for signal in ControlSignal}
    assert found == {
        ControlSignal.WORK: None,
        ControlSignal.PAUSE: None,
        ControlSignal.CANCEL: (Reason.CANCELLED_BY_HUMAN, "cancel by me"),
        ControlSignal.TAKEOVER: (Reason.SUPERSEDED, "takeover by me"),
    }


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(
    content=st.binary()
    | st.sampled_from(
        [b"[]", b"5", b"null", b'"x"', b"{}", b'{"signal": []}', b'{"signal": "stop"}', b'{"signal": "cancel"}']
    )
)
def test_an_unreadable_signal_is_ignored(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "control.json").write_bytes(content)
    assert control.read(tmp_path).signal is ControlSignal.WORK
