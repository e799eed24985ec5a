"""``aster score`` without a state: a log is scored in one go, row by row as it is read."""

from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from aster_cli.cli.explanations import explanation
from aster_cli.cli.outcome import Run
from aster_cli.cli.showing import Journal
from aster_cli.cli.targets import require_other
from aster_cli.config import AlertRule, Engine, LogFormat
from aster_cli.inspection import ScoreTimeline
from aster_cli.logs import Log, open_writer
from aster_cli.render.progress import row_progress

if TYPE_CHECKING:
    from aster_cli.explaining import OnExplained
    from aster_cli.fleet import FleetScorer
    from aster_cli.report import RowCollector
    from aster_cli.scoring import LogScorer


@dataclass(frozen=True, slots=True)
class Single:
    """What is asked of a run.

    Attributes:
        model: The model directory.
        target: Where score rows go; None for nowhere.
        output_format: As what, where the target does not tell.
        raw_csv: Whether CSV cells stay as they are.
        rule: When a score becomes an alarm.
        engine: What machines are shared out to.
        device: What to score on.
        compile: Whether torch.compile makes kernels first.
        explain: Where goes what was expected of every row; None for nowhere.
    """

    model: Path
    target: str | None
    output_format: LogFormat | None
    raw_csv: bool
    rule: AlertRule
    engine: Engine
    device: str
    compile: bool
    explain: Path | None = None


def score_whole(
    asked: Single, log: Log, journal: Journal, *, collector: "RowCollector | None" = None
) -> Run:
    """Score a log and write its rows.

    Args:
        asked: How.
        log: What is scored.
        journal: Is told what is to be said of it.
        collector: Is given every table, for a report.
    """
    require_other(asked.target, log, "-o")
    require_other(None if asked.explain is None else str(asked.explain), log, "--explain")
    journal.notes(log.notes)
    with (
        open_writer(asked.target, output_format=asked.output_format, raw_csv=asked.raw_csv)
        if asked.target
        else nullcontext() as out,
        explanation(asked.explain, raw_csv=asked.raw_csv) as on_explained,
        row_progress(journal.console, log, "scoring") as advance,
    ):
        scorer = _scorer(asked, log, on_explained)
        # a row out for every row in: merged rows, too, come out each for itself
        watched = ScoreTimeline(log.n_rows if log.alias is None else len(log.alias))
        for table in scorer.tables():
            if out is not None:
                out.write(table)
            watched.take(table)
            if collector is not None:
                collector.take(table)
            advance(len(table))
    journal.notes(scorer.notes())
    summary = scorer.summary
    return Run(
        log.name, summary, len(summary.events), scorer.newest, log.schema, watched.timeline()
    )


def _scorer(
    asked: Single, log: Log, on_explained: "OnExplained | None"
) -> "LogScorer | FleetScorer":
    """What scores; torch and all that comes with it is imported only here."""
    if asked.engine == "ray":
        from aster_cli.fleet import FleetScorer

        return FleetScorer(log, asked.model, asked.device, asked.rule)
    from aster_cli.detector import Detector

    detector = Detector.load(asked.model)
    return detector.scorer(
        log, asked.device, rule=asked.rule, on_explained=on_explained, compile=asked.compile
    )
