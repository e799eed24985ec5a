"""What a model directory says of its own limits, from what its training saw."""

from collections.abc import Iterator, Sequence

import polars as pl

from aster_cli.checkpoint.values import EpochRecord, TrainingRecord
from aster_cli.reference import known_percentiles

_MOST_NAMES = 5


def limits(
    training: TrainingRecord, sensors: Sequence[str], reference: pl.DataFrame
) -> Iterator[str]:
    """Sentences, the most general first.

    Args:
        training: What it saw.
        sensors: Its sensors.
        reference: See `aster_cli.reference.reference_table`.
    """
    yield (
        "It knows the normal behaviour in its span and nothing else: a new season, a changed set "
        "point or a rescaled sensor looks anomalous to it."
    )
    if training.margin:
        yield (
            f"Its threshold rests on about {training.effective_rows:,} independent windows. These "
            "are few, so it takes a margin, and slight anomalies stay below it."
        )
    known = known_percentiles(reference)
    still = [name for name in sensors if _stood_still(known.get(name, ()))]
    if still:
        more = f" and {len(still) - _MOST_NAMES:,} more" if len(still) > _MOST_NAMES else ""
        names = ", ".join(still[:_MOST_NAMES]) + more
        yield f"Any change of what stood still in training looks anomalous: {names}."
    if training.machines > 1:
        yield (
            "Severity compares machines, scores do not. A machine that training did not see is "
            "judged by the average of those that it saw."
        )


def hardness(epochs: Sequence[EpochRecord]) -> tuple[float, ...]:
    """How well held-out windows and pseudo-anomalies were told apart, epoch by epoch; 0.5: not."""
    return tuple(epoch.separation for epoch in epochs if epoch.separation is not None)


def _stood_still(percentiles: Sequence[Sequence[float]]) -> bool:
    return bool(percentiles) and all(levels[0] == levels[-1] for levels in percentiles)
