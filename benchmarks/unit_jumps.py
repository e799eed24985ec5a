"""How often ``aster inspect`` finds a change of unit, and how often it finds one where there is none.

    python -m benchmarks.unit_jumps

Changes are planted in the normal parts of the real logs, in each sensor of one sign with fifty levels or more, by itself:
once for good, and once there and back. *Told apart*: the middle 98 % of the sensor's values before and after have
no value in common. What is found without a change is counted on the normal and on the labelled parts.
"""

import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl

from aster_cli.config import ColumnConfig, TimeConfig
from aster_cli.inspection import inspect_log
from aster_cli.logs import Log, open_log
from aster_cli.logs.opening import open_frame
from aster_cli.results import FloatArray
from benchmarks.detection.entities import DATA, find_entities

LEVELS = 50
NEAR = 0.02  # of the rows: how far a change may be from where it is found
CELSIUS = (5.0, 90.0)  # medians of sensors that are taken as degrees
CHANGES = {
    "°C to °F": (1.8, 32.0),
    "bar to psi": (14.504, 0.0),
    "kPa to psi": (1 / 6.895, 0.0),
    "m to ft": (3.2808, 0.0),
    "km/h to mph": (1 / 1.609, 0.0),
    "kg to lb": (2.2046, 0.0),
}


def main() -> None:
    """Print what is found, by change."""
    if not DATA.is_dir():
        sys.exit(f"no logs to run on: {DATA} is not there")
    draw = np.random.default_rng(0)
    planted: Counter[tuple[str, bool]] = Counter()
    found: Counter[tuple[str, bool]] = Counter()
    for values in _sensors():
        for name, (ratio, offset) in CHANGES.items():
            if offset and not CELSIUS[0] < np.median(values) < CELSIUS[1]:
                continue
            n = len(values)
            start = int(n * draw.uniform(0.15, 0.8))
            for stop in (n, min(n, start + int(n * draw.uniform(0.08, 0.15)))):
                changed = values.copy()
                changed[start:stop] = ratio * values[start:stop] + offset
                kind = name, _told_apart(values, ratio * values + offset)
                planted[kind] += 1
                found[kind] += abs(_found_at(changed) - start) <= NEAR * n
    lines = ["| change | told apart | not |", "|---|---|---|"]
    for name in (*CHANGES, "all"):
        cells = []
        for apart in (True, False):
            kinds = [kind for kind in planted if kind[1] == apart and name in (kind[0], "all")]
            part, whole = sum(found[kind] for kind in kinds), sum(planted[kind] for kind in kinds)
            cells.append(f"{part} of {whole}")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    entities = find_entities(DATA)
    normal = sum(_jumps(entity.train) for entity in entities)
    labelled = sum(_jumps(entity.test) for entity in entities)
    lines += ["", f"none planted in {len(entities)} logs: {normal} normal, {labelled} labelled"]
    sys.stdout.write("\n".join(lines) + "\n")


def _sensors() -> Iterator[FloatArray]:
    """The values of every sensor, each once."""
    seen = set()
    for entity in find_entities(DATA):
        log = pl.read_parquet(entity.train)
        for name in log.columns[1:]:
            values = log[name].cast(pl.Float64).to_numpy()
            one_sign = (values > 0).all() or (values < 0).all()
            known = values.tobytes()
            if one_sign and len(np.unique(values)) >= LEVELS and known not in seen:
                seen.add(known)
                yield values


def _told_apart(before: FloatArray, after: FloatArray) -> bool:
    (low, high), (other_low, other_high) = (np.quantile(x, (0.01, 0.99)) for x in (before, after))
    return bool(other_low > high or other_high < low)


def _found_at(values: FloatArray) -> float:
    """The row from which on a sensor is said to be in another unit; infinite if it is not."""
    frame = pl.DataFrame({"step": range(len(values)), "sensor": values})
    with open_frame(frame, ColumnConfig(), TimeConfig()) as log:
        starts = [float(detail.split()[1]) for detail in _details(log)]
    return min(starts, default=np.inf)


def _jumps(path: Path) -> int:
    with open_log([str(path)], ColumnConfig(), TimeConfig()) as log:
        return len(_details(log))


def _details(log: Log) -> list[str]:
    """What is said of changes of unit: ``from WHEN on ...``."""
    findings = [finding for sensor in inspect_log(log).sensors for finding in sensor.findings]
    return [finding.detail for finding in findings if finding.kind == "unit jump"]


if __name__ == "__main__":
    main()
