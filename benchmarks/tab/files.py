"""The door to TAB's files: a metadata table, and one long CSV a log.

A long CSV stacks the columns of a log: all points of the first, then all of the second, the labels
last; with a date for every point, or without::

    date,data,cols
    2020-01-01,0.31,pressure
    2020-01-02,0.29,pressure
    2020-01-01,71.5,flow
    2020-01-02,70.9,flow
    2020-01-01,0,label
    2020-01-02,1,label

The metadata says in ``train_lens`` how many rows come before the test. What leaves here for a
detector has no labels, and no dates: TAB's methods do not see them either.
"""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from aster_cli.errors import DataError, LogFormatError, StorageError, UsageError
from aster_cli.evaluation.runs import BoolArray, IntArray
from aster_cli.results import FloatArray

METADATA = "DETECT_META.csv"
LABEL = "label"
HEADERS = (["data", "cols"], ["date", "data", "cols"])


@dataclass(frozen=True, slots=True)
class TabFile:
    """A long CSV, and what the metadata says of it.

    Attributes:
        path: Where it lies.
        train_rows: The rows before the test.
    """

    path: Path
    train_rows: int

    @property
    def name(self) -> str:
        """The dataset's name, such as PSM."""
        return self.path.stem


@dataclass(frozen=True, slots=True)
class Split:
    """A log in wide form: what to learn from, what to score, what to judge the scores by.

    Attributes:
        train: A column a sensor, without labels.
        test: The rows after it, in the same columns.
        labels: ``(test row,)``, of both classes.
    """

    train: pl.DataFrame
    test: pl.DataFrame
    labels: BoolArray


def find_files(
    folder: Path, metadata: Path | None = None, only: Collection[str] = ()
) -> list[TabFile]:
    """Find the multivariate files of a folder, or those that are asked for.

    Args:
        folder: The CSV files, or TAB's own folder, which keeps them under ``data``.
        metadata: `METADATA` in the folder if None.
        only: Names of files without their suffix; upper and lower case mean the same.

    Raises:
        StorageError: The folder or the metadata is not there.
        LogFormatError: The metadata is no such table.
        DataError: It does not say, or not once, how many rows of a file train.
        UsageError: There is no file, or none of a name that is asked for.
    """
    if not folder.is_dir():
        raise StorageError("is no directory", where=str(folder))
    metadata = metadata or folder / METADATA
    rows = _read_metadata(metadata)
    place = folder / "data" if (folder / "data").is_dir() else folder
    paths = [path for path in sorted(place.glob("*.csv")) if not _same(path, metadata)]
    if only:
        by_name = {path.stem.casefold(): path for path in paths}
        absent = [name for name in only if name.casefold() not in by_name]
        if absent:
            raise UsageError(f"has no file {absent[0] + '.csv'!r}", where=str(place))
        paths = sorted({by_name[name.casefold()] for name in only})
    else:
        paths = [path for path in paths if not _is_univariate(rows.get(path.name, {}))]
    if not paths:
        raise UsageError("has no CSV file of a multivariate log", where=str(place))
    return [TabFile(path, _train_rows(rows.get(path.name), path.name, metadata)) for path in paths]


def read_split(file: TabFile) -> Split:
    """Read a file into wide form and cut it where the test begins.

    Raises:
        StorageError: It cannot be read.
        LogFormatError: It does not stack columns of one length, the labels last.
        DataError: A label is neither 0 nor 1, or the test has no rows, or rows of one class only.
    """
    names, values = _read_columns(file.path)
    labels = values[-1]
    is_valid = (labels == 0) | (labels == 1)
    if not is_valid.all():
        row = int(np.flatnonzero(~is_valid)[0])
        raise DataError(
            f"label {labels[row]:g} is neither 0 nor 1",
            where=f"{file.path}, row {row + 1}",
            hint="write 1 for an anomalous row and 0 for a normal one",
        )
    cut = file.train_rows
    if cut >= len(labels):
        raise DataError(
            f"has {len(labels):,} rows, and the first {cut:,} are to train: none is left to test",
            where=str(file.path),
            hint="correct train_lens in the metadata",
        )
    test_labels = labels[cut:] == 1
    if test_labels.all() or not test_labels.any():
        raise DataError(
            f"has no {'normal' if test_labels.all() else 'anomalous'} row after the first {cut:,}: "
            "no score can be judged",
            where=str(file.path),
            hint="correct train_lens in the metadata, or leave the file out with --only",
        )
    log = pl.DataFrame(dict(zip(names[:-1], values[:-1], strict=True)))
    return Split(log[:cut], log[cut:], test_labels)


