"""What makes a sensor suspicious, judged from its numbers once the log has ended.

The constants were chosen so that 62 real logs stay calm and planted cases are found.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aster_cli.inspection.roles import find_roles
from aster_cli.inspection.values import Finding
from aster_cli.results import FloatArray

_MOSTLY_MISSING = 0.5
_ALMOST_CONSTANT = 0.99  # share of the sample with one value
_FROZEN_ROWS = 30  # a shorter standstill is never worth a word
_FROZEN_TIMES = 4.0  # longer than the longest that its other steps let expect
_COUNTER_RISES = 10
_RESET_RISES = 50  # for each reset of a counter that has some, at least
_CLIPPED_SHARE = 0.01  # of the sample, on the bound itself
_CLIPPED_ROWS = 20
_CLIPPED_TIMES = 5  # as often as any other value
_CLIPPED_VALUES = 50  # fewer are levels, not measurements
_NEAR_BOUND = 0.05  # of the range: where a distribution that is cut goes on
_ALIKE = 0.99999  # correlation
_NEARLY_ALIKE = 0.999  # and one that is worth the exact sum


@dataclass(frozen=True, slots=True)
class Numbers:
    """All that is known of a sensor.

    Attributes:
        name: The sensor's.
        n_rows: Rows of the log.
        known: Cells with a value.
        low: The lowest value.
        high: The highest value.
        sample: Values of an even sample of rows, without missing ones.
        twin: The first sensor with the same cells; itself where there is none before it.
        alike: A sensor that moves with it and has no fewer values, or None.
        pairs: Steps between two known values.
        rises: Those upwards.
        falls: Those downwards.
        stood: Rows of the longest standstill.
        stood_at: Its value.
        stood_until: When and where it ended.
    """

    name: str
    n_rows: int
    known: int
    low: float
    high: float
    sample: FloatArray
    twin: str
    alike: str | None
    pairs: int
    rises: int
    falls: int
    stood: int
    stood_at: float
    stood_until: str


def suspect(numbers: Numbers) -> tuple[Finding, ...]:
    """Why a sensor deserves a look, if it does."""
    if numbers.known == 0:
        return (Finding("all missing", "no cell has a value"),)
    found = []
    missing = 1.0 - numbers.known / numbers.n_rows
    if missing > _MOSTLY_MISSING:
        found.append(Finding("mostly missing", f"{_percent(missing)} of its cells are missing"))
    if numbers.low == numbers.high:
        constant = Finding("constant", f"{numbers.low:g} in every row")
        return (*found, constant, *find_roles(numbers.name, np.array([numbers.low])))
    if numbers.twin != numbers.name:
        found.append(Finding("duplicate", f"equals {numbers.twin!r} in every row"))
    elif numbers.alike is not None:
        found.append(Finding("duplicate", f"moves exactly as {numbers.alike!r} does"))
    distinct, counts = np.unique(numbers.sample, return_counts=True)
    share = float(counts.max() / len(numbers.sample)) if len(distinct) else 0.0
    if share > _ALMOST_CONSTANT:
        usual = distinct[counts.argmax()]
        found.append(Finding("almost constant", f"{usual:g} in {_percent(share)} of the rows"))
    elif len(distinct) > 2 and _is_frozen(numbers):  # two values are a switch
        stood = f"{numbers.stood_at:g} for {numbers.stood:,} rows"
        found.append(Finding("frozen", f"stands at {stood} until {numbers.stood_until}"))
    found += _clipped(numbers, distinct, counts)
    found += _counter(numbers, distinct)
    found += find_roles(numbers.name, np.union1d(distinct, (numbers.low, numbers.high)))
    return tuple(found)


def find_alike(sample: FloatArray) -> list[int | None]:
    """For each sensor the first other that moves with it, up to scale and offset.

    Two are compared over the rows in which both have a value. The one with fewer values is alike, or
    else the later one.

    Args:
        sample: ``(row, sensor)`` NaN where a cell is missing.
    """
    known = ~np.isnan(sample)
    n_values = known.sum(axis=0)
    levels = [len(np.unique(column[has])) for column, has in zip(sample.T, known.T, strict=True)]
    measured = np.array(levels) > _CLIPPED_VALUES
    fuller = (n_values > n_values[:, None]) | np.tril(n_values == n_values[:, None], k=-1)
    near = (_correlations(sample) > _NEARLY_ALIKE) & fuller & measured & measured[:, None]

    def first_like(sensor: int) -> int | None:
        for other in np.flatnonzero(near[sensor]).tolist():
            if _moves_with(sample[known[:, sensor] & known[:, other]][:, [sensor, other]]):
                return int(other)
        return None

    return [first_like(sensor) for sensor in range(sample.shape[1])]


def _correlations(sample: FloatArray) -> FloatArray:
    """Of each two sensors, without sign, and rounded: where a value is far out, by more than a little."""
    known = ~np.isnan(sample)
    there = known.astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        mean = np.where(known, sample, 0.0).sum(axis=0) / there.sum(axis=0)
        values = np.where(known, sample - mean, 0.0)
        values /= np.abs(values).max(axis=0, initial=0.0)
        # of the one sensor, over the rows in which the other has a value
        rows, sums, squares = there.T @ there, values.T @ there, (values**2).T @ there
        spread = np.sqrt(rows * squares - sums**2)
        products = rows * (values.T @ values) - sums * sums.T
        correlations: FloatArray = np.abs(products / (spread * spread.T))
    return correlations


def _moves_with(pair: FloatArray) -> bool:
    """Whether two columns without holes are each other's multiple."""
    if min(len(np.unique(column)) for column in pair.T) <= _CLIPPED_VALUES:
        return False
    # scaled by the largest deviation first: squares of huge or tiny numbers leave the floats
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        centred = pair - pair.mean(axis=0)
        centred /= np.abs(centred).max(axis=0)
        centred /= np.sqrt((centred**2).sum(axis=0))
        return bool(abs(centred[:, 0] @ centred[:, 1]) > _ALIKE)


