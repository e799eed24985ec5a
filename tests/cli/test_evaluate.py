"""``aster eval``: the same metrics by every way in, and no metric of rows that do not match."""

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.cli.conftest import Aster, Save
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
        "ndjson": lambda: pl.read_ndjson(name).with_columns(label).write_ndjson("j.ndjson"),
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
