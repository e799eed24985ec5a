"""``aster report`` and ``--report``: the same page by every way in, or one line and no page."""

import json
import re
from collections.abc import Callable
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
    return save(labelled(), "log.parquet")


def page_of(path: str) -> str:
    return Path(path).read_text(encoding="utf-8")


def data_of(path: str) -> Any:
    found = re.search(r'id="data">(.*?)</script>', page_of(path), re.DOTALL)
    assert found is not None
    return json.loads(found[1])


@pytest.mark.parametrize("suffix", ["parquet", "csv", "ndjson"])
def test_scoring_and_its_scores_file_give_the_same_page(
    suffix: str, log: str, model: Path, aster: Aster
) -> None:
    """A page can be made at once or later; its charts are drawn from the same numbers."""
    name = f"scores.{suffix}"
    assert aster("score", log, "-m", model, "-o", name, "--report", "now.html").code == 0
    why = f"why.{suffix}"
    aster("score", log, "-m", model, "-o", name, "--explain", why)
    flags = ("--logs", log, "-m", model, "--explained", why)
    ended = aster("report", name, *flags, "-o", "later.html")
    assert (ended.code, ended.out) == (0, "")
    now, later = data_of("now.html"), data_of("later.html")
    assert len(now["events"]) == len(later["events"]) > 0
    for data in (now, later):  # an event keeps more digits than its rows do
        for event in data["events"]:
            event["severity"] = round(event["severity"], 4)
            del event["sensors"]
        for sensor in data["sensors"]:
            del sensor["part"]
    assert now == later


def test_a_page_shows_what_was_expected_wherever_that_is_known(
    log: str, model: Path, aster: Aster
) -> None:
    """With the model it is, of every row. Scores alone have it of alarms, and the page says so."""
    assert aster("score", log, "-m", model, "-o", "s.parquet", "--report", "score.html").code == 0
    assert aster("eval", log, "-m", model, "--report", "eval.html").code == 0
    assert aster("report", "s.parquet", "--logs", log, "-o", "report.html").code == 0
    for name, known in (("score.html", True), ("eval.html", True), ("report.html", False)):
        sensors = data_of(name)["sensors"]
        assert [one["expected"] is not None for one in sensors] == [known] * len(sensors) != []
        assert ("no explanation of these scores" in page_of(name)) == (not known)
        assert "% below</" in page_of(name) or ", expected " in page_of(name)
    assert not list(Path().glob("aster-*"))


def test_an_id_column_called_sensor_leaves_no_room_for_an_explanation(
    save: Save, aster: Aster
) -> None:
    """Such a log is reported all the same, and the page says what is missing."""
    fleet = interleaved(wave(300, unit="a"), wave(300, unit="b", seed=2))
    normal = save(fleet.rename({"unit": "sensor"}), "normal.parquet")
    flags = ("--backbone", "none", "--steps", "3", "--id-col", "sensor", "-o", "m.aster")
    assert aster("train", normal, *flags).code == 0
    ended = aster("score", normal, "-m", "m.aster", "-o", "s.parquet", "--report", "page.html")
    assert ended.code == 0, ended.err
    assert "no explanation of these scores" in page_of("page.html")


def test_the_page_is_named_after_the_scores(log: str, model: Path, aster: Aster) -> None:
    assert aster("score", log, "-m", model, "-o", "scores.parquet").code == 0
    ended = aster("report", "scores.parquet")
    assert (ended.code, ended.out) == (0, "")
    assert "scores.html" in ended.err
    assert "No values" not in page_of("scores.html")
    assert aster("report", "scores.parquet", "-q").err == ""


def test_a_fleet_has_a_lane_for_each_machine(fleet_model: Path, save: Save, aster: Aster) -> None:
    """The scores say what names a machine; the log is read by it without another flag."""
    frame = interleaved(labelled(unit="a"), labelled(unit="b", seed=2))
    log = save(frame, "fleet.parquet")
    assert aster("score", log, "-m", fleet_model, "-o", "scores.parquet").code == 0
    for flags in ((), ("-m", fleet_model)):
        ended = aster("report", "scores.parquet", "--logs", log, *flags, "-o", "page.html")
        assert ended.code == 0, ended.err
        data = data_of("page.html")
        assert sorted(lane["name"] for lane in data["machines"]) == ["a", "b"]
        assert [one["name"] for one in data["sensors"]] != []


