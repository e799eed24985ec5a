"""TAB's files, its score protocol and the table, on a small log in its format.

No file of TAB is at hand here, so these tests are what keeps the reader and the protocol right.
"""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import polars as pl
import pytest

from aster_cli.errors import AsterError, DataError, LogFormatError, StorageError, UsageError
from aster_cli.evaluation.metrics import evaluate
from aster_cli.evaluation.runs import BoolArray
from aster_cli.results import FloatArray
from benchmarks.tab.__main__ import main
from benchmarks.tab.files import TabFile, find_files, read_split
from benchmarks.tab.protocol import Detection, aster, judge, run
from benchmarks.tab.published import PUBLISHED
from tests.tiny_detector import SENSORS, tiny_config, wave

ROOT = Path(__file__).parents[2]
ROWS, TRAIN_ROWS = 400, 250
EVENTS = ((260, 264), (300, 310), (350, 356))  # of the test: 4, 10 and 6 rows, so the median is 6
TRAIN_EVENT = (100, 130)  # longer than all of them, and nobody's business
Points = list[tuple[str, object]]


def wide() -> pl.DataFrame:
    """Three sensors, the first one raised in the events, and the labels."""
    labels = np.zeros(ROWS)
    for start, stop in (*EVENTS, TRAIN_EVENT):
        labels[start:stop] = 1.0
    log = wave(ROWS).select(SENSORS)
    return log.with_columns(pl.col("s0") + 4 * labels, label=labels)


def stacked(log: pl.DataFrame) -> Points:
    return [(name, value) for name in log.columns for value in log[name].to_list()]


def write_long(path: Path, points: Points, *, dated: bool = False) -> Path:
    """Write points as TAB does; dates start anew with every column."""
    columns: dict[str, Sequence[object]] = {
        "data": ["" if value is None else str(value) for _, value in points],
        "cols": [name for name, _ in points],
    }
    if dated:
        columns = {"date": [f"2020-01-01 {i % ROWS:05}" for i in range(len(points))], **columns}
    path.parent.mkdir(parents=True, exist_ok=True)
    pl.DataFrame(columns).write_csv(path, quote_style="never")
    return path


def write_metadata(path: Path, **train_lens: object) -> Path:
    """Write the table that gives each file's training rows, a multivariate log each."""
    names = [f"{name}.csv" for name in train_lens]
    rows = ["" if count is None else str(count) for count in train_lens.values()]
    table = pl.DataFrame({"file_name": names, "if_univariate": "False", "train_lens": rows})
    table.write_csv(path, quote_style="never")
    return path


@pytest.fixture
def tab(tmp_path: Path) -> Path:
    """TAB's folder, with one log."""
    write_long(tmp_path / "tab" / "data" / "PSM.csv", stacked(wide()))
    write_metadata(tmp_path / "tab" / "DETECT_META.csv", PSM=f"{TRAIN_ROWS}.0")
    return tmp_path / "tab"


def labels_of_the_test() -> BoolArray:
    return np.asarray(wide()["label"][TRAIN_ROWS:] == 1)


class Recorder:
    """A detector that keeps what it was given and scores a row by its first sensor."""

    def __init__(self) -> None:
        self.train: list[pl.DataFrame] = []
        self.test: list[pl.DataFrame] = []
        self.seeds: list[int] = []

    def __call__(self, train: Path, test: Path, seed: int) -> Detection:
        self.train.append(pl.read_parquet(train))
        self.test.append(pl.read_parquet(test))
        self.seeds.append(seed)
        noise = np.random.default_rng(seed).normal(0.0, 1.5, len(self.test[-1]))
        return Detection(self.test[-1]["s0"].to_numpy() + noise, 2.0 + seed, 1.0)


# reading


@pytest.mark.parametrize("dated", [False, True])
def test_a_long_file_comes_back_wide_and_cut(tmp_path: Path, dated: bool) -> None:
    """A reshape gone wrong would mix sensors and still train."""
    path = write_long(tmp_path / "log.csv", stacked(wide()), dated=dated)
    split = read_split(TabFile(path, TRAIN_ROWS))
    sensors = wide().drop("label")
    assert split.train.equals(sensors[:TRAIN_ROWS])
    assert split.test.equals(sensors[TRAIN_ROWS:])
    assert np.array_equal(split.labels, labels_of_the_test())


