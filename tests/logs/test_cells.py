"""Text must become what it says, and nothing else silently."""

from datetime import UTC, date, datetime

import polars as pl
import pytest

from aster_cli.errors import LogFormatError
from aster_cli.logs.cells import infer_dtype, infer_time_dtype, parse


def text(*cells: str | None) -> pl.Series:
    return pl.Series("col", list(cells), dtype=pl.String)


@pytest.mark.parametrize(
    ("cells", "dtype"),
    [
        (("1", " 2", "007"), pl.Int64()),
        (("1", "2.5", "-1e3"), pl.Float64()),
        (("1", "2", "broken"), pl.Float64()),
        (("", "NA", None), pl.Float64()),
        (("True", "false", ""), pl.Boolean()),
        (("2024-03-01", "2024-03-02"), pl.Date()),
        (("2024-03-01 08:00:00", "2024-03-01 08:00:00.25"), pl.Datetime("ns")),
        (("2024-03-01T08:00:00Z", "2024-03-01T08:00:00+02:00"), pl.Datetime("ns", "UTC")),
        (("NaT", "31.12.2024 08:00:00"), pl.Datetime("ns")),
        (("open", "shut"), pl.String()),
        (("08:00:01", "08:00:02"), pl.String()),
        (("9999-12-31 00:00:00",), pl.String()),
    ],
)
def test_the_first_cells_tell_the_dtype(cells, dtype):
    # A few broken cells must not turn a sensor into text, which would drop it.
    assert infer_dtype(text(*cells)) == dtype


def test_text_that_is_no_time_stays_text():
    # In typed formats a text column of numbers was meant as text.
    assert infer_time_dtype(text("1", "2")) == pl.String
    assert infer_time_dtype(text(None, "")) == pl.String


def test_cells_are_read_exactly():
    # One example of every spelling.
    numbers = parse(
        text("1", " 2.5 ", "1e3", "NaN", "N/A", "null", "", "-inf", "1.#QNAN"),
        pl.Float64(),
        where="f",
        first_row=1,
    )
    assert numbers[:3].to_list() == [1.0, 2.5, 1000.0]
    assert numbers[4:7].to_list() == [None, None, None]
    assert numbers[7] == float("-inf")
    truth = parse(text("TRUE", "False", "na"), pl.Boolean(), where="f", first_row=1)
    assert truth.to_list() == [True, False, None]
    days = parse(text("2024-03-01", "NaT"), pl.Date(), where="f", first_row=1)
    assert days.to_list() == [date(2024, 3, 1), None]
    zoned = parse(
        text("2024-03-01T08:00:00+02:00"), pl.Datetime("ns", "UTC"), where="f", first_row=1
    )
    assert zoned.to_list() == [datetime(2024, 3, 1, 6, tzinfo=UTC)]


@pytest.mark.parametrize(
    ("cells", "dtype", "problem"),
    [
        (("1", "x\x1b[0m"), pl.Float64(), r"f, row 11: 'x\\x1b\[0m' in column 'col' .* a number"),
        (("1", "2.5"), pl.Int64(), "f, row 11: '2.5' .* whole number"),
        (("true", "2"), pl.Boolean(), "f, row 11: '2' .* true or false"),
        (("2024-03-01", "soon"), pl.Date(), "f, row 11: 'soon' .* a date"),
        (("2024-03-01 08:00:00", "soon"), pl.Datetime("ns"), "f, row 11: 'soon' .* a time"),
        (
            ("2024-03-01T08:00:00", "2024-03-01T08:00:01Z"),
            pl.Datetime("ns"),
            r"f, row 11: '2024-03-01T08:00:01Z' .* offset",
        ),
        (
            ("2024-03-01 08:00:00", "9999-12-31 00:00:00"),
            pl.Datetime("ns"),
            r"f, row 11: '9999-12-31 00:00:00'",
        ),
    ],
)
def test_an_unreadable_cell_is_named(cells, dtype, problem):
    # File, row, column and cell are what a user needs to mend it.
    with pytest.raises(LogFormatError, match=problem):
        parse(text(*cells), dtype, where="f", first_row=10)


def test_a_long_cell_is_not_printed_whole():
    # Broken quoting makes cells as long as the file.
    with pytest.raises(LogFormatError) as caught:
        parse(text("1", "x" * 10_000), pl.Float64(), where="f", first_row=1)
    assert len(str(caught.value)) < 300
