"""A share has the rows of its machines and no others, and knows where the whole log has them."""

import pickle

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from aster_cli.config import TimeConfig
from aster_cli.errors import DataError
from aster_cli.logs import ROW, share_out
from tests.tiny_detector import interleaved, wave


@pytest.fixture
def fleet(save):
    """Five machines: two in a file each, three mixed in another one."""
    a, b, *mixed = (wave(rows, seed=rows, unit=f"u{rows}") for rows in (20, 31, 7, 40, 23))
    return [
        save(log, f"{name}.csv") for name, log in (("1", a), ("2", b), ("3", interleaved(*mixed)))
    ]


@pytest.mark.parametrize("time", [TimeConfig(), TimeConfig(sort=True)], ids=["as it is", "sorted"])
@pytest.mark.parametrize("shares", [1, 2, 3, 9])
def test_shares_together_are_the_log(fleet, opened, whole, time, shares):
    # A row that no share has is lost; one that two have is doubled.
    log = opened(*fleet, id_cols=("unit",), time=time)
    expected = whole(log)
    found, begins = [], []
    for first_row, share in share_out(log, shares):
        sent = pickle.loads(pickle.dumps(share))
        parts = whole(sent, rows=10)
        assert sent.n_rows == len(parts["time"])
        last = {machine: row for row, machine in enumerate(parts["machines"])}
        assert sent.last_rows == last
        keys = parts["keys"] if sent.alias is None else sent.input_keys[sent.alias.argsort()]
        found.append(keys.with_columns(pl.Series("value", parts["values"][:, 0])))
        begins.append((first_row, keys[ROW].min()))
    assert len(found) == min(shares, 5)
    assert all(first == lowest for first, lowest in begins)
    together = pl.concat(found).sort(ROW)
    assert together[ROW].to_list() == list(range(121))
    order = np.arange(121) if log.alias is None else log.alias
    assert_frame_equal(
        together.drop(ROW),
        expected["keys"].with_columns(pl.Series("value", expected["values"][:, 0]))[order],
    )


def test_a_share_reads_only_the_files_of_its_machines(fleet, opened):
    # Otherwise each of a thousand workers would read the whole log.
    log = opened(*fleet, id_cols=("unit",))
    files = [[source.stem for source in share.sources] for _, share in share_out(log, 5)]
    assert files == [["1"], ["2"], ["3"], ["3"], ["3"]]


def test_a_fault_in_a_share_is_named_as_in_the_log(save, opened):
    # Row numbers of a share mean nothing to whoever has to mend the log.
    log = interleaved(wave(5, unit="a"), wave(5, unit="b"))
    path = save(pl.concat([log, log.tail(1)]), "twice.csv")
    time = TimeConfig(duplicates="error", sort=True)
    _, (_, share) = share_out(opened(path, id_cols=("unit",), time=time), 2)
    with pytest.raises(DataError, match=r"twice\.csv, row 11: .*occurs twice"):
        list(share.batches())
