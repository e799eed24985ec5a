"""What a run of ``aster score`` came to, for whoever operates it: a line of JSON, and metrics."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aster_cli.inspection import Timeline
from aster_cli.logs import LogSchema
from aster_cli.logs.clock import NANOSECONDS
from aster_cli.logs.writers import replaced_file
from aster_cli.results import MachineId

if TYPE_CHECKING:
    from aster_cli.scoring import ScoreSummary

DONE, ANOMALIES_FOUND, DRIFTED = 0, 1, 6
"""Exit codes of a run that did its work."""


@dataclass(frozen=True, slots=True)
class Run:
    """A run that did its work.

    Attributes:
        name: Of the log.
        summary: What was found.
        opened: Events that no earlier run has told of.
        newest: The time of every machine's newest row, on the log's clock.
        schema: The log's.
        timeline: Of a log that was scored in one go.
    """

    name: str
    summary: "ScoreSummary"
    opened: int
    newest: Mapping[MachineId, int | float]
    schema: LogSchema
    timeline: Timeline | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is told of a run to machines.

    Attributes:
        model: The name of the model directory.
        run: What was done.
        duration_s: How long it took.
        ended: When it ended, in seconds since 1970.
        exit_code: How the command leaves.
    """

    model: str
    run: Run
    duration_s: float
    ended: float
    exit_code: int

    @property
    def lags_s(self) -> tuple[float, float] | None:
        """Seconds from the newest row to now: of the log, and of the machine that lags most.

        None where the log has no clock. Times without an offset are local ones, as ``TZ`` says.
        """
        newest = self.run.newest.values()
        if self.run.schema.seconds_per_unit is None or not newest:
            return None
        now = self.ended
        if self.run.schema.time_kind != "epoch" and "time_zone='" not in self.run.schema.time_dtype:
            offset = datetime.fromtimestamp(now).astimezone().utcoffset()
            now += 0.0 if offset is None else offset.total_seconds()
        return now - max(newest) / NANOSECONDS, now - min(newest) / NANOSECONDS

    def record(self) -> dict[str, Any]:
        """A summary that does not grow with the log."""
        summary, lags = self.run.summary, self.lags_s
        return {
            "command": "score",
            "model": self.model,
            "log": self.run.name,
            "rows": dict(summary.rows),
            "anomalies": summary.anomalies,
            "events": len(summary.events),
            "opened": self.run.opened,
            "late": getattr(summary, "late", 0),
            "findings": len(summary.findings),
            "lag_s": None if lags is None else round(lags[0], 3),
            "duration_s": round(self.duration_s, 3),
            "exit_code": self.exit_code,
        }


def write_metrics(path: Path, outcome: Outcome) -> None:
    """Write a file for Prometheus' textfile collector, whole or not at all.

    Raises:
        StorageError: It cannot be written.
    """
    from prometheus_client import CollectorRegistry, Gauge, generate_latest

    registry = CollectorRegistry()
    run, summary = outcome.run, outcome.run.summary
    whose = {"model": outcome.model, "log": run.name}

    def gauge(name: str, help: str, value: float, **labels: str) -> None:
        key = (name, tuple(labels))
        if key not in gauges:
            gauges[key] = Gauge(f"aster_score_{name}", help, [*whose, *labels], registry=registry)
        gauges[key].labels(**whose, **labels).set(value)

    gauges: dict[tuple[str, tuple[str, ...]], Gauge] = {}
    for status in ("ok", "provisional", "missing", "gap", "short"):
        rows = summary.rows.get(status, 0)
        gauge("rows", "Rows that the last run wrote, by status.", rows, status=status)
    gauge("late_rows", "Rows of the last run that came too late.", getattr(summary, "late", 0))
    gauge("anomalies", "Anomalous rows of the last run.", summary.anomalies)
    gauge("events", "Events of the last run.", len(summary.events))
    gauge("opened_events", "Events that no earlier run has told of.", run.opened)
    if (lags := outcome.lags_s) is not None:
        gauge("lag_seconds", "From the newest row of the log to the end of the run.", lags[0])
        gauge("slowest_lag_seconds", "The same of the machine that lags most.", lags[1])
    kinds = Counter(finding.kind for finding in summary.findings)
    for kind in ("scale", "frozen", "period", "drift"):
        text = "Ways in which the log is not what the model was trained on."
        gauge("findings", text, kinds[kind], kind=kind)
    farthest: dict[str, tuple[float, float]] = {}
    for one in summary.distances:
        ks, psi = farthest.get(one.sensor, (one.ks, one.psi))
        farthest[one.sensor] = max(ks, one.ks), max(psi, one.psi)
    for sensor, (ks, psi) in farthest.items():
        gauge("ks", "Distance from training, the largest of all machines.", ks, sensor=sensor)
        gauge("psi", "Stability index, the largest of all machines.", psi, sensor=sensor)
    gauge("duration_seconds", "How long the last run took.", outcome.duration_s)
    gauge("exit_code", "How the last run that did its work left.", outcome.exit_code)
    gauge("last_run_timestamp_seconds", "When it ended.", outcome.ended)
    with replaced_file(path) as file:
        file.write(generate_latest(registry))
