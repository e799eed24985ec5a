"""Values that the floors hand to each other keep rows with their machines."""

import numpy as np
import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from aster_cli.results import LogBatch, Series


@given(st.lists(st.integers(0, 3), max_size=20))
def test_rows_by_machine_are_all_rows_in_order(codes: list[int]) -> None:
    """A row lost or given to a neighbour would be scored with another pump's history."""
    n = len(codes)
    batch = LogBatch(
        first_row=0,
        keys=pl.DataFrame({"timestamp": np.arange(n)}),
        time=np.arange(n),
        machines=(("a",), ("b",), ("c",), ("d",)),
        machine_codes=np.array(codes, dtype=np.int32),
        values=np.zeros((n, 1)),
        labels=None,
    )
    found = {machine: rows.tolist() for machine, rows in batch.by_machine()}
    assert found == {
        machine: [row for row, code in enumerate(codes) if code == wanted]
        for wanted, machine in enumerate(batch.machines)
        if wanted in codes
    }


def test_a_stretch_keeps_its_row_numbers() -> None:
    """Scores go back to the rows of the log, not of the stretch."""
    series = Series((), np.arange(10, 20), np.arange(10), np.arange(20.0).reshape(10, 2))
    part = series.rows(2, 5)
    assert len(part) == 3
    assert part.numbers.tolist() == [12, 13, 14]
    assert part.values[:, 0].tolist() == [4.0, 6.0, 8.0]
