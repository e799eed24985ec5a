"""``aster eval``: the same metrics by every way in, and no metric of rows that do not match."""

import json
import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from aster_cli.cli.evaluate import PEERS
from aster_cli.config import TimeConfig
from aster_cli.evaluation.baselines import BASELINES
from aster_cli.evaluation.comparison import segments
from aster_cli.logs import Log
from aster_cli.results import Segment
from tests.cli.conftest import FAST, Aster, Save
from tests.tiny_detector import SPIKE, interleaved, wave

Refused = Callable[..., str]


def labelled(rows: int = 200, unit: str = "", seed: int = 1) -> pl.DataFrame:
    row = pl.int_range(pl.len())
    label = row.is_between(SPIKE.start, SPIKE.stop - 1).cast(pl.Int8)
    return wave(rows, seed=seed, spike=True, unit=unit).with_columns(label=label)


@pytest.fixture
def log(save: Save) -> str:
    return save(labelled(), "log.parquet")  # times in microseconds, in text nanoseconds


@pytest.fixture
def scores(log: str, model: Path, aster: Aster) -> str:
    assert aster("score", log, "-m", model, "-o", "scores.parquet").code == 0
    return "scores.parquet"


def metrics(ended: Any) -> dict[str, dict[str, float | None]]:
    assert (ended.code, ended.err) == (0, ""), ended
    found: dict[str, dict[str, float | None]] = json.loads(ended.out)
    return found


@pytest.mark.parametrize("suffix", ["parquet", "csv", "ndjson"])
def test_every_way_in_gives_the_same_metrics(
    suffix: str, log: str, model: Path, aster: Aster
) -> None:
    """Model, scores and scores with labels are three ways to ask one question."""
    name = f"scores.{suffix}"
    assert aster("score", log, "-m", model, "-o", name).code == 0
    label = labelled()["label"]
    joined = {
        "parquet": lambda: pl.read_parquet(name).with_columns(label).write_parquet("j.parquet"),
        "csv": lambda: pl.read_csv(name).with_columns(label).write_csv("j.csv"),
        "ndjson": lambda: (
            pl.read_ndjson(name, infer_schema_length=None)
            .with_columns(label)
            .write_ndjson("j.ndjson")
        ),
    }
    joined[suffix]()
    by_model = metrics(aster("eval", log, "-m", model, "--json"))
    assert by_model == metrics(aster("eval", log, "--scores", name, "--json"))
    assert by_model == metrics(aster("eval", f"j.{suffix}", "--json"))
    assert by_model["aster"]["n_rows"] == 200
    assert by_model["aster"]["n_anomalous"] == 6
    assert by_model["aster"]["AUC-ROC"] != by_model["random"]["AUC-ROC"]


def test_machines_are_told_apart_by_every_way_in(
    fleet_model: Path, save: Save, aster: Aster
) -> None:
    """An event ends where a machine's rows end, also when rows are interleaved."""
    frame = interleaved(labelled(unit="a"), labelled(unit="b", seed=2))
    log = save(frame, "fleet.parquet")
    assert aster("score", log, "-m", fleet_model, "-o", "scores.parquet").code == 0
    pl.read_parquet("scores.parquet").with_columns(frame["label"]).write_parquet("j.parquet")
    by_model = metrics(aster("eval", log, "-m", fleet_model, "--json"))
    assert by_model == metrics(aster("eval", "j.parquet", "--json"))
    flags = ("--id-col", "unit", "--json")
    assert by_model == metrics(aster("eval", log, "--scores", "scores.parquet", *flags))
    assert (by_model["aster"]["n_machines"], by_model["aster"]["n_events"]) == (2, 2)


def test_the_order_of_rows_in_the_file_does_not_matter(
    log: str, model: Path, save: Save, aster: Aster
) -> None:
    """Events are runs in time; with --sort a shuffled file has the same ones, for peers too."""
    save(labelled().sample(fraction=1.0, shuffle=True, seed=1), "shuffled.csv")
    save(wave(300, seed=3), "normal.csv")
    flags = ("-m", model, "--baseline", "pca", "--normal", "normal.csv", "--json")
    ordered = metrics(aster("eval", log, *flags))
    shuffled = metrics(aster("eval", "shuffled.csv", "--sort", *flags))
    for name in ("aster", "pca"):
        assert shuffled[name] == ordered[name]


def test_baselines_stand_beside_and_random_is_always_there(
    log: str, model: Path, save: Save, aster: Aster
) -> None:
    """A metric says little without the peers that it has to beat."""
    save(wave(300, seed=3), "normal.csv")
    alone = metrics(aster("eval", log, "-m", model, "--json"))
    assert list(alone) == ["aster", "random"]
    flags = ("--baseline", "knn", "--baseline", "mahalanobis", "--normal", "normal.csv", "--json")
    found = metrics(aster("eval", log, "-m", model, *flags))
    assert list(found) == ["aster", "knn", "mahalanobis", "random"]
    assert found["aster"] == alone["aster"]
    assert found["random"] == alone["random"]
    assert all(peer["n_rows"] == 200 for peer in found.values())


