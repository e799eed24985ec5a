"""The command reads logs from an object store, and puts scores there."""

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from pyarrow.fs import LocalFileSystem, copy_files

from aster_cli.logs.stores import store_of
from tests.tiny_detector import wave


@pytest.fixture
def log(bucket, save):
    """The URL of a log, and its path here."""
    path, url = save(wave(spike=True), "wave.parquet"), f"{bucket}/command/wave.parquet"
    store, key = store_of(url)
    copy_files(path, key, LocalFileSystem(), store)
    return url, path


def test_scores_from_store_to_store_are_those_of_files(log, bucket, model, aster):
    # The same commands, with URLs in the place of paths.
    url, path = log
    out = f"{bucket}/command/scores.parquet"
    assert aster("score", url, "-m", model, "-o", out).code == 0
    assert aster("score", path, "-m", model, "-o", "scores.parquet").code == 0
    store, key = store_of(out)
    there = pl.read_parquet(store.open_input_file(key).readall())
    assert_frame_equal(there, pl.read_parquet("scores.parquet"))
    assert "events" in aster("inspect", out).out
    assert url in aster("inspect", url).out


def test_scores_do_not_replace_their_own_log(log, model, aster):
    # A slip of the hand must not cost the log.
    url, _ = log
    ended = aster("score", url, "-m", model, "-o", url)
    assert ended.code == 2
    assert "is the log itself" in ended.complaint


def test_a_state_keeps_its_scores_in_a_directory(log, bucket, model, aster):
    # Parts of a dataset are renamed into place, and an object store has no renaming.
    url, _ = log
    ended = aster("score", url, "-m", model, "--state", "state", "-o", f"{bucket}/command/scores")
    assert ended.code == 2
    assert "go into a directory" in ended.complaint
