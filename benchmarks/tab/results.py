"""Results: a JSON line for each file and seed as it comes, and the table made from those lines."""

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from statistics import fmean

import msgspec

from aster_cli.errors import LogFormatError, StorageError
from benchmarks.tab.published import Published

HEADER = (
    *("file", "seeds", "AUC-ROC", "AUC-PR", "VUS-ROC", "VUS-PR"),
    *("TAB's best AUC-ROC", "TAB's best AUC-PR", "unscored rows", "training s", "scoring s"),
)


class Result(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    rename={"auc_roc": "AUC-ROC", "auc_pr": "AUC-PR", "vus_roc": "VUS-ROC", "vus_pr": "VUS-PR"},
):
    """One file with one seed; a figure is None where all rows that got a score are of one class."""

    file: str
    seed: int
    sensors: int
    train_rows: int
    test_rows: int
    unscored_rows: int
    auc_roc: float | None
    auc_pr: float | None
    vus_roc: float | None
    vus_pr: float | None
    vus_buffer: int | None
    published: Published | None
    train_seconds: float
    score_seconds: float
    aster_version: str


def append_result(path: Path, result: Result) -> None:
    """Add a line.

    Raises:
        StorageError: The file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as lines:
            lines.write(msgspec.json.encode(result) + b"\n")
    except OSError as error:
        raise StorageError(f"cannot be written: {error.strerror}", where=str(path)) from error


def read_results(path: Path) -> list[Result]:
    """Read the lines that are there; none if there is no file.

    Raises:
        StorageError: The file cannot be read.
        LogFormatError: A line is no result.
    """
    try:
        lines = path.read_bytes().splitlines() if path.exists() else []
    except OSError as error:
        raise StorageError(f"cannot be read: {error.strerror}", where=str(path)) from error
    results = []
    for number, line in enumerate(lines, start=1):
        try:
            results.append(msgspec.json.decode(line, type=Result))
        except msgspec.DecodeError as error:
            raise LogFormatError(
                f"is no result of this benchmark: {error}",
                where=f"{path}, line {number}",
                hint="delete the line, or name another --output",
            ) from error
    return results


def table(results: Sequence[Result]) -> str:
    """A row a file, in Markdown: means over its seeds, and TAB's best beside them."""
    rows = [HEADER, ("---",) * len(HEADER)]
    rows += [_row(list(of_file)) for _, of_file in groupby(results, lambda result: result.file)]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _row(results: Sequence[Result]) -> tuple[str, ...]:
    """The row of one file's results."""
    best = results[0].published
    return (
        results[0].file,
        str(len(results)),
        _mean([result.auc_roc for result in results]),
        _mean([result.auc_pr for result in results]),
        _mean([result.vus_roc for result in results]),
        _mean([result.vus_pr for result in results]),
        str(best.auc_roc) if best else "-",
        str(best.auc_pr) if best else "-",
        _mean([result.unscored_rows for result in results], digits=0),
        _mean([result.train_seconds for result in results], digits=0),
        _mean([result.score_seconds for result in results], digits=0),
    )


def _mean(values: Sequence[float | None], digits: int = 3) -> str:
    """The mean; none where one is missing, since a mean over fewer would not compare."""
    known = [value for value in values if value is not None]
    return f"{fmean(known):.{digits}f}" if len(known) == len(values) else "-"
