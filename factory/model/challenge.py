"""The defects that a challenge seeds in an app, and which of them the gates found."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Defect:
    """One defect: its kind (``mutation.compare``, ``mistake.leaked-secret``), its place, and a summary of the change.

    ``files`` are whole new contents by path, relative to the clone; ``None`` deletes the file.
    """

    kind: str
    path: str
    line: int
    summary: str
    files: tuple[tuple[str, bytes | None], ...]

    def to_json(self) -> dict[str, object]:
        """Return the defect as a JSON value, without the contents of its files."""
        return {"kind": self.kind, "path": self.path, "line": self.line, "summary": self.summary}


@dataclass(frozen=True)
class DefectOutcome:
    """One defect and the rules that found it; without any rule, the defect survived."""

    defect: Defect
    killed_by: tuple[str, ...]

    def to_json(self) -> dict[str, object]:
        """Return the outcome as a JSON value."""
        return {**self.defect.to_json(), "killed_by": list(self.killed_by)}


@dataclass(frozen=True)
class Tally:
    """The counts of one kind of defect; ``rules`` are the rules that found it, most frequent first."""

    kind: str
    seeded: int
    killed: int
    rules: tuple[str, ...]


@dataclass(frozen=True)
class Summary:
    """The counts of all kinds, and the defects that no gate found."""

    tallies: tuple[Tally, ...]
    survivors: tuple[Defect, ...]

    @property
    def seeded(self) -> int:
        """Return how many defects were seeded."""
        return sum(tally.seeded for tally in self.tallies)

    @property
    def killed(self) -> int:
        """Return how many of the defects a gate found."""
        return sum(tally.killed for tally in self.tallies)

    @property
    def percent(self) -> int:
        """Return the found share in percent, rounded down so that 90 means at least 90; 0 without defects."""
        return self.killed * 100 // self.seeded if self.seeded else 0

    def to_json(self) -> dict[str, object]:
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
