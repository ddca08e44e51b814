"""A plan's windows: what the providers' headers tell of them, and nothing from odd headers."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factory.agents import plan_windows
from factory.agents.provider import Provider
from factory.model.plan_window import PlanWindow

NOW = datetime(2026, 12, 2, 12, 0, tzinfo=UTC)
AT = str(int(NOW.timestamp()) + 7800)
CODEX = {
    "x-codex-primary-used-percent": "62.4",
    "x-codex-primary-window-minutes": "300",
    "x-codex-primary-reset-at": AT,
    "x-codex-secondary-used-percent": "7",
    "x-codex-secondary-window-minutes": "10080",
    "x-codex-secondary-reset-after-seconds": "3600",
}
ANTHROPIC = {
    "anthropic-ratelimit-unified-5h-utilization": "0.62",
    "anthropic-ratelimit-unified-5h-reset": AT,
    "anthropic-ratelimit-unified-7d-utilization": "1.03",
}
NAMES = sorted({*CODEX, *ANTHROPIC, "anthropic-ratelimit-unified-7d-reset", "x-codex-primary-reset-after-seconds"})


def test_both_providers_windows_are_read() -> None:
    assert plan_windows.read(CODEX, NOW) == (
        PlanWindow("5 h", 62, "2026-12-02T14:10:00.000Z"),
        PlanWindow("7 d", 7, "2026-12-02T13:00:00.000Z"),
    )
    assert plan_windows.read(ANTHROPIC, NOW) == (
        PlanWindow("5 h", 62, "2026-12-02T14:10:00.000Z"),
        PlanWindow("7 d", 103, None),
    )


@pytest.mark.parametrize("odd", ["", "-1", "nan", "inf", "1e3", "1001", "62 %", "٦٢", "0x10", "9" * 400, "1.", "None"])
def test_an_odd_percentage_is_no_window(odd: str) -> None:
    assert plan_windows.read({"x-codex-primary-used-percent": odd}, NOW) == ()


@pytest.mark.parametrize("odd", ["", "-5", "nan", "0", "999999999999", "tomorrow"])
def test_an_odd_time_or_length_is_left_out(odd: str) -> None:
    found = plan_windows.read(
        {
            "x-codex-primary-used-percent": "1",
            "x-codex-primary-window-minutes": odd,
            "x-codex-primary-reset-at": odd,
        },
        NOW,
    )
    assert found == (PlanWindow("primary", 1, None),)


@given(st.dictionaries(st.sampled_from(NAMES), st.text() | st.integers().map(str) | st.floats().map(str)))
def test_whatever_the_headers_say_windows_are_few_and_in_range(headers: dict[str, str]) -> None:
    found = plan_windows.read(headers, NOW)
    assert len(found) <= 4
    for window in found:
        assert 0 <= window.used_percent <= 1000
        assert len(window.name) <= 10
        assert window.resets_at is None or abs((datetime.fromisoformat(window.resets_at) - NOW).days) <= 401


def test_the_newest_answer_that_tells_of_windows_counts() -> None:
    provider = Provider()
    provider.answered(1, 200, ANTHROPIC)
    provider.answered(2, 200, {"content-type": "application/json"})
    assert [window.used_percent for window in provider.windows] == [62, 103]
    provider.answered(3, 429, {**ANTHROPIC, "anthropic-ratelimit-unified-5h-utilization": "1"})
    assert [window.used_percent for window in provider.windows] == [100, 103]
