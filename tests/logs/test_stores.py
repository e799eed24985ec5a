"""Logs in an object store are read as files are, and scores put there are whole or absent."""

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from pyarrow.fs import LocalFileSystem, copy_files

from aster_cli.errors import StorageError
from aster_cli.logs import open_writer
from aster_cli.logs.sources import find_sources
from aster_cli.logs.stores import store_of


@pytest.fixture
def put(bucket, save, request):
    """Write a log, and copy it into a folder of the bucket that no other test has."""

    def copy(content: pl.DataFrame | bytes, name: str) -> str:
        url = f"{bucket}/{request.node.name}/{name}"
        store, key = store_of(url)
        copy_files(save(content, name), key, LocalFileSystem(), store)
        return url

    return copy


@pytest.mark.parametrize("suffix", ["csv", "csv.gz", "parquet", "ndjson.zst", "arrow", "ipc"])
def test_an_object_is_read_as_the_file_is(suffix, put, save, pump, opened, whole):
    # Every format is opened in its own way, and each must do without a local path.
    url = put(pump, f"a.{suffix}")
    there, here = whole(opened(url)), whole(opened(save(pump, f"a.{suffix}")))
    assert_frame_equal(there["keys"], here["keys"])
    assert there["values"].tobytes() == here["values"].tobytes()


def test_folders_and_globs_find_logs_only(put):
    # As of directories: hidden files and model directories are no logs.
    urls = [put(b"x", name) for name in ("u=1/a.csv", "u=2/a.csv", "b.csv")]
    for name in (".hidden.csv", "m.aster/c.parquet", "notes.md"):
        put(b"x", name)
    base = urls[2].removesuffix("/b.csv")

    def found(path: str) -> list[str]:
        return [source.display_name for source in find_sources([path])]

    assert found(base) == found(f"{base}/") == sorted(urls)
    assert found(f"{base}/*.csv") == [urls[2]]
    assert found(f"{base}/*/a.csv") == urls[:2]
    (source,) = find_sources([urls[0]])
    assert (source.stem, source.hive, source.is_local) == ("a", {"u": "1"}, False)


def test_what_is_not_there_is_named(bucket, put):
    # Every one of these would otherwise surface as an empty log much later.
    put(b"x", "only.md")
    folder = f"{bucket}/{test_what_is_not_there_is_named.__name__}"
    for url, problem in [
        (f"{bucket}/nowhere.csv", "no such object or folder"),
        (f"{bucket}/nowhere-*.csv", "matches no object"),
        ("s3://no-such-bucket/a.csv", "no such object or folder"),
        (folder, "holds no logs"),
    ]:
        with pytest.raises(StorageError, match=problem) as caught:
            find_sources([url])
        assert url in str(caught.value)


def test_a_store_that_refuses_says_so_on_one_line(monkeypatch):
    # PyArrow's words name operations and requests over several lines.
    monkeypatch.setattr("aster_cli.logs.stores._store", _refuse)
    with pytest.raises(StorageError, match=r"cannot be read \(AWS Error ACCESS_DENIED: no\)$"):
        find_sources(["s3://logs/a.csv"])


def _refuse(bucket: str) -> None:
    raise OSError("AWS Error\nACCESS_DENIED: no (Request ID: 1)")


def test_scores_are_put_there_whole_or_not_at_all(bucket):
    # A reader must never see half an object, nor lose the one before.
    url = f"{bucket}/scores/all.parquet"
    store, key = store_of(url)
    frame = pl.DataFrame({"timestamp": [1, 2], "score": [0.5, 1.5]})
    out = open_writer(url)
    out.__enter__()
    out.write(frame)
    out.__exit__(ZeroDivisionError, ZeroDivisionError(), None)
    assert not store.get_file_info(key).is_file
    for rows in (frame, frame.head(1)):
        with open_writer(url) as out:
            out.write(rows)
        assert_frame_equal(pl.read_parquet(store.open_input_file(key).readall()), rows)
    with (
        pytest.raises(StorageError, match="cannot be written"),
        open_writer("s3://none/a.csv") as out,
    ):
        out.write(frame)