def _read_metadata(path: Path) -> dict[str, dict[str, str | None]]:
    """The metadata's rows by file name."""
    table = _read_csv(path, infer_schema=False)
    for column in ("file_name", "train_lens"):
        if column not in table.columns:
            raise LogFormatError(
                f"has no column {column!r}", where=str(path), hint="name TAB's own with --metadata"
            )
    table = table.drop_nulls("file_name")
    repeated = table["file_name"].filter(table["file_name"].is_duplicated())
    if len(repeated):
        raise DataError(f"lists {repeated[0]!r} more than once", where=str(path))
    return {row["file_name"]: row for row in table.iter_rows(named=True)}


def _same(one: Path, other: Path) -> bool:
    return one.resolve() == other.resolve()


def _is_univariate(row: dict[str, str | None]) -> bool:
    """TAB keeps some thousand logs of one sensor beside the others."""
    return (row.get("if_univariate") or "").casefold() == "true"


def _train_rows(row: dict[str, str | None] | None, name: str, metadata: Path) -> int:
    if row is None:
        raise DataError(
            f"does not list {name!r}",
            where=str(metadata),
            hint="add its file_name and train_lens, or leave the file out with --only",
        )
    text = row["train_lens"] or ""
    try:
        count = float(text)  # TAB writes 132481.0
    except ValueError:
        count = 0.0
    if count < 1 or not count.is_integer():
        raise DataError(
            f"train_lens of {name!r} is {text!r}",
            where=str(metadata),
            hint="give the number of rows before the test",
        )
    return int(count)


def _read_columns(path: Path) -> tuple[list[str], FloatArray]:
    """The names of the columns, the labels last, and their values ``(column, row)``."""
    header = _read_csv(path, n_rows=0).columns
    if header not in HEADERS:
        raise LogFormatError(
            f"has the columns {', '.join(header)}",
            where=str(path),
            hint="a long file has data and cols, and may have date before them",
        )
    # A long log has tens of millions of points: as categories, their names take four bytes each.
    points = _read_csv(
        path,
        columns=["data", "cols"],
        schema_overrides={"data": pl.Float64(), "cols": pl.Categorical()},
    )
    if points["cols"].null_count():
        line = int(points["cols"].is_null().arg_true()[0]) + 2
        raise LogFormatError("a point has no column", where=f"{path}, line {line}")
    codes = points["cols"].to_physical().to_numpy()
    starts = np.flatnonzero(np.append(True, codes[1:] != codes[:-1]))
    names = points["cols"].gather(starts).cast(pl.String)
    _check_stacks(names, np.diff(starts, append=len(codes)), path)
    return names.to_list(), points["data"].to_numpy().reshape(len(names), -1)


def _check_stacks(names: pl.Series, lengths: IntArray, path: Path) -> None:
    """Refuse what is no stack of columns of one length, the labels last.

    Args:
        names: ``(stretch,)`` the column of each stretch of points.
        lengths: ``(stretch,)`` how many points it has.
        path: The file, for messages.

    Raises:
        LogFormatError: It is none.
    """
    where = str(path)
    again = names.filter(names.is_duplicated())
    if len(again):
        raise LogFormatError(
            f"the points of column {again[0]!r} do not follow one another",
            where=where,
            hint="stack the columns: all points of the first, then all of the second",
        )
    if LABEL not in names:
        raise LogFormatError(f"has no column {LABEL!r}", where=where)
    if names[-1] != LABEL:
        raise LogFormatError(
            f"column {LABEL!r} is not the last one, {names[-1]!r} comes after it",
            where=where,
            hint="put the labels last",
        )
    if len(names) == 1:
        raise LogFormatError(f"has no column beside {LABEL!r}", where=where)
    odd = np.flatnonzero(lengths != lengths[-1])
    if len(odd):
        raise LogFormatError(
            f"column {names[int(odd[0])]!r} has {lengths[odd[0]]:,} points, "
            f"and {LABEL!r} {lengths[-1]:,}",
            where=where,
            hint="give every column a point for each row, empty where a value is missing",
        )


def _read_csv(path: Path, **options: Any) -> pl.DataFrame:
    """Read a CSV file; what goes wrong is told as the project tells it."""
    try:
        return pl.read_csv(path, **options)
    except OSError as error:
        raise StorageError(f"cannot be read: {error.strerror or error}", where=str(path)) from error
    except pl.exceptions.PolarsError as error:
        raise LogFormatError(
            f"is no readable table: {str(error).splitlines()[0]}", where=str(path)
        ) from error
