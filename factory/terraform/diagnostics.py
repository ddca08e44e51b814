"""Terraform's errors as values: read from the events of its ``-json`` output (Terraform docs: Machine-Readable UI)."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from factory.errors import Conflict, DiskFull, FactoryError, ToolFailed, Unauthorized, Unreachable

# The HTTP status that a backend or provider reports, as a number of its own: `HTTP 503`, `HTTP error: 423`,
# `status code: 429`, `: 403 Forbidden`. Terraform's diagnostics have no field for it.
_STATUS = re.compile(
    r"\b(?:HTTP(?: error)?|status(?: code)?|unexpected status)\b[: ]+(\d{3})\b|: (\d{3}) [A-Z][a-z]+", re.IGNORECASE
)
_UNAUTHORIZED, _LOCKED, _LIMITED, _FAILED = {401, 403}, {409, 423}, 429, 500
# What Go's network and file packages, and Terraform's HTTP backend, report without a status.
_NETWORK = re.compile(
    r"connection (?:refused|reset)|no such host|i/o timeout|context deadline exceeded|giving up after|no answer from"
)
_DISK = re.compile(r"no space left on device|disk quota exceeded")
_REJECTED = re.compile(r"endpoint (?:requires auth|invalid auth)|CLOUDFLARE_API_TOKEN")


@dataclass(frozen=True)
class Diagnostic:
    """One error of Terraform: its summary and detail, and the address of the resource it is about, if any."""

    summary: str
    detail: str = ""
    address: str = ""

    @property
    def text(self) -> str:
        """Return the error in one line: its summary, and the first line of its detail."""
        detail = next((line for line in (part.strip() for part in self.detail.splitlines()) if line), "")
        return f"{self.summary}: {detail}" if detail and not self.summary.endswith(".") else self.summary

    @property
    def family(self) -> type[FactoryError]:
        """Return the class of the error: by the reported HTTP status, else by what the system reported."""
        said = f"{self.summary}\n{self.detail}"
        codes = {int(first or second) for first, second in _STATUS.findall(said)}
        if _DISK.search(said):
            return DiskFull
        if codes & _UNAUTHORIZED or _REJECTED.search(said):
            return Unauthorized
        if codes & _LOCKED:
            return Conflict
        if any(code == _LIMITED or code >= _FAILED for code in codes) or _NETWORK.search(said.lower()):
            return Unreachable
        return ToolFailed


def read_events(data: bytes) -> tuple[Mapping[str, object], ...]:
    """Return terraform's events in a log, which may have a truncated last line or other text."""
    found = []
    for line in data.splitlines():
        try:
            value = json.loads(line)
        except ValueError:
            continue
        if isinstance(value, dict):
            found.append(value)
    return tuple(found)


def errors(events: Iterable[Mapping[str, object]]) -> tuple[Diagnostic, ...]:
    """Return the errors among events, in their order."""
    found = (event.get("diagnostic") for event in events)
    return tuple(_diagnostic(item) for item in found if isinstance(item, dict) and item.get("severity") == "error")


def warnings(events: Iterable[Mapping[str, object]]) -> tuple[str, ...]:
    """Return the summaries of the warnings among events."""
    found = (event.get("diagnostic") for event in events)
    return tuple(
        str(item.get("summary", "")) for item in found if isinstance(item, dict) and item.get("severity") == "warning"
    )


def _diagnostic(item: Mapping[str, object]) -> Diagnostic:
    return Diagnostic(str(item.get("summary", "")), str(item.get("detail", "")), str(item.get("address") or ""))


def failure(command: str, found: Iterable[Diagnostic], *, otherwise: str = "") -> FactoryError:
    """Return the error of a command that failed: of the first diagnostic with a known cause, else of the first one.

    ``otherwise`` is what the command printed, for a failure without any diagnostic.
    """
    told = tuple(found)
    if not told:
        lines = [line.strip("│╷╵ ") for line in otherwise.splitlines() if line.strip("│╷╵ ")]
        first = next((line.removeprefix("Error: ") for line in lines if line.startswith("Error: ")), "")
        told = (Diagnostic(first or (lines[-1] if lines else "no message"), otherwise if first else ""),)
        return told[0].family(f"terraform {command} failed: {told[0].summary}")
    known = next((item for item in told if item.family is not ToolFailed), told[0])
    return known.family(f"terraform {command} failed: {known.text}")
