"""A report, put together: what the page says and what its charts are drawn from."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aster_cli import __version__
from aster_cli.checkpoint import ModelCard
from aster_cli.config import ColumnConfig, TimeConfig
from aster_cli.inspection import LogReport, inspect_log, leading_sensors
from aster_cli.logs import Log
from aster_cli.logs.writers import replaced_file
from aster_cli.plain import plain
from aster_cli.render.severity import SEVERITIES
from aster_cli.report import background, charts, overview
from aster_cli.report.bins import Bins, CurveBins, bin_rows, binned_log
from aster_cli.report.expected import ExpectedBins
from aster_cli.report.judged import Judged, curve_data, judged_parts, label_data, remarks
from aster_cli.report.page import render_page
from aster_cli.report.rows import ReportRows
from aster_cli.report.tables import Table, table
from aster_cli.wording import clock_noun, count, number

MOST_EVENTS = 500
"""Events in the table; the timeline marks the rows of all."""

MOST_SENSORS = 120
"""Sensors that have a panel; the table has all."""

_MOST_BINS = 12_000
_MOST_VALUES = 640_000  # of all panels together, in bins: 3.4 MB of the page
_ARRAYS = 2  # of a curve
_ARRAYS_OF_ALL = 7  # of measured values, of expected ones, of the band, and what lies outside


class Report:
    """What a report is made of, and the page.

    Args:
        name: What was scored.
        rows: The scores.
        log: The log of the scores, if it is at hand; it is read twice.
        explained: What was expected of the log, if that is at hand; see `ExpectedBins`.
        columns: What the log was opened with.
        time: The same.
        card: The model's.
        judged: What labels say of the scores.
        notes: What was said while scoring.

    Raises:
        DataError: No row of the log, or of what was expected, is one of the scores.
    """

    def __init__(
        self,
        name: str,
        rows: ReportRows,
        *,
        log: Log | None = None,
        explained: Log | None = None,
        columns: ColumnConfig | None = None,
        time: TimeConfig | None = None,
        card: ModelCard | None = None,
        judged: Judged | None = None,
        notes: Sequence[str] = (),
    ) -> None:
        self._name = name
        self._card = card
        self._judged = judged
        self._notes = notes
        self._names = _panel_names(rows, log)
        arrays = _ARRAYS if explained is None else _ARRAYS_OF_ALL
        most = _MOST_VALUES // (arrays * max(len(self._names), 1))
        self._bins = bin_rows(rows, min(_MOST_BINS, most))
        self._values: CurveBins | None = None
        self._log: LogReport | None = None
        if log is not None:
            self._log = inspect_log(log, columns=columns, time=time)
            self._values = binned_log(rows, self._bins, log, self._names)
        self._expected: ExpectedBins | None = None
        if explained is not None:
            self._expected = ExpectedBins(rows, self._bins, self._names, explained)
        self._rows = rows
        self._events = sorted(rows.events, key=lambda event: -event.severity)[:MOST_EVENTS]
        self._parts = leading_sensors(rows.events)

    def write(self, target: Path) -> None:
        """Write the page, whole or not at all.

        Raises:
            StorageError: It cannot be written.
        """
        page = self.page().encode()
        with replaced_file(target) as file:
            file.write(page)

    def page(self) -> str:
        """The page as HTML."""
        spread = charts.distribution(self._rows)
        return render_page(self._context(spread), self._data(spread))

    def _noun(self) -> str:
        return clock_noun("counter" if self._log is None else self._log.time_kind)

    def _data(self, spread: dict[str, Any] | None) -> dict[str, Any]:
        rows, names, judged = self._rows, self._names, self._judged
        by_name = {part.sensor: part for part in self._parts}
        parts = [overview.part_text(by_name[name]) if name in by_name else "" for name in names]
        epochs = () if self._card is None else self._card.training.epochs
        texts = [[overview.own_part_text(one) for one in e.top_sensors] for e in self._events]
        return {
            "severities": [[least, word] for least, word, _ in SEVERITIES],
            "clock": charts.clock_data(rows, self._noun()),
            "machines": charts.lane_data(rows, self._bins),
            "first": rows.machines[self._events[0].machine] if self._events else 0,
            "bins": charts.bin_data(self._bins),
            "events": charts.event_data(rows, self._events, texts, names),
            "labels": [] if judged is None else label_data(judged, rows),
            "sensors": (
                []
                if self._values is None
                else charts.sensor_data(names, parts, self._values, self._expected)
            ),
            "distribution": spread,
            "curves": [] if judged is None else curve_data(judged),
            "losses": background.loss_curves(epochs),
            "phases": background.phase_starts(epochs),
            "hardness": background.hardness_curve(epochs),
        }

    def _context(self, spread: dict[str, Any] | None) -> dict[str, Any]:
        rows, noun, judged = self._rows, self._noun(), self._judged
        events = overview.event_rows(rows, self._events, noun)
        if judged is not None:
            for event, remark in zip(events, remarks(judged, rows, self._events), strict=True):
                event["label"] = remark
        starts = [rows.clock.text_at(start) for start in overview.stretch_starts(rows)]
        made = datetime.now(UTC)
        return {
            "version": __version__,
            "title": f"{plain(self._name)}: anomalies",
            "eyebrow": "Anomaly report",
            "name": plain(self._name),
            "verdict": overview.verdict(rows),
            "contents": (*(() if judged is None else (_LABELS,)), *_CONTENTS),
            "tiles": overview.tiles(rows, noun),
            "judged": None if judged is None else judged_parts(judged, rows, noun),
            "events": events,
            "events_about": self._events_about(),
            "has_machines": bool(rows.id_cols),
            "machine_title": ", ".join(map(plain, rows.id_cols)) or "machine",
            "machines": rows.lanes,
            "clock_about": _clock_about(rows),
            "lanes_label": f"All of {count(len(rows.machines), 'machine')} over the whole log",
            "aggregated": _aggregated(rows, self._bins),
            "timeline_table": overview.timeline_table(rows, starts),
            "sensors_about": self._sensors_about(),
            "panels": len(self._names),
            "has_expected": self._expected is not None,
            "sensor_table": background.sensor_table(self._log, self._parts),
            "distribution_about": _distribution_about(rows),
            "has_distribution": spread is not None,
            "distribution_label": "How many rows have which score",
            "distribution_table": _distribution_table(spread),
            "machine_table": overview.machine_table(rows),
            "quality": background.quality_facts(
                overview.status_counts(rows), overview.repeats_text(rows), self._log
            ),
            "notes": [plain(note) for note in self._notes],
            "quality_tables": background.quality_tables(self._log),
            "model": background.model_parts(self._card),
            "model_ids": ", ".join(map(plain, rows.model_ids)) or "no model",
            "colophon": f"Made by aster {__version__} on {made:%Y-%m-%d %H:%M} UTC. The page holds "
            "all of its data and asks no network.",
        }

    def _events_about(self) -> str:
        more = len(self._rows.events) - len(self._events)
        cut = f"These are the {count(MOST_EVENTS)} worst; the timeline marks all rows. "
        sensors = (
            "Sensors stand where they were farthest from what was expected; a percentage behind them "
            "is their part in the event."
        )
        return (
            f"{cut if more else ''}A row leads to the chart. Severity runs from 0 to 100 and "
            "compares machines; 90 is the highest of the normal rows that the model was calibrated "
            f"on. {sensors if any(event.top_sensors for event in self._events) else ''}"
        ).rstrip()

    def _sensors_about(self) -> str:
        if self._log is None:
            return "Without the log there are no values to show; name it with --logs."
        more = len(self._log.sensors) - len(self._names)
        cut = f" {count(more)} further sensors are in the table only." if more else ""
        expected = (
            "99 % of normal values lie in the band around what was expected; a mark above a panel is "
            "a value outside of it, the taller the farther. "
            if self._expected is not None
            else "What was expected is not drawn: no explanation of these scores was at hand. "
        )
        return (
            "Values in the log's own units, on the timeline's axis: zooming there zooms here. "
            f"{expected}The leading sensors of the chosen event come first, else those of all events."
            + cut
        )


_LABELS = ("judged", "Against the labels")
_CONTENTS = (
    ("events", "Events"),
    ("look", "Timeline"),
    ("sensors", "Sensors"),
    ("distribution", "Scores and threshold"),
    ("quality", "Data quality"),
    ("model", "Model"),
)


def _panel_names(rows: ReportRows, log: Log | None) -> list[str]:
    """The sensors that have a panel: the leading ones first, then in the log's order."""
    if log is None:
        return []
    known = log.schema.sensors
    leading = [part.sensor for part in leading_sensors(rows.events) if part.sensor in known]
    return list(dict.fromkeys((*leading, *known)))[:MOST_SENSORS]


