"""What the jobs of a deployment write to a file for the factory: the apply's result, the check's and the return's."""

from dataclasses import dataclass
from typing import Literal

# The kind of the job that checks a deployment from outside without an apply; it is named <kind>-<environment>.
CONFIRM = "confirm"
Phase = Literal["refused", "started", "failed", "done", "unknown"]


@dataclass(frozen=True)
class ApplyResult:
    """The result of an apply of the plan whose manifest's digest is ``manifest``.

    ``phase`` is ``refused`` (nothing was changed), ``started``, ``failed``, ``done``, or ``unknown`` if no result was
    written. ``done``, ``partial`` (half of a replacement) and ``undone`` are the addresses of the planned changes;
    ``left`` are those in the plan after the apply. ``lock_left`` is the error that left the state locked.
    """

    phase: Phase = "unknown"
    stack: str = ""
    manifest: str = ""
    replanned: bool = False
    replan_empty: bool = False
    done: tuple[str, ...] = ()
    partial: tuple[str, ...] = ()
    undone: tuple[str, ...] = ()
    left: str = ""
    lock_left: str = ""
    reason: str = ""


@dataclass(frozen=True)
class AppRelease:
    """The release of an app that answers at a URL."""

    app: str
    url: str
    release: str


@dataclass(frozen=True)
class CheckResult:
    """The result of a check from outside, or of a return of the traffic: the releases that answer, or why none does."""

    stack: str = ""
    verified: bool = False
    apps: tuple[AppRelease, ...] = ()
    reason: str = ""
