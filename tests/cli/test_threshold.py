"""``aster threshold``: new alarms on old scores, and nothing else changed."""

import io
import json
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from aster_cli.cli.durations import parse_length
from aster_cli.errors import UsageError
from aster_cli.logs import read_scores
from tests.cli.conftest import Aster, Save
from tests.tiny_detector import SPIKE, interleaved, wave

Refused = Callable[..., str]

NEW = ["threshold", "is_anomaly", "event_id", "top_sensors", "evidence"]
METHODS = (
    ("quantile", "--alert-budget", "0.05"),
    ("pot", "--alert-budget", "0.01"),
    ("budget", "--alert-budget", "0.05"),
    ("conformal", "--fdr", "0.9"),
    ("fixed", "--threshold", "1.25"),
)


@pytest.fixture
def scores(model: Path, save: Save, aster: Aster) -> str:
    log = save(wave(200, spike=True), "log.parquet")
    assert aster("score", log, "-m", model, "-o", "scores.parquet").code == 0
    return "scores.parquet"


@pytest.fixture
def fleet_scores(fleet_model: Path, save: Save, aster: Aster) -> str:
    log = save(interleaved(*(wave(120, spike=True, unit=unit) for unit in "ab")), "fleet.csv")
    assert aster("score", log, "-m", fleet_model, "-o", "fleet-scores.parquet").code == 0
    return "fleet-scores.parquet"


@pytest.mark.parametrize("name", ["s.parquet", "s.csv", "s.ndjson", "s.arrow"])
def test_the_models_own_rule_gives_the_same_file(
    name: str, scores: str, model: Path, aster: Aster
) -> None:
    """To the byte, in every format: so whatever differs comes from the rule that was asked for."""
    assert aster("score", "log.parquet", "-m", model, "-o", name).code == 0
    assert read_scores(name)["is_anomaly"].any()
    assert aster("threshold", name, "-m", model, "-o", f"new-{name}").code == 0
    assert Path(f"new-{name}").read_bytes() == Path(name).read_bytes()


def test_machines_and_gaps_are_the_models_too(fleet_model: Path, save: Save, aster: Aster) -> None:
    """Two machines row by row, a stop of an hour in one, missing cells, and a machine of one row."""
    stopped = wave(150, spike=True, unit="a")
    stopped = stopped.with_columns(
        pl.when(pl.int_range(pl.len()) < 103)
        .then("time")
        .otherwise(pl.col("time") + pl.duration(hours=1)),
        pl.when(pl.int_range(pl.len()).is_between(60, 75)).then(None).otherwise("s0").alias("s0"),
    )
    log = interleaved(stopped, wave(180, seed=1, spike=True, unit="b"), wave(1, unit="new"))
    save(log, "log.parquet")
    assert aster("score", "log.parquet", "-m", fleet_model, "-o", "s.parquet").code == 0
    found = read_scores("s.parquet")
    assert set(found["status"]) == {"ok", "missing", "short"}
    assert found.filter(unit="a")["event_id"].n_unique() > 2
    assert aster("threshold", "s.parquet", "-m", fleet_model, "-o", "t.parquet").code == 0
    assert_frame_equal(read_scores("t.parquet"), found)


@pytest.mark.parametrize("flags", [("--sort",), ("--sort", "--duplicates", "mean")])
def test_scores_of_a_log_out_of_order_are_judged_in_order(
    flags: tuple[str, ...], model: Path, save: Save, aster: Aster
) -> None:
    """Their rows come in the log's own order, and merged ones repeat; events know only time."""
    log = wave(200, spike=True)
    save(pl.concat([log[104:], log[:104], log[102:104][: 2 * (len(flags) > 1)]]), "log.parquet")
    assert aster("score", "log.parquet", "-m", model, "-o", "s.parquet", *flags).code == 0
    assert aster("threshold", "s.parquet", "-m", model, "-o", "t.parquet").code == 0
    assert read_scores("t.parquet")["event_id"].n_unique() == 2
    assert_frame_equal(read_scores("t.parquet"), read_scores("s.parquet"))


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method[0])
def test_every_method_labels_rows_above_its_threshold(
    method: tuple[str, ...], fleet_scores: str, fleet_model: Path, aster: Aster
) -> None:
    """And leaves alone whatever is no label."""
    call = ("threshold", fleet_scores, "-m", fleet_model, "--threshold-method", *method)
    assert aster(*call, "-o", "new.parquet").code == 0
    old, new = read_scores(fleet_scores), read_scores("new.parquet")
    assert_frame_equal(new.drop(NEW), old.drop(NEW))
    assert new["is_anomaly"].to_list() == (new["score"] > new["threshold"]).to_list()
    assert (new["event_id"].is_not_null() == new["is_anomaly"]).all()
    hit = pl.int_range(pl.len()).over("unit").is_between(SPIKE.start, SPIKE.stop - 1)
    assert new.filter(hit)["is_anomaly"].all()
    both = old["is_anomaly"] & new["is_anomaly"]
    for column in ("top_sensors", "evidence"):
        assert new.filter(both)[column].equals(old.filter(both)[column])
        assert new.filter(~both)[column].is_null().all()