def test_baselines_need_normal_logs(
    log: str, scores: str, model: Path, save: Save, refused: Refused
) -> None:
    """Learning from the labelled log itself would be another task."""
    assert "--normal" in refused(2, "eval", log, "-m", model, "--baseline", "knn")
    pl.read_parquet(scores).with_columns(labelled()["label"]).write_parquet("j.parquet")
    flags = ("--baseline", "knn", "--normal", log)
    assert "sensors' values" in refused(2, "eval", "j.parquet", *flags)
    complaint = refused(2, "eval", log, "-m", model, "--baseline", "oracle", "--normal", log)
    assert "'oracle'" in complaint
    assert "knn" in complaint


def test_inflated_f1_only_on_request(log: str, model: Path, aster: Aster) -> None:
    """Point adjustment lifts random scores above real detectors."""
    inflated = "PA-F1 (inflated)"
    assert inflated not in metrics(aster("eval", log, "-m", model, "--json"))["aster"]
    asked = metrics(aster("eval", log, "-m", model, "--json", "--point-adjust"))["aster"]
    assert inflated in asked
    shown = aster("eval", log, "-m", model, "--point-adjust").out
    assert "PA-F1" in shown
    assert "inflated" in shown


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (labelled()[:150], "200 rows, and the labelled log 150"),
        (labelled().with_columns(pl.col("time") + timedelta(seconds=1)), "row 1 is of"),
        (wave(200), "no label column"),
    ],
)
def test_scores_of_other_rows_are_exit_3(
    other: pl.DataFrame, said: str, scores: str, save: Save, refused: Refused
) -> None:
    """Rows that do not belong together give metrics that look like any other."""
    assert said in refused(3, "eval", save(other, "other.csv"), "--scores", scores)


@pytest.mark.parametrize("label", ["yes", "2", "", "0.5"])
def test_labels_in_a_scores_file_are_0_and_1(
    label: str, scores: str, save: Save, refused: Refused
) -> None:
    """Text labels are read as numbers, and nothing else is taken for one."""
    text = labelled()["label"].cast(pl.String)
    text[7] = label
    joined = pl.read_parquet(scores).with_columns(label=text)
    complaint = refused(3, "eval", save(joined, "j.parquet"))
    assert "neither 0 nor 1" in complaint


def test_what_to_compare_must_be_said(log: str, scores: str, model: Path, refused: Refused) -> None:
    """Each misuse is named for what it is."""
    assert "is no scores file" in refused(2, "eval", log)
    assert "exclude each other" in refused(2, "eval", log, "-m", model, "--scores", scores)
    assert "has no column 'label'" in refused(3, "eval", scores)
    assert "is no aster scores file" in refused(2, "eval", log, "--scores", log)


def test_columns_named_in_the_call_win_over_the_model(
    fleet_model: Path, save: Save, aster: Aster
) -> None:
    """A labelled log may call its columns otherwise than the log of the training."""
    frame = interleaved(labelled(unit="a"), labelled(unit="b", seed=2))
    log = save(frame, "log.parquet")
    other = save(frame.rename({"unit": "pump", "time": "logged"}), "other.parquet")
    flags = ("-m", fleet_model, "--json")
    found = metrics(aster("eval", other, *flags, "--id-col", "pump", "--time-col", "logged"))
    assert found == metrics(aster("eval", log, *flags))
    assert aster("eval", other, *flags).code == 3


def test_normal_logs_without_a_baseline_are_refused(
    log: str, model: Path, refused: Refused
) -> None:
    """They would be read, and then do nothing."""
    assert "--baseline" in refused(2, "eval", log, "-m", model, "--normal", log)


def test_the_baselines_that_help_names_are_those_there_are(
    log: str, model: Path, aster: Aster, refused: Refused
) -> None:
    """Help, error and code once had three lists."""
    assert {*PEERS, "random"} == set(BASELINES)
    shown = " ".join(aster("eval", "--help").out.split())
    names = ", ".join(PEERS)
    assert f"compare with: {names}; repeatable" in shown
    flags = ("-m", model, "--normal", log, "--baseline")
    assert refused(2, "eval", log, *flags, "random").endswith(f"give one of {names}")


def test_scores_are_not_read_from_standard_input(refused: Refused) -> None:
    """The message must not say that the scores are no scores."""
    assert "standard input" in refused(2, "eval", "-", stdin=b"timestamp,score\n")


def test_baselines_cut_the_log_as_the_model_does(
    log: str, save: Save, aster: Aster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Peers that see other gaps or other filled cells are judged on other rows."""
    normal = save(wave(300, seed=3), "normal.parquet")
    flags = ("--freq", "30s", "--max-gap", "7", "--missing", "drop")
    assert aster("train", normal, "-o", "m.aster", *flags, *FAST).code == 0
    seen = []

    def watched(log: Log, time: TimeConfig | None = None) -> list[Segment]:
        seen.append(time)
        return segments(log, time)

    monkeypatch.setattr("aster_cli.evaluation.comparison.segments", watched)
    call = ("--baseline", "pca", "--normal", normal, "--json")
    metrics(aster("eval", log, "-m", "m.aster", *call))
    assert seen == [TimeConfig(period=30.0, max_gap=7.0, missing="drop")] * 2


def test_the_table_shows_how_many_events_were_found(log: str, model: Path, aster: Aster) -> None:
    """The share of found events is what an operator asks first."""
    assert re.search(r"Event-\s+.*\n.*Recall\s+Recall", aster("eval", log, "-m", model).out)