def test_a_missing_value_stays_missing_and_in_its_place(tmp_path: Path) -> None:
    """A reader that drops it would shift every row after it."""
    points = stacked(wide())
    points[5] = ("s0", None)
    split = read_split(TabFile(write_long(tmp_path / "log.csv", points), TRAIN_ROWS))
    assert split.train["s0"].is_nan().arg_true().to_list() == [5]


def _without(name: str) -> Points:
    return stacked(wide().drop(name))


def _with_label(row: int, value: object) -> Points:
    points = stacked(wide())
    points[len(SENSORS) * ROWS + row] = ("label", value)
    return points


@pytest.mark.parametrize(
    ("points", "error", "message"),
    [
        (stacked(wide())[1:], LogFormatError, r"column 's0' has 399 points, and 'label' 400"),
        (stacked(wide())[:-1], LogFormatError, r"column 's0' has 400 points, and 'label' 399"),
        (_without("label"), LogFormatError, "has no column 'label'"),
        (_without("s0") + stacked(wide().select("s0")), LogFormatError, "'label' is not the last"),
        (stacked(wide().select("label")), LogFormatError, "no column beside 'label'"),
        (stacked(wide()) + stacked(wide()), LogFormatError, "'s0' do not follow one another"),
        ([*stacked(wide())[:-1], (None, 0)], LogFormatError, "line 1601: a point has no column"),
        ([("s0", "on"), *stacked(wide())[1:]], LogFormatError, "no readable table"),
        (_with_label(7, 0.5), DataError, r"row 8: label 0\.5 is neither 0 nor 1"),
        (_with_label(7, None), DataError, "row 8: label nan is neither 0 nor 1"),
        (stacked(wide().with_columns(label=0.0)), DataError, "no anomalous row after the first"),
        (stacked(wide().with_columns(label=1.0)), DataError, "no normal row after the first"),
    ],
)
def test_a_file_that_is_not_of_the_format_is_refused(
    tmp_path: Path, points: Points, error: type[AsterError], message: str
) -> None:
    """Read anyway, each of these would give figures, and wrong ones."""
    path = write_long(tmp_path / "log.csv", points)
    with pytest.raises(error, match=message) as caught:
        read_split(TabFile(path, TRAIN_ROWS))
    assert str(path) in str(caught.value)


def test_a_wide_file_is_refused(tmp_path: Path) -> None:
    """Other benchmarks keep the same logs in wide files."""
    wide().write_csv(tmp_path / "log.csv")
    with pytest.raises(LogFormatError, match="has the columns s0, s1, s2, label; a long file has"):
        read_split(TabFile(tmp_path / "log.csv", TRAIN_ROWS))


@pytest.mark.parametrize("train_rows", [ROWS, ROWS + 1])
def test_training_rows_must_leave_some_to_test(tmp_path: Path, train_rows: int) -> None:
    """The metadata of another version of a file must not go unnoticed."""
    path = write_long(tmp_path / "log.csv", stacked(wide()))
    with pytest.raises(DataError, match=f"has 400 rows, and the first {train_rows} are to train"):
        read_split(TabFile(path, train_rows))


# finding


def test_files_are_found_in_tabs_folder_and_in_a_flat_one(tab: Path) -> None:
    """Whoever unpacks TAB's archive gets the one, whoever picks files makes the other."""
    expected = [TabFile(tab / "data" / "PSM.csv", TRAIN_ROWS)]
    assert find_files(tab) == expected
    (tab / "DETECT_META.csv").rename(tab / "data" / "DETECT_META.csv")
    assert find_files(tab / "data") == expected


def test_only_picks_by_name_and_needs_no_metadata_of_the_others(tab: Path, tmp_path: Path) -> None:
    """TAB writes SWAT where its paper writes SWaT, and its table has rows without a number."""
    for name in ("SWAT", "SMD"):
        write_long(tab / "data" / f"{name}.csv", stacked(wide()))
    metadata = write_metadata(tmp_path / "other.csv", SWAT=100, PSM=200, SMD=None)
    assert find_files(tab, metadata, ["SWaT"]) == [TabFile(tab / "data" / "SWAT.csv", 100)]
    with pytest.raises(UsageError, match=r"has no file 'MSL\.csv'"):
        find_files(tab, metadata, ["SWaT", "MSL"])


