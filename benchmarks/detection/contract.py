"""What every method is to the benchmark: logs without labels in, row scores out."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from aster_cli.results import FloatArray

READINGS = ("classifier", "window")
"""The parts of aster's score."""


@dataclass(frozen=True, slots=True)
class RowScores:
    """One score for every row of a log, in its order.

    Attributes:
        values: ``(row,)`` higher for worse, NaN where a row has none.
        threshold: ``(row,)`` fixed before the log was seen; None where the method has none.
    """

    values: FloatArray
    threshold: FloatArray | None


class Method(Protocol):
    """A detector that is trained once and scores as many logs as it is given."""

    def fit(self, log: Path) -> None:
        """Learn from a mostly normal log."""

    def score(self, log: Path) -> RowScores:
        """Score another log of the same source."""

    def parts(self, log: Path) -> dict[str, FloatArray]:
        """What each part of it says alone, ``(row,)`` by the part's name."""
