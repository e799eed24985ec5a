"""Times become numbers that can be subtracted, exactly; disorder is seen across any cut."""

from datetime import UTC, date, datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from aster_cli.errors import DataError
from aster_cli.logs.clock import RisingTime, RowCount, common_dtype, epoch_unit, to_instants

SECOND = 1_000_000_000
INSTANT = datetime(2024, 3, 1, 8, tzinfo=UTC)
EPOCH = int(INSTANT.timestamp())


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (pl.Series([INSTANT.replace(tzinfo=None)], dtype=pl.Datetime("ms")), "datetime"),
        (pl.Series([INSTANT.replace(tzinfo=None)], dtype=pl.Datetime("ns")), "datetime"),
        (pl.Series([INSTANT.astimezone(ZoneInfo("Asia/Tokyo"))]), "datetime"),
        (pl.Series([EPOCH], dtype=pl.Int32), "epoch"),
        (pl.Series([EPOCH * 1000], dtype=pl.UInt64), "epoch"),
        (pl.Series([EPOCH * 10**6]), "epoch"),
        (pl.Series([EPOCH * 10**9]), "epoch"),
        (pl.Series([float(EPOCH)]), "epoch"),
    ],
)
def test_instants_are_nanoseconds(cells, kind):
    # However one instant is written, it is one number; zones compare as UTC.
    unit = epoch_unit(cells) if kind == "epoch" else None
    assert to_instants(cells, kind, unit).to_list() == [EPOCH * SECOND]


def test_dates_and_counters():
    # A date is its midnight; a counter stays what it is, whole or not.
    assert to_instants(pl.Series([date(1970, 1, 2)]), "date", None).to_list() == [86_400 * SECOND]
    whole = to_instants(pl.Series([3], dtype=pl.Int16), "counter", None)
    assert whole.dtype == pl.Int64
    assert whole.to_list() == [3]
    assert to_instants(pl.Series([0.5]), "counter", None).to_list() == [0.5]


def test_times_that_do_not_exist_are_null():
    # Sentinels such as the year 9999 would wrap round to the past.
    far = pl.Series([datetime(9999, 12, 31), datetime(1, 1, 1)], dtype=pl.Datetime("us"))
    assert to_instants(far, "datetime", None).null_count() == 2
    broken = pl.Series([float("nan"), float("inf"), None])
    assert to_instants(broken, "counter", None).null_count() == 3
    assert to_instants(pl.Series([2**62]), "epoch", SECOND).null_count() == 1


def test_only_plausible_magnitudes_are_epochs():
    # A counter in the thousands is not 1970.
    assert epoch_unit(pl.Series([0, 1, 2])) is None
    assert epoch_unit(pl.Series([EPOCH, 5])) is None
    assert epoch_unit(pl.Series([], dtype=pl.Int64)) is None


def faults(times: list[int], machines: NDArray[np.str_], cuts: list[int]) -> int | None:
    """Where disorder is first seen when the rows are cut into batches."""
    rising = RisingTime()
    edges = [0, *sorted(cuts), len(times)]
    for start, stop in pairwise(edges):
        if start == stop:
            continue
        names, codes = np.unique(machines[start:stop], return_inverse=True)
        fault = rising.first_fault(
            np.array(times[start:stop]),
            [(name,) for name in names.tolist()],
            codes.astype(np.int32),
        )
        if fault is not None:
            return start + fault
    return None


@given(
    st.lists(st.tuples(st.integers(0, 9), st.sampled_from("ab")), min_size=1, max_size=12),
    st.lists(st.integers(0, 12), max_size=3),
)
def test_disorder_is_found_at_the_same_row_however_rows_are_cut(rows, cuts):
    # What a plain loop over rows would find, independent of the reader's blocks.
    times = [time for time, _ in rows]
    machines = np.array([machine for _, machine in rows])
    last: dict[str, int] = {}
    expected = None
    for row, (time, machine) in enumerate(rows):
        if time <= last.get(machine, -1):
            expected = row
            break
        last[machine] = time
    assert faults(times, machines, [min(cut, len(rows)) for cut in cuts]) == expected


def test_repeats_can_be_allowed():
    # They are merged later; a fall is a fault all the same.
    codes = np.zeros(3, dtype=np.int32)
    assert RisingTime(allow_repeats=True).first_fault(np.array([1, 1, 2]), [()], codes) is None
    assert RisingTime(allow_repeats=True).first_fault(np.array([1, 2, 1]), [()], codes) == 2


def test_rows_are_counted_by_machine_over_batches():
    # Each machine's rows are consecutive, however they are mixed with others.
    count = RowCount()
    codes = np.array([0, 1, 0], dtype=np.int32)
    assert count.count([("a",), ("b",)], codes).tolist() == [0, 0, 1]
    assert count.count([("b",), ("a",)], codes).tolist() == [1, 2, 2]


def test_files_share_one_time_dtype_without_loss():
    # The finest unit, and a fraction where any file has one.
    ms, ns = pl.Datetime("ms"), pl.Datetime("ns")
    assert common_dtype([("a", ms), ("b", ns)]) == ns
    assert common_dtype([("a", pl.Int32()), ("b", pl.Int64())]) == pl.Int64
    assert common_dtype([("a", pl.Int32()), ("b", pl.Float64())]) == pl.Float64
    assert common_dtype([("a", pl.Int32()), ("b", pl.Int32())]) == pl.Int32


@pytest.mark.parametrize(
    "other", [pl.Datetime("ms", "UTC"), pl.Datetime("ms", "Asia/Tokyo"), pl.Date(), pl.Int64()]
)
def test_files_of_different_zones_are_not_one_log(other):
    # Naive times could be an hour off, and nobody would notice.
    with pytest.raises(DataError, match=r"^b: .*those of a are Datetime"):
        common_dtype([("a", pl.Datetime("ms")), ("b", other)])