def _clock_about(rows: ReportRows) -> str:
    clock = rows.clock
    if not clock.in_seconds:
        return "The log's time is a count."
    zone = "UTC" if clock.kind == "epoch" else clock.zone
    return f"Times are in {zone}." if zone else "Times are on the log's own clock."


def _aggregated(rows: ReportRows, bins: Bins) -> str:
    """How rows became bins, where they did."""
    largest = int(bins.rows.max())
    if largest == 1:
        return ""
    return (
        f"{count(len(rows), 'row')} are kept as {count(len(bins))} bins of up to "
        f"{count(largest, 'row')}, finer around the worst events. A bin keeps its lowest and "
        "highest values and counts its anomalous rows, so every anomaly shows at every zoom."
    )


def _distribution_about(rows: ReportRows) -> str:
    return (
        "How many rows have which score. Rows above the threshold of their machine are anomalous, "
        "and so are those that an alert rule keeps."
    )


def _distribution_table(spread: dict[str, Any] | None) -> Table | None:
    if spread is None:
        return None
    edges: Sequence[float] = spread["edges"]
    return table(
        "Rows by score",
        ("#from", "#to", "#normal rows", "#anomalous rows"),
        [
            (number(edges[i]), number(edges[i + 1]), count(normal), count(anomalous))
            for i, (normal, anomalous) in enumerate(
                zip(spread["normal"], spread["anomalous"], strict=True)
            )
            if normal or anomalous
        ],
    )
