"""Plugin that judges the tests of others: each test passed, was skipped, is absent, or is wrong.

It is loaded in a process of its own, where the package ``tests`` is another project's: it imports nothing of this
repository. ``OUTSIDE_RESULTS`` names the file that gets one JSON object per test, ``OUTSIDE_EXCHANGES`` the file in
which ``recorder/sitecustomize.py`` notes requests.
"""

import json
import os
import time
from collections.abc import Generator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import pytest

# A pause of five seconds waits for a pipeline, which takes a second or two here too.
_LONGEST_SLEEP, _FOR_A_PIPELINE, _LONG = 0.02, 3.0, 5.0
_NO_ROUTE = '{"error": "404 Not Found"}'
_UNSUPPORTED = "is not supported by the loopback GitLab"
_HTTP_ERROR = 400
_WORST = ("passed", "skipped", "absent", "wrong")
_sleep = time.sleep


@dataclass(frozen=True)
class Exchange:
    """A request and its answer, as the recorder notes it: method and path, status, and the body of a refusal."""

    endpoint: str
    status: int
    refusal: str

    @property
    def absent(self) -> bool:
        """Whether the server has no such route, or does not support a parameter and says so."""
        return self.refusal == _NO_ROUTE or _UNSUPPORTED in self.refusal

    def __str__(self) -> str:
        return f"{self.endpoint} → {self.status}"


def _exchanges() -> list[Exchange]:
    """Return the exchanges of the running test."""
    noted = Path(os.environ["OUTSIDE_EXCHANGES"])
    return [Exchange(*json.loads(line)) for line in noted.read_text().splitlines()] if noted.exists() else []


@dataclass
class Result:
    """What a test came to; ``served`` says that all of its requests went to routes of the server."""

    test: str
    outcome: str = "passed"
    endpoint: str = ""
    reason: str = ""
    served: bool = True


@dataclass
class Notes:
    """The running test: how many requests came before its phase, its result, and failures that fixtures raise again."""

    phase: int = 0
    result: Result = field(default_factory=lambda: Result(""))
    raised: list[tuple[BaseException, Exchange | None]] = field(default_factory=list)

    def cause(self, error: BaseException) -> Exchange | None:
        """Return the request behind an error, the likeliest first: an absent route, a refusal, the last request.

        Only requests of the failed phase count; a fixture's error, which pytest raises again, keeps its request.
        """
        for seen, exchange in self.raised:
            if seen is error:
                return exchange
        latest = _exchanges()[self.phase :]
        refused = [exchange for exchange in latest if exchange.status >= _HTTP_ERROR]
        absent = [exchange for exchange in refused if exchange.absent]
        found = next(iter(reversed(absent or refused or latest)), None)
        self.raised.append((error, found))
        return found


NOTES = Notes()


def pytest_configure() -> None:
    """Shorten the pauses that give a real GitLab time to catch up."""
    time.sleep = lambda seconds: _sleep(
        _FOR_A_PIPELINE if float(seconds) >= _LONG else min(float(seconds), _LONGEST_SLEEP)
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Write down each test's result after its teardown."""
    Path(os.environ["OUTSIDE_EXCHANGES"]).unlink(missing_ok=True)
    NOTES.phase = 0
    NOTES.result = Result(item.nodeid)
    done = yield
    NOTES.result.served = NOTES.result.served and not any(exchange.absent for exchange in _exchanges())
    with Path(os.environ["OUTSIDE_RESULTS"]).open("a") as results:
        results.write(json.dumps(asdict(NOTES.result)) + "\n")
    return done


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(call: "pytest.CallInfo[None]") -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Judge one phase of a test; the worst phase counts."""
    report = yield
    result = NOTES.result
    if report.skipped or hasattr(report, "wasxfail"):
        result.outcome = max(result.outcome, "skipped", key=_WORST.index)
    elif report.failed and call.excinfo is not None:
        _judge_failure(result, call.excinfo.value, str(call.excinfo.exconly()))
    NOTES.phase = len(_exchanges())
    return report


def _judge_failure(result: Result, error: BaseException, reason: str) -> None:
    cause = NOTES.cause(error)
    absent = cause is not None and cause.absent
    outcome = "absent" if absent else "wrong"
    result.served = result.served and not absent
    if _WORST.index(outcome) > _WORST.index(result.outcome):
        result.outcome, result.endpoint, result.reason = outcome, str(cause or ""), reason.strip().splitlines()[0]
