"""``aster score``: where logs come from, where scores go, what is said beside them."""

import io
import json
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from aster_cli.logs import read_scores
from tests.cli.conftest import FAST, Aster, Save
from tests.tiny_detector import SPIKE, interleaved, wave


@pytest.fixture
def log(save: Save) -> str:
    return save(wave(200, spike=True), "log.csv")


def test_every_format_holds_the_same_scores(log: str, model: Path, aster: Aster) -> None:
    """The format is a matter of taste, never of content."""
    names = [f"scores.{suffix}" for suffix in ("parquet", "csv", "ndjson", "arrow")]
    for name in names:
        assert aster("score", log, "-m", model, "-o", name).code == 0
    first, *others = (read_scores(name) for name in names)
    assert first["is_anomaly"].any()
    for other in others:
        # text has no dtype for times: nanoseconds in one format, microseconds in another
        other = other.with_columns(pl.col("timestamp").cast(first.schema["timestamp"]))
        assert_frame_equal(other, first, check_exact=True)


def test_csv_goes_into_a_pipe(log: str, model: Path, aster: Aster) -> None:
    """Data on standard output, the summary beside it on stderr."""
    aster("score", log, "-m", model, "-o", "scores.csv")
    for flags in ((), ("-o", "-")):
        ended = aster("score", log, "-m", model, *flags)
        assert ended.code == 0
        assert ended.out == Path("scores.csv").read_text()
        assert "200" in ended.err


def test_standard_output_can_have_another_format(log: str, model: Path, aster: Aster) -> None:
    """For the next program in the pipeline."""
    ended = aster("score", log, "-m", model, "-o", "-", "--output-format", "ndjson")
    first = json.loads(ended.out.splitlines()[0])
    assert first["status"] == "ok"
    assert len(ended.out.splitlines()) == 200


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_log_on_standard_input_scores_as_from_a_file(
    kind: str, log: str, model: Path, save: Save, aster: Aster
) -> None:
    """A pipeline must not score otherwise than a file; the format is told by the content."""
    save(wave(200, spike=True), "log.parquet")
    stdin = Path(f"log.{kind}").read_bytes()
    assert aster("score", "-", "-m", model, "-o", "piped.parquet", stdin=stdin).code == 0
    assert aster("score", f"log.{kind}", "-m", model, "-o", "scores.parquet").code == 0
    assert_frame_equal(
        pl.read_parquet("piped.parquet"), pl.read_parquet("scores.parquet"), check_exact=True
    )


def test_several_files_are_one_log_in_order_of_time(
    log: str, model: Path, save: Save, aster: Aster
) -> None:
    """A log that is rotated at noon has no seam at noon."""
    whole = wave(200, spike=True)
    save(whole[90:], "a-second.csv")
    save(whole[:90], "b-first.csv")
    assert aster("score", log, "-m", model, "-o", "whole.csv").code == 0
    assert aster("score", "a-second.csv", "b-first.csv", "-m", model, "-o", "parts.csv").code == 0
    assert aster("score", "[ab]-*.csv", "-m", model, "-o", "glob.csv").code == 0
    assert Path("parts.csv").read_bytes() == Path("whole.csv").read_bytes()
    assert Path("glob.csv").read_bytes() == Path("whole.csv").read_bytes()


def test_the_summary_as_json(log: str, model: Path, aster: Aster) -> None:
    """One object on standard output where no scores go there, else on stderr beside them."""
    ended = aster("score", log, "-m", model, "--json")
    found = json.loads(ended.out)
    assert (ended.code, ended.err) == (0, "")
    assert found["rows"] == {"ok": 200}
    assert found["model_id"] == json.loads((model / "manifest.json").read_text())["model_id"]
    assert sum(event["n_rows"] for event in found["events"]) == found["anomalies"] > 0
    beside = aster("score", log, "-m", model, "--json", "-o", "-")
    assert json.loads(beside.err) == found
    assert pl.read_csv(io.StringIO(beside.out)).height == 200


