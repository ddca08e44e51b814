"""What a challenge plants in an app, what the gates made of it, and what that says about a green change."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Plant:
    """One defect: its kind (``mutation.compare``, ``mistake.leaked-secret``), where it stands, what was done there.

    ``files`` are whole new contents by path, relative to the clone; ``None`` deletes the file.
    """

    kind: str
    path: str
    line: int
    summary: str
    files: tuple[tuple[str, bytes | None], ...]

    def to_json(self) -> dict[str, Any]:
        """Return the plant as a JSON value, without the contents of its files."""
        return {"kind": self.kind, "path": self.path, "line": self.line, "summary": self.summary}


@dataclass(frozen=True)
class Outcome:
    """One plant and the rules that found it; none of them means that it survived."""

    plant: Plant
    killed_by: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the outcome as a JSON value."""
        return {**self.plant.to_json(), "killed_by": list(self.killed_by)}


@dataclass(frozen=True)
class Tally:
    """How one kind of defect fared; ``rules`` are those that found it, the busiest first."""

    kind: str
    planted: int
    killed: int
    rules: tuple[str, ...]


@dataclass(frozen=True)
class Summary:
    """How all kinds fared, and the plants that no gate found."""

    tallies: tuple[Tally, ...]
    survivors: tuple[Plant, ...]

    @property
    def planted(self) -> int:
        """How many defects were planted."""
        return sum(tally.planted for tally in self.tallies)

    @property
    def killed(self) -> int:
        """How many of them a gate found."""
        return sum(tally.killed for tally in self.tallies)

    @property
    def percent(self) -> int:
        """The share that was found, rounded down, so that 90 is never less than 90; of nothing it is 0."""
        return self.killed * 100 // self.planted if self.planted else 0

    def to_json(self) -> dict[str, Any]:
        """Return the summary as a JSON value."""
        return {
            "planted": self.planted,
            "killed": self.killed,
            "percent": self.percent,
            "kinds": [
                {"kind": tally.kind, "planted": tally.planted, "killed": tally.killed, "rules": list(tally.rules)}
                for tally in self.tallies
            ],
            "survivors": [plant.to_json() for plant in self.survivors],
        }
