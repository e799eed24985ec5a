"""`aster score` on ever more rows, sensors blamed: ten times the rows, ten times the time, no more memory."""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.speed.calls import Used, call
from benchmarks.speed.logs import write_log

_TRAINING_ROWS = 4000
_SHORT = 128
_ASTER = ("-m", "aster_cli")


def measure_rows(counts: list[int], *flags: object, sensors: int) -> list[str]:
    """Score logs of so many rows; return a table in Markdown.

    Seconds are without what a short log takes. `flags` are of `aster train`.
    """
    lines = [
        "| rows | processor seconds | µs a row | times as long, for times the rows | peak memory |",
        "|---|---|---|---|---|",
    ]
    with TemporaryDirectory() as name:
        folder = Path(name)
        model = folder / "m.aster"
        train = write_log(folder / "train.parquet", _TRAINING_ROWS, sensors)
        call(*_ASTER, "train", train, "-o", model, *flags, "--steps", 20, "-q")
        start = _score(folder, model, _SHORT, sensors).seconds
        before: tuple[int, float] | None = None
        for rows in counts:
            used = _score(folder, model, rows, sensors)
            seconds = used.seconds - start
            ratio = "" if before is None else f"{seconds / before[1]:.2f} for {rows / before[0]:g}"
            lines.append(
                f"| {rows:,} | {seconds:.1f} | {1e6 * seconds / rows:.1f} | {ratio} "
                f"| {used.peak:.0f} MB |"
            )
            sys.stderr.write(f"{lines[-1]}\n")
            before = rows, seconds
    return lines


def _score(folder: Path, model: Path, rows: int, sensors: int) -> Used:
    log = write_log(folder / "log.parquet", rows, sensors, seed=1)
    return call(*_ASTER, "score", log, "-m", model, "-o", folder / "scores.parquet", "-q")