def test_univariate_logs_are_left_out_unless_asked_for(tab: Path) -> None:
    """TAB has 1,635 of them, and the paper's table is of the others."""
    metadata = tab / "DETECT_META.csv"
    metadata.write_text(metadata.read_text().replace("False", "TRUE"))
    with pytest.raises(UsageError, match="no CSV file of a multivariate log"):
        find_files(tab)
    assert [file.name for file in find_files(tab, only=["PSM"])] == ["PSM"]


@pytest.mark.parametrize(
    ("metadata", "error", "message"),
    [
        ("file_name,train_lens\nPSM.csv,\n", DataError, "train_lens of 'PSM.csv' is ''"),
        ("file_name,train_lens\nPSM.csv,half\n", DataError, "is 'half'; give the number of rows"),
        ("file_name,train_lens\nPSM.csv,0\n", DataError, "is '0'"),
        ("file_name,train_lens\nPSM.csv,0.5\n", DataError, "is '0.5'"),
        ("file_name,train_lens\nPSM.csv,inf\n", DataError, "is 'inf'"),
        ("file_name,train_lens\nSMD.csv,100\n", DataError, "does not list 'PSM.csv'"),
        ("file_name,train_lens\nPSM.csv,1\nPSM.csv,2\n", DataError, "lists 'PSM.csv' more than"),
        ("file_name,length\nPSM.csv,400\n", LogFormatError, "has no column 'train_lens'"),
        ("", LogFormatError, "no readable table"),
        (None, StorageError, "cannot be read"),
    ],
)
def test_metadata_that_does_not_say_where_the_test_begins_is_refused(
    tab: Path, metadata: str | None, error: type[AsterError], message: str
) -> None:
    """A guessed cut would let anomalies of the test into training."""
    (tab / "DETECT_META.csv").unlink()
    if metadata is not None:
        (tab / "DETECT_META.csv").write_text(metadata)
    with pytest.raises(error, match=message):
        find_files(tab)


# the protocol


def test_the_buffer_is_the_median_length_of_the_tests_events() -> None:
    """Neither TAB's 100 nor the longer event of the training rows may decide it."""
    labels = labels_of_the_test()
    scores = np.random.default_rng(0).random(len(labels)) + labels
    metrics = judge(labels, scores)
    assert metrics.vus_buffer == 6
    expected = evaluate(labels, scores, vus_buffer=6, vus_definition="pvldb-2022")
    assert metrics == expected
    assert metrics.vus_pr != evaluate(labels, scores, vus_buffer=6).vus_pr


def test_rows_without_a_score_do_not_move_the_buffer() -> None:
    """The buffer belongs to the labels: it must be the same for every detector."""
    labels = labels_of_the_test()
    scores = np.arange(len(labels), dtype=np.float64)
    scores[50:58] = np.nan  # most of the event of 10 rows
    metrics = judge(labels, scores)
    assert (metrics.vus_buffer, metrics.n_unscored) == (6, 8)


def test_no_threshold_and_no_point_adjustment_enter() -> None:
    """They lift figures, and TAB's score protocol has neither."""
    metrics = judge(labels_of_the_test(), np.arange(ROWS - TRAIN_ROWS, dtype=np.float64))
    assert metrics.f1 is None
    assert metrics.pa_f1_inflated is None


def test_a_detector_sees_sensors_alone(tab: Path) -> None:
    """A label in the training log is a leak that no figure would tell of."""
    recorder = Recorder()
    (result,) = run(find_files(tab)[0], [0], recorder)
    for log in (recorder.train[0], recorder.test[0]):
        assert tuple(log.columns) == SENSORS
    assert [len(recorder.train[0]), len(recorder.test[0])] == [TRAIN_ROWS, ROWS - TRAIN_ROWS]
    assert (result.train_rows, result.test_rows, result.sensors) == (250, 150, 3)


def test_labels_change_figures_and_nothing_that_a_detector_sees(tab: Path) -> None:
    """The same, should labels hide under another name."""
    recorder = Recorder()
    (first,) = run(find_files(tab)[0], [0], recorder)
    flipped = wide().with_columns(label=1.0 - pl.col("label"))
    write_long(tab / "data" / "PSM.csv", stacked(flipped))
    (second,) = run(find_files(tab)[0], [0], recorder)
    assert recorder.train[0].equals(recorder.train[1])
    assert recorder.test[0].equals(recorder.test[1])
    assert first.auc_roc is not None
    assert second.auc_roc == pytest.approx(1.0 - first.auc_roc)


