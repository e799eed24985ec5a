"""Paths must lead to the files that the user meant, and to no others."""

import io
import os
import sys
import threading
from pathlib import Path

import polars as pl
import pytest

from aster_cli.errors import LogFormatError, StorageError, UsageError
from aster_cli.logs.sources import find_sources, remove_temporary


def names(paths: list[str]) -> list[str]:
    return [Path(source.path).name for source in find_sources(paths)]


def test_suffixes_tell_format_and_compression(save):
    # The suffix is all that a user says about a file's format.
    expected = {
        "a.csv": ("csv", None),
        "a.TSV": ("csv", None),
        "a.txt.gz": ("csv", "gzip"),
        "a.ndjson.zst": ("ndjson", "zstd"),
        "a.jsonl": ("ndjson", None),
        "a.pq": ("parquet", None),
        "a.feather": ("arrow", None),
    }
    for name, kind in expected.items():
        (source,) = find_sources([save(b"x", name)])
        assert (source.format, source.compression) == kind
        assert source.stem == "a"
        assert source.display_name == str(source.path)


def test_a_directory_gives_logs_only(save, tmp_path):
    # A model directory or a hidden file beside the logs must not be read as one of them.
    for name in ("b/2.csv", "a/1.parquet", "notes.md", ".hidden.csv", "m.aster/c.parquet"):
        save(b"x", name)
    save(b"x", "_delta/3.csv")
    assert names([str(tmp_path)]) == ["1.parquet", "2.csv"]


def test_a_glob_expands_in_order_and_files_are_taken_once(save, tmp_path, monkeypatch):
    # A shell may or may not expand globs; the same file named twice would overlap itself.
    for name in ("z.csv", "a.csv", "b.txt", ".h.csv"):
        save(b"x", name)
    assert names([str(tmp_path / "*.csv")]) == ["a.csv", "z.csv"]
    assert names([str(tmp_path / "z.csv"), str(tmp_path / "*.csv")]) == ["z.csv", "a.csv"]
    monkeypatch.chdir(tmp_path)
    assert names(["**/*.csv"]) == ["a.csv", "z.csv"]


def test_a_file_whose_name_looks_like_a_glob_is_a_file(save):
    # Brackets occur in real file names.
    assert names([save(b"x", "run [1].csv")]) == ["run [1].csv"]


def test_hive_folders_are_read(save, tmp_path):
    # Partitioned data keep the machine's name in the path only.
    save(b"x", "site=A%20B/unit=7/log.csv")
    (source,) = find_sources([str(tmp_path)])
    assert source.hive == {"site": "A B", "unit": "7"}


def test_paths_without_logs_are_named(save, tmp_path):
    # Every one of these would otherwise surface as an empty log much later.
    (tmp_path / "empty").mkdir()
    for path, problem in [
        ("nowhere.csv", "no such file"),
        ("*.parquet", "matches no file"),
        ("empty", "holds no logs"),
    ]:
        with pytest.raises(StorageError, match=problem) as caught:
            find_sources([str(tmp_path / path)])
        assert path in str(caught.value)
    with pytest.raises(LogFormatError, match=r"data\.bin.*suffix.*\.csv"):
        find_sources([save(b"x", "data.bin")])
    with pytest.raises(UsageError, match="no log given"):
        find_sources([])


def test_an_unreadable_file_is_a_storage_error(save, monkeypatch):
    # Permissions are refused by the system when the file is opened.
    path = save(b"x", "a.csv")

    class Refusing:
        def open_input_file(self, path):
            raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr("aster_cli.logs.sources.LocalFileSystem", Refusing)
    with pytest.raises(StorageError, match=r"a\.csv.*Permission denied"):
        find_sources([path])


def test_a_given_format_overrules_the_suffix(save):
    # Files called .log or .dat are common.
    (source,) = find_sources([save(b"x", "plant.log")], input_format="csv")
    assert source.format == "csv"


def test_names_with_control_characters_are_escaped(save):
    # A file name must not be able to write to the terminal.
    (source,) = find_sources([save(b"x", "a\x1b[31m.csv")])
    assert "\x1b" not in source.display_name


def feed(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.csv", ("csv", None)),
        ("a.csv.gz", ("csv", "gzip")),
        ("a.ndjson", ("ndjson", None)),
        ("a.ndjson.zst", ("ndjson", "zstd")),
        ("a.parquet", ("parquet", None)),
        ("a.arrow", ("arrow", None)),
        ("a.ipc", ("arrow", None)),
    ],
)
def test_standard_input_tells_its_format_by_its_content(save, pump, monkeypatch, name, kind):
    # A pipe has no suffix.
    feed(monkeypatch, Path(save(pump, name)).read_bytes())
    (source,) = find_sources(["-"])
    assert (source.format, source.compression) == kind
    assert source.stem == source.display_name == "stdin"
    assert source.path.stat().st_mode & 0o077 == 0
    remove_temporary([source])
    assert not source.path.exists()


def test_no_copy_is_left_when_another_path_fails(monkeypatch, tmp_path):
    # Copies of standard input may be large, and private.
    feed(monkeypatch, b"a,b\n1,2\n")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (tmp_path / "x.bin").write_bytes(b"")
    with pytest.raises(LogFormatError):
        find_sources(["-", str(tmp_path / "x.bin")])
    assert [path.name for path in tmp_path.iterdir()] == ["x.bin"]


def test_standard_input_is_read_once():
    # It would be empty the second time.
    with pytest.raises(UsageError, match="only once"):
        find_sources(["-", "-"])


def test_a_named_pipe_is_copied(tmp_path):
    # `aster score <(zcat log)` hands over a pipe, which cannot be read twice.
    path = tmp_path / "pipe"
    os.mkfifo(path)
    content = pl.DataFrame({"a": [1]}).write_ndjson().encode()
    writer = threading.Thread(target=path.write_bytes, args=(content,))
    writer.start()
    (source,) = find_sources([str(path)])
    writer.join()
    assert source.format == "ndjson"
    assert source.path.read_bytes() == content
    remove_temporary([source])


def test_a_directory_is_searched_for_files_only(tmp_path):
    # A pipe among them would be waited on for ever.
    (tmp_path / "log.csv").write_text("a\n1\n")
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "folder.csv").mkdir()
    assert [source.path.name for source in find_sources([str(tmp_path)])] == ["log.csv"]