def test_the_row_rules_reach_the_file(scores: str, model: Path, aster: Aster) -> None:
    """Each flag takes alarms away here; a rule that is not applied looks like one that was."""
    middle = str(read_scores(scores)["score"].median())
    rule = ("--threshold-method", "fixed", "--threshold", middle)
    call = ("threshold", scores, "-m", model, "-o", "new.parquet", *rule)

    def alarms_and_events(*flags: str) -> tuple[int, int]:
        assert aster(*call, *flags).code == 0
        found = read_scores("new.parquet")
        return int(found["is_anomaly"].sum()), found["event_id"].drop_nulls().n_unique()

    alarms, events = alarms_and_events("--merge-gap", "0")
    assert (alarms, events > 2) == (100, True)
    assert alarms_and_events("--merge-gap", "1d") == (100, 1)
    for flags in (("--k-of-n", "5/6"), ("--min-duration", "20min"), ("--suppress", "30min")):
        assert 0 < alarms_and_events("--merge-gap", "0", *flags)[0] < alarms


def test_a_row_that_is_no_alarm_any_more_has_no_sensors(
    scores: str, model: Path, aster: Aster
) -> None:
    """Who looks for the culprit must find it in alarms only."""
    assert aster("threshold", scores, "-m", model, "-o", "new.parquet", "--k-of-n", "3/4").code == 0
    old, new = read_scores(scores), read_scores("new.parquet")
    assert 0 < new["is_anomaly"].sum() < old["is_anomaly"].sum()
    assert (new["top_sensors"].is_not_null() == new["is_anomaly"]).all()


def test_nothing_above_and_everything_above(scores: str, model: Path, aster: Aster) -> None:
    """The ends of what a threshold can do; everything is one event, for there is no gap."""
    for cut, events in (("1e9", 0), ("-1e9", 1)):
        call = ("threshold", scores, "-m", model, "--threshold-method", "fixed", "--threshold", cut)
        found = json.loads(aster(*call, "--json").out)
        assert len(found["events"]) == events
        assert found["anomalies"] == 200 * events


def test_it_tells_the_threshold_that_it_chose_and_the_one_before(
    fleet_scores: str, fleet_model: Path, aster: Aster
) -> None:
    """The number that decides what is an alarm is what the command was called for."""
    before = read_scores(fleet_scores).group_by("unit", maintain_order=True).agg("threshold")
    old = {unit: thresholds[-1] for unit, thresholds in before.iter_rows()}
    call = ("threshold", fleet_scores, "-m", fleet_model, "--threshold-method", "budget")
    told = json.loads(aster(*call, "--json").out)["thresholds"]
    assert {one["machine"][0]: one["old"] for one in told} == old
    shown = aster(*call, "-o", "new.csv").err
    for unit, threshold in read_scores("new.csv").select("unit", "threshold").unique().rows():
        (own,) = (one["new"] for one in told if one["machine"] == [unit])
        assert own == pytest.approx(threshold)
        assert f"{unit} {own:.4g}"[:-1] in shown


def test_it_pipes_and_reads_a_pipe(scores: str, model: Path, aster: Aster) -> None:
    """`aster score … | aster threshold - …`, without a file between."""
    csv = aster("score", "log.parquet", "-m", model).out
    piped = aster("threshold", "-", "-m", model, stdin=csv.encode())
    assert (piped.code, piped.out) == (0, csv)
    assert "200" in piped.err
    rows = aster("threshold", scores, "-m", model, "-o", "-", "--output-format", "ndjson").out
    assert json.loads(rows.splitlines()[0])["status"] == "ok"


