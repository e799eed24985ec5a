"""What a model directory says of its own limits, from what its training saw."""

from collections.abc import Iterator, Sequence

from aster_cli.card.values import EpochRecord, TrainingRecord

_MOST_NAMES = 5


def limits(training: TrainingRecord) -> Iterator[str]:
    """Sentences, the most general first."""
    yield (
        "It knows the normal behaviour in its span and nothing else: a new season, a changed set "
        "point or a rescaled sensor looks anomalous to it."
    )
    if training.margin:
        yield (
            f"Its threshold rests on about {training.effective_rows:,} independent windows. These "
            "are few, so it takes a margin, and slight anomalies stay below it."
        )
    still = [one.sensor for one in training.ranges if one.stood_still]
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
