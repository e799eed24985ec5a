"""A frame is a log like the file that it could be written to."""

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from aster_cli.config import ColumnConfig, TimeConfig
from aster_cli.errors import AsterError, DataError
from aster_cli.logs import Log, open_frame, open_log
from tests.tiny_detector import interleaved, wave

BOTH = interleaved(wave(60, unit="a"), wave(60, seed=1, unit="b"))
IDS = ColumnConfig(id_cols=("unit",))


def opened(frame: pl.DataFrame | pl.LazyFrame, columns: ColumnConfig = IDS) -> Log:
    return open_frame(frame, columns, TimeConfig())


@pytest.mark.parametrize(
    "frame",
    [
        BOTH,
        BOTH.lazy(),
        BOTH.with_columns(pl.col("unit").cast(pl.Categorical)),
        BOTH.with_columns(pl.col("time").cast(pl.String)),
        pl.concat([BOTH.head(7), BOTH.tail(-7)], rechunk=False),
    ],
    ids=["frame", "lazy", "categories", "text times", "chunks"],
)
def test_a_frame_reads_as_its_file(
    frame: pl.DataFrame | pl.LazyFrame, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever reads logs must not know where rows came from."""
    path = tmp_path_factory.mktemp("file") / "log.parquet"
    frame.lazy().collect().write_parquet(path)
    file = open_log([str(path)], IDS, TimeConfig())
    log = opened(frame)
    assert log.schema == file.schema
    assert log.n_rows == file.n_rows == 120
    for ours, theirs in zip(log.batches(50), file.batches(50), strict=True):
        assert_frame_equal(ours.keys, theirs.keys)
        assert (ours.values == theirs.values).all()
        assert (ours.time == theirs.time).all()
    assert log.last_rows == file.last_rows


def test_errors_name_the_frame_and_its_row() -> None:
    """There is no path to name."""
    repeated = pl.concat([wave(30), wave(30)])
    with pytest.raises(DataError, match=r"frame, row 31"):
        list(opened(repeated, ColumnConfig()).batches())
    with pytest.raises(AsterError, match="frame: has no rows"):
        opened(wave(10).clear(), ColumnConfig())