def test_the_detector_itself_runs_the_protocol(tab: Path) -> None:
    """The files that are written here must be logs that it takes, with a score for every row."""
    config = tiny_config()
    training = msgspec.structs.replace(config.training, steps=2)
    config = msgspec.structs.replace(config, training=training)
    scores: list[FloatArray] = []

    def detect(train: Path, test: Path, seed: int) -> Detection:
        detection = aster(train, test, seed, config=config)
        scores.append(detection.scores)
        return detection

    first, _ = run(find_files(tab)[0], [0, 1], detect)
    assert first.unscored_rows == 0
    assert first.auc_roc is not None
    # the seed reaches it; figures may agree all the same, since the anomaly is an easy one
    assert not np.array_equal(scores[0], scores[1])


# the command


def test_the_command_prints_our_figures_beside_tabs(
    tab: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The table is what the command is for; its figures must be the means of the lines."""
    output = tmp_path / "results" / "tab.json"
    recorder = Recorder()
    assert main([str(tab), "--seeds", "2", "--output", str(output)], recorder) == 0
    lines = [json.loads(line) for line in output.read_text().splitlines()]
    header, _, row = capsys.readouterr().out.splitlines()
    shown = dict(zip(header.split(" | "), row.split(" | "), strict=True))
    assert recorder.seeds == [0, 1]
    for name in ("AUC-ROC", "AUC-PR", "VUS-ROC", "VUS-PR"):
        assert lines[0][name] != lines[1][name]
        assert shown[name] == f"{(lines[0][name] + lines[1][name]) / 2:.3f}"
    assert shown["TAB's best AUC-ROC"] == "HBOS 0.773"
    assert shown["TAB's best AUC-PR"] == "LSTM-ED 0.584"
    assert lines[0]["published"]["AUC-ROC"] == {"method": "HBOS", "value": 0.773}
    assert [line["train_seconds"] for line in lines] == [2.0, 3.0]
    assert [line["score_seconds"] for line in lines] == [1.0, 1.0]


def test_a_file_without_a_published_row_stands_alone(
    tab: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """TAB has more datasets than those listed; ours must not borrow the figure of another."""
    (tab / "data" / "PSM.csv").rename(tab / "data" / "Other.csv")
    write_metadata(tab / "DETECT_META.csv", Other=TRAIN_ROWS)
    assert main([str(tab), "--output", str(tmp_path / "tab.json")], Recorder()) == 0
    table = capsys.readouterr().out
    assert "| Other | 1 |" in table
    assert not any(str(best.auc_roc) in table for best in PUBLISHED.values())


def test_what_was_run_is_not_run_again(tab: Path, tmp_path: Path) -> None:
    """A long run is stopped and continued; only what is missing may cost time."""
    output = tmp_path / "tab.json"
    arguments = [str(tab), "--output", str(output)]
    seeds = []
    for more in ([], [], ["--seeds", "3"]):
        recorder = Recorder()
        assert main([*arguments, *more], recorder) == 0
        seeds.append(recorder.seeds)
    assert seeds == [[0], [], [1, 2]]
    write_metadata(tab / "DETECT_META.csv", PSM=TRAIN_ROWS - 1)
    recorder = Recorder()
    assert main(arguments, recorder) == 0
    assert recorder.seeds == [0]  # another cut is another task
    assert len(output.read_text().splitlines()) == 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--seeds", "0"], "--seeds: 0 is not possible; give 1 or more"),
        (["--only", "SMD"], "has no file 'SMD.csv'"),
        (["--output", "DETECT_META.csv"], "DETECT_META.csv, line 1: is no result"),
    ],
)
def test_an_error_is_one_line_and_an_exit_code(
    tab: Path,
    arguments: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nobody should have to read a traceback, and a script must see the failure."""
    monkeypatch.chdir(tab)
    recorder = Recorder()
    assert main([str(tab), *arguments], recorder) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert len(captured.err.splitlines()) == 1
    assert captured.out == ""
    assert recorder.seeds == []


def test_the_module_is_a_command() -> None:
    """The README promises it, and it must answer before torch is loaded."""
    command = [sys.executable, "-X", "importtime", "-m", "benchmarks.tab", "--help"]
    done = subprocess.run(
        command, cwd=ROOT, env=dict(os.environ), capture_output=True, text=True, check=True
    )
    assert "DATA_DIR" in done.stdout
    assert "torch" not in done.stderr
