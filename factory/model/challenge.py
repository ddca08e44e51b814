"""The defects that a challenge seeds in an app, and which of them the gates found."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Defect:
    """One defect: its kind (``mutation.compare``, ``mistake.leaked-secret``), where it stands, what was done there.

    ``files`` are whole new contents by path, relative to the clone; ``None`` deletes the file.
    """

    kind: str
    path: str
    line: int
    summary: str
    files: tuple[tuple[str, bytes | None], ...]

    def to_json(self) -> dict[str, Any]:
        """Return the defect as a JSON value, without the contents of its files."""
        return {"kind": self.kind, "path": self.path, "line": self.line, "summary": self.summary}


@dataclass(frozen=True)
class DefectOutcome:
    """One defect and the rules that found it; none of them means that it survived."""

    defect: Defect
    killed_by: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the outcome as a JSON value."""
        return {**self.defect.to_json(), "killed_by": list(self.killed_by)}


@dataclass(frozen=True)
class Tally:
    """How one kind of defect fared; ``rules`` are those that found it, the busiest first."""

    kind: str
    seeded: int
    killed: int
    rules: tuple[str, ...]


@dataclass(frozen=True)
class Summary:
    """How all kinds fared, and the defects that no gate found."""

    tallies: tuple[Tally, ...]
    survivors: tuple[Defect, ...]

    @property
    def seeded(self) -> int:
        """How many defects were seeded."""
        return sum(tally.seeded for tally in self.tallies)

    @property
    def killed(self) -> int:
        """How many of them a gate found."""
        return sum(tally.killed for tally in self.tallies)

    @property
    def percent(self) -> int:
        """The share that was found, rounded down, so that 90 is never less than 90; of nothing it is 0."""
        return self.killed * 100 // self.seeded if self.seeded else 0

    def to_json(self) -> dict[str, Any]:
        """Return the summary as a JSON value."""
        return {
            "seeded": self.seeded,
            "killed": self.killed,
            "percent": self.percent,
            "kinds": [
                {"kind": tally.kind, "seeded": tally.seeded, "killed": tally.killed, "rules": list(tally.rules)}
                for tally in self.tallies
            ],
            "survivors": [defect.to_json() for defect in self.survivors],
        }