def test_the_summary_is_that_of_scoring(scores: str, model: Path, aster: Aster) -> None:
    """Under the model's own rule both commands must tell the same story, but for what only the log
    knows: what is not as in training."""
    told = json.loads(aster("threshold", scores, "-m", model, "--json").out)
    first = json.loads(aster("score", "log.parquet", "-m", model, "--json").out)
    assert told["events"]
    assert first.pop("unknown_machines") == []
    del first["findings"], first["distances"]
    (kept,) = told.pop("thresholds")
    assert kept["new"] == pytest.approx(kept["old"])
    for same in first["events"]:
        # the file has shares in single precision
        for part in same["top_sensors"]:
            part["share"] = pytest.approx(part["share"])
    assert told == first


def test_conformal_says_where_it_cannot_alarm(scores: str, model: Path, aster: Aster) -> None:
    """With so few held-out rows silence is no sign of health."""
    ended = aster(
        "threshold", scores, "-m", model, "--threshold-method", "conformal", "-o", "n.csv"
    )
    assert "note: no alarm: with so few held-out rows" in ended.err
    assert not read_scores("n.csv")["is_anomaly"].any()


def test_scores_of_another_model_are_refused(
    scores: str, fleet_model: Path, refused: Refused
) -> None:
    """Both models are named: a threshold on another's scale would be a number without meaning."""
    complaint = refused(3, "threshold", scores, "-m", fleet_model, "-o", "new.csv")
    own = json.loads((fleet_model / "manifest.json").read_text())["model_id"]
    assert read_scores(scores)["model_id"][0] in complaint
    assert own in complaint
    assert "scores.parquet" in complaint


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (pl.col("unit").alias("pump"), "'unit'"),
        (pl.col("timestamp").dt.to_string("%H:%M").alias("timestamp"), "'timestamp'"),
        (pl.lit(None, dtype=pl.String).alias("model_id"), "no model"),
    ],
)
def test_a_file_that_was_altered_is_refused(
    change: pl.Expr, said: str, fleet_scores: str, fleet_model: Path, refused: Refused
) -> None:
    """What the rules need is checked, not guessed."""
    table = pl.read_parquet(fleet_scores).with_columns(change)
    if change.meta.output_name() == "pump":
        table = table.drop("unit")
    table.write_parquet("altered.parquet")
    assert said in refused(3, "threshold", "altered.parquet", "-m", fleet_model, "-o", "new.csv")


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (("--threshold", "1"), "--threshold: means nothing"),
        (("--threshold-method", "fixed"), "give one with --threshold"),
        (("--threshold-method", "pot", "--fdr", "0.1"), "--fdr: means nothing"),
        (
            ("--threshold-method", "conformal", "--alert-budget", "0.1"),
            "--alert-budget: means nothing",
        ),
        (("--k-of-n", "3"), "--k-of-n"),
        (("--k-of-n", "5/3"), "--k-of-n"),
        (("--suppress", "soon"), "--suppress"),
        (("-o", "new.csv", "--output-format", "parquet"), "--output-format"),
    ],
)
def test_flags_that_mean_nothing_are_refused(
    flags: tuple[str, ...], named: str, scores: str, model: Path, refused: Refused
) -> None:
    """A flag that is silently ignored is a rule that somebody trusts in."""
    assert named in refused(2, "threshold", scores, "-m", model, *flags)


def test_a_log_is_no_scores_file(scores: str, model: Path, refused: Refused) -> None:
    """The usual slip."""
    assert "no aster scores file" in refused(2, "threshold", "log.parquet", "-m", model)


def test_lengths_are_on_the_logs_clock() -> None:
    """Ten minutes are no number of strokes."""
    assert parse_length("10min", "--suppress", seconds_per_unit=1e-9) == 600e9
    assert parse_length("10", "--suppress", seconds_per_unit=1e-9) == 10e9
    assert parse_length("10", "--suppress", seconds_per_unit=None) == 10.0
    with pytest.raises(UsageError, match="--suppress: '10min' is a time, and the log has none"):
        parse_length("10min", "--suppress", seconds_per_unit=None)


def test_counters_have_lengths_of_counts(model: Path, save: Save, aster: Aster) -> None:
    """A log without a clock is judged by row numbers."""
    normal = save(wave(200).drop("time"), "rows.csv")
    assert aster("train", normal, "--backbone", "none", "--steps", "2", "-o", "m.aster").code == 0
    live = save(wave(200, spike=True).drop("time"), "live.csv")
    csv = aster("score", live, "-m", "m.aster").out
    assert pl.read_csv(io.StringIO(csv))["is_anomaly"].any()
    again = aster("threshold", "-", "-m", "m.aster", stdin=csv.encode())
    assert again.out == csv
    call = ("threshold", "-", "-m", "m.aster", "--min-duration", "500", "--json")
    assert json.loads(aster(*call, stdin=csv.encode()).out)["events"] == []