@pytest.mark.parametrize("way", ["model", "scores", "joined"])
def test_an_evaluation_has_its_metrics_curves_and_events_on_the_page(
    way: str, log: str, model: Path, save: Save, aster: Aster
) -> None:
    """By every way in; what stands on the page is what the terminal says."""
    assert aster("score", log, "-m", model, "-o", "scores.parquet").code == 0
    scores = pl.read_parquet("scores.parquet").with_columns(labelled()["label"])
    save(scores, "joined.parquet")
    save(wave(300, seed=3), "normal.csv")
    flags = ("--baseline", "pca", "--normal", "normal.csv")
    call = {
        "model": (log, "-m", model, *flags),
        "scores": (log, "--scores", "scores.parquet", *flags),
        "joined": ("joined.parquet",),
    }[way]
    ended = aster("eval", *call, "--report", "page.html", "--json")
    assert ended.code == 0, ended.err
    data, page = data_of("page.html"), page_of("page.html")
    names = ["aster", "random"] if way == "joined" else ["aster", "pca", "random"]
    assert [one["name"] for one in data["curves"]] == names
    assert len(data["labels"]) == 1
    assert re.search(r"Labelled events: [01] of 1 met", page)
    area = json.loads(ended.out)["aster"]["AUC-PR"]
    assert f"{area:.3f}" in page
    step = data["clock"]["step"]
    label = data["labels"][0]
    assert [label["start"] / step, label["end"] / step] == [SPIKE.start, SPIKE.stop - 1]


def test_a_page_goes_only_where_a_page_belongs(
    log: str, model: Path, refused: Refused, aster: Aster
) -> None:
    """`--report log.parquet` must not cost anyone their log; nor hours of scoring their scores."""
    assert aster("score", log, "-m", model, "-o", "scores.parquet").code == 0
    assert ".html" in refused(2, "score", log, "-m", model, "--report", log)
    assert ".html" in refused(2, "eval", log, "-m", model, "--report", "page.txt")
    assert ".html" in refused(2, "report", "scores.parquet", "-o", "scores.parquet")
    assert "directory" in refused(2, "report", "scores.parquet", "-o", "nowhere/page.html")


def test_a_run_with_a_state_has_no_page(log: str, model: Path, refused: Refused) -> None:
    """It sees the new rows only; the report of all runs is made of the directory."""
    flags = ("--state", "state", "-o", "scores", "--report", "page.html")
    assert "--report" in refused(2, "score", log, "-m", model, *flags)


def test_the_scores_of_all_runs_become_one_page(log: str, model: Path, aster: Aster) -> None:
    assert aster("score", log, "-m", model, "--state", "state", "-o", "scores").code == 0
    ended = aster("report", "scores", "--logs", log, "-o", "page.html")
    assert ended.code == 0, ended.err
    assert len(data_of("page.html")["sensors"]) == 3


def test_what_is_no_scores_file_or_not_its_log_is_refused(
    log: str, model: Path, save: Save, refused: Refused, aster: Aster
) -> None:
    """One line, the right exit code, and no page."""
    assert "no aster scores file" in refused(2, "report", log)
    assert aster("score", log, "-m", model, "-o", "scores.parquet").code == 0
    later = save(labelled().with_columns(pl.col("time") + pl.duration(days=99)), "later.parquet")
    assert "none of its rows" in refused(3, "report", "scores.parquet", "--logs", later)
    assert "--logs" in refused(2, "report", "scores.parquet", "--explained", log)
    flags = ("--logs", log, "--explained", log)
    assert "sensor" in refused(3, "report", "scores.parquet", *flags)
    assert refused(4, "report", "scores.parquet", "-m", "nowhere.aster")


def test_a_page_tells_how_training_went(save: Save, model: Path, aster: Aster) -> None:
    """Where its trainings begin, and how hard the pseudo-anomalies became, as `aster inspect` tells."""
    log = save(wave(200, spike=True), "log.parquet")
    assert aster("score", log, "-m", model, "-o", "s.parquet").code == 0
    assert aster("report", "s.parquet", "-m", model, "-o", "page.html").code == 0
    page = page_of("page.html")
    told = aster("inspect", model).out
    hardest = told.partition("hardest")[2].split()[0]
    assert f"{hardest} at the hardest" in page
    first, second = data_of("page.html")["phases"]
    assert (first["name"], first["from"], second["name"]) == ("first part", 1, "whole log")
