"""Terraform's errors become ours by what they report, never because a word looks like one."""

import json

import pytest

from factory.errors import Conflict, DiskFull, FactoryError, ToolFailed, Unauthorized, Unreachable
from factory.terraform import diagnostics
from factory.terraform.diagnostics import Diagnostic

LOCKED = "HTTP remote state already locked: ID=1"


def event(summary: str, detail: str = "", severity: str = "error", address: str = "") -> bytes:
    found = {"severity": severity, "summary": summary, "detail": detail, "address": address}
    return json.dumps({"@level": "error", "type": "diagnostic", "diagnostic": found}).encode() + b"\n"


@pytest.mark.parametrize(
    ("summary", "detail", "family"),
    [
        ("Invalid value", "expected http 5 rules, got 6", ToolFailed),
        ("Invalid value", "the path /status/500 is reserved", ToolFailed),
        ("Invalid value", "the description must not say unauthorized", ToolFailed),
        ("Cannot create x", "POST /zones: HTTP 500: 1 broken", Unreachable),
        ("failed to make http request", 'PUT "https://api.cloudflare.com/x": 503 Service Unavailable {}', Unreachable),
        ("failed to make http request", 'PUT "https://api.cloudflare.com/x": 403 Forbidden {}', Unauthorized),
        ("Cannot read x", "GET /zones: HTTP 429, tries: 4", Unreachable),
        ("Cannot read x", "GET /zones: HTTP 401: 10000 Authentication error", Unauthorized),
        ("Error acquiring the state lock", "Error message: HTTP error: 423", Conflict),
        ("Failed to save state", "Failed to upload state: POST http://x giving up after 3 attempt(s)", Unreachable),
        ("Failed to get state", "dial tcp 127.0.0.1:1: connect: connection refused", Unreachable),
        ("Failed to write plan", "write plan: no space left on device", DiskFull),
        ("Error locking state", "unexpected status: 409", Conflict),
        ("Cannot create x", "POST /zones: HTTP 408", ToolFailed),
        ("Cannot create x", "POST /zones: HTTP 499", ToolFailed),
        ("Cannot create x", "POST /zones: HTTP 404", ToolFailed),
        ("Error refreshing state", "HTTP remote state endpoint invalid auth", Unauthorized),
    ],
)
def test_the_family_of_an_error(summary: str, detail: str, family: type[FactoryError]) -> None:
    assert type(diagnostics.failure("plan", [Diagnostic(summary, detail)])) is family


def test_errors_are_read_from_events_in_their_order_and_warnings_apart() -> None:
    data = (
        b"not json\n5\n"
        + event("Old", severity="warning")
        + event("First", "why\nmore")
        + event("Second", "", address="a.b")
    )
    events = diagnostics.read_events(data + event("Third")[:-9])
    assert diagnostics.errors(events) == (Diagnostic("First", "why\nmore"), Diagnostic("Second", "", "a.b"))
    assert diagnostics.warnings(events) == ("Old",)


def test_the_first_error_with_a_known_cause_decides() -> None:
    found = [Diagnostic("Invalid", "x"), Diagnostic("Cannot read", "HTTP 503: down")]
    error = diagnostics.failure("plan", found)
    assert (type(error), str(error)) == (Unreachable, "terraform plan failed: Cannot read: HTTP 503: down")


def test_a_failure_without_diagnostics_says_what_was_printed() -> None:
    assert str(diagnostics.failure("show", [], otherwise="\n│ Error: Failed to read\n│ x\n")) == (
        "terraform show failed: Failed to read"
    )
    assert str(diagnostics.failure("show", [], otherwise="╷\n│ killed\n╵\n")) == "terraform show failed: killed"
    lost = diagnostics.failure("show", [], otherwise="Error: Failed to read\n  HTTP 503: down\n")
    assert (type(lost), str(lost)) == (Unreachable, "terraform show failed: Failed to read")
    assert str(diagnostics.failure("show", [])) == "terraform show failed: no message"


def test_an_event_without_words_has_empty_texts() -> None:
    events = ({"diagnostic": {"severity": "error"}}, {"diagnostic": {"severity": "warning"}}, {"diagnostic": "x"})
    assert diagnostics.errors(events) == (Diagnostic("", "", ""),)
    assert diagnostics.warnings(events) == ("",)


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (Diagnostic("Broken", "\n  why \nmore"), "Broken: why"),
        (Diagnostic("It broke.", "why"), "It broke."),
        (Diagnostic("Broken"), "Broken"),
    ],
)
def test_an_error_in_one_line(found: Diagnostic, text: str) -> None:
    assert found.text == text