def test_events_name_the_rows_that_they_are_made_of(log: str, model: Path, aster: Aster) -> None:
    """The summary and the file must tell the same story."""
    found = json.loads(aster("score", log, "-m", model, "--json", "-o", "-").err)
    aster("score", log, "-m", model, "-o", "scores.parquet")
    scores = pl.read_parquet("scores.parquet").with_row_index("row")
    for event in found["events"]:
        rows = scores.filter(event_id=event["event_id"])
        assert len(rows) == event["n_rows"]
        assert rows["timestamp"][0].isoformat() == event["start"]
        assert rows["timestamp"][-1].isoformat() == event["end"]
        assert rows["score"].max() == event["peak_score"]
    hit = scores.filter(pl.col("row").is_between(SPIKE.start, SPIKE.stop - 1))
    assert hit["is_anomaly"].all()
    assert hit["event_id"].n_unique() == 1


def test_the_model_reads_its_columns_by_name(
    log: str, model: Path, save: Save, aster: Aster
) -> None:
    """Order and company of the sensors are the logger's whim."""
    shuffled = wave(200, spike=True).select("s2", pl.lit(7.0).alias("extra"), "time", "s0", "s1")
    save(shuffled, "shuffled.csv")
    for name in ("log", "shuffled"):
        assert aster("score", f"{name}.csv", "-m", model, "-o", f"{name}-scores.csv").code == 0
    assert Path("log-scores.csv").read_bytes() == Path("shuffled-scores.csv").read_bytes()


def test_a_label_column_is_never_a_sensor(save: Save, aster: Aster) -> None:
    """A detector that has seen the labels finds everything."""
    log = save(wave(200).with_columns(label=0, fault=0), "log.csv")
    found = json.loads(aster("train", log, "--label-col", "fault", "--json", *FAST).out)
    assert "fault" not in found["schema"]["log"]["sensors"]
    assert "label" in found["schema"]["log"]["sensors"]
    found = json.loads(aster("train", log, "--json", "--force", *FAST).out)
    assert "label" not in found["schema"]["log"]["sensors"]


def test_columns_may_be_called_otherwise_than_in_training(
    fleet_model: Path, save: Save, aster: Aster
) -> None:
    """A plant that logs one file per machine today is scored by what it learnt yesterday."""
    a, b = wave(120, unit="a"), wave(120, seed=1, unit="b")
    whole = save(interleaved(a, b), "whole.parquet")
    save(a.drop("unit"), "machines/a.parquet")
    save(b.drop("unit").rename({"time": "logged"}), "machines-b/b.parquet")
    save(interleaved(a, b).rename({"unit": "pump", "time": "logged"}), "renamed.parquet")
    assert aster("score", whole, "-m", fleet_model, "-o", "whole.csv").code == 0
    expected = pl.read_csv("whole.csv")
    flags = ("-m", fleet_model, "-o", "s.csv")
    assert aster("score", "machines/a.parquet", *flags).code == 3
    assert aster("score", "machines/a.parquet", "--id-from-path", *flags).code == 0
    found = pl.read_csv("s.csv")
    assert found["machine"].unique().to_list() == ["a"]
    assert found["score"].to_list() == expected.filter(unit="a")["score"].to_list()
    one = ("machines-b/b.parquet", "--id-from-path", "--time-col", "logged")
    assert aster("score", *one, *flags).code == 0
    assert pl.read_csv("s.csv")["score"].to_list() == (expected.filter(unit="b")["score"].to_list())
    renamed = ("renamed.parquet", "--id-col", "pump", "--time-col", "logged")
    assert aster("score", *renamed, *flags).code == 0
    assert pl.read_csv("s.csv")["score"].to_list() == expected["score"].to_list()


def test_a_format_that_the_name_belies_is_refused(log: str, model: Path, aster: Aster) -> None:
    """A .parquet that holds CSV is found out by whoever reads it, weeks later."""
    flags = ("-m", model, "--output-format", "csv")
    ended = aster("score", log, *flags, "-o", "scores.parquet")
    assert (ended.code, Path("scores.parquet").exists()) == (2, False)
    assert "--output-format" in ended.complaint
    for name in ("scores.csv", "scores.dat"):
        assert aster("score", log, *flags, "-o", name).code == 0
        assert pl.read_csv(name).height == 200


def test_a_model_directory_is_no_log(model: Path, aster: Aster) -> None:
    """Its tables would be read as a log."""
    ended = aster("train", model, *FAST)
    assert ended.code == 2
    assert "is a model directory" in ended.complaint