def _is_frozen(numbers: Numbers) -> bool:
    """Whether a value stands still far longer than the sensor's other steps let expect.

    A sensor that moves at a share p of its steps, independently, has a longest standstill of
    about log(n) / p rows. At zero, or at its lowest, it is at rest.
    """
    if numbers.stood_at in (0.0, numbers.low):
        return False
    others = numbers.pairs - (numbers.stood - 1)
    moves = numbers.rises + numbers.falls
    if numbers.stood < _FROZEN_ROWS or moves == 0:
        return False
    expected = np.log(max(others, 2)) / (moves / max(others, 1))
    return bool(numbers.stood > _FROZEN_TIMES * expected)


def _clipped(
    numbers: Numbers, distinct: FloatArray, counts: NDArray[np.int64]
) -> tuple[Finding, ...]:
    """A distribution that goes on right up to a bound, and piles up on it.

    Zero is no such bound: what rests there is off, not clipped.
    """
    if len(distinct) < _CLIPPED_VALUES:
        return ()
    total = int(counts.sum())
    within, usual = distinct[1:-1], counts[1:-1]
    bounds = []
    for name, place in (("lowest", 0), ("highest", -1)):
        bound, piled = float(distinct[place]), int(counts[place])
        near = np.abs(within - bound) <= _NEAR_BOUND * np.ptp(distinct)
        if (
            bound != 0
            and piled >= max(_CLIPPED_ROWS, _CLIPPED_SHARE * total)
            and piled > _CLIPPED_TIMES * int(usual.max())
            and int(usual[near].sum()) >= piled / 10
        ):
            bounds.append(f"{_percent(piled / total)} of the rows lie on its {name}, {bound:g}")
    return (Finding("clipped", "; ".join(bounds)),) if bounds else ()


def _counter(numbers: Numbers, distinct: FloatArray) -> tuple[Finding, ...]:
    """A sensor that rises all the time, or but for resets."""
    falls, rises = numbers.falls, numbers.rises
    if falls == 0 and rises >= _COUNTER_RISES:
        span = f"from {numbers.low:g} to {numbers.high:g}"
        return (Finding("counter", f"rises {span} and never falls"),)
    if falls and rises >= _RESET_RISES * falls and len(distinct) >= _CLIPPED_VALUES:
        times = "once" if falls == 1 else f"{falls:,} times"
        return (Finding("counter", f"rises, and starts anew {times}"),)
    return ()


def _percent(share: float) -> str:
    """A share in words; nearly all is not all."""
    return "over 99.9 %" if share > 0.999 else f"{100 * share:.1f} %"
