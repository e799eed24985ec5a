"""``aster threshold``: another alert rule on scores that are there already."""

import sys
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from aster_cli.checkpoint import read_calibration, read_card
from aster_cli.cli import options
from aster_cli.cli.alerting import alert_rule
from aster_cli.cli.showing import Journal, show_json
from aster_cli.cli.targets import require_agreeing
from aster_cli.inspection import ScoreTimeline
from aster_cli.logs import ScoresFile, open_writer
from aster_cli.relabelling import Relabeller
from aster_cli.render.console import stdout_console
from aster_cli.render.scores import score_summary


def threshold(
    scores: Annotated[
        str,
        typer.Argument(
            metavar="SCORES",
            help="A scores file of the model, or - for standard input.",
            show_default=False,
        ),
    ],
    model: options.Model,
    output: options.ScoresOutput = None,
    output_format: options.OutputFormat = None,
    raw_csv: options.RawCsv = False,
    input_format: options.InputFormat = None,
    threshold_method: options.ThresholdMethodName = "quantile",
    threshold: options.Threshold = None,
    alert_budget: options.AlertBudgetNow = None,
    fdr: options.Fdr = None,
    k_of_n: options.KOfN = None,
    merge_gap: options.MergeGap = None,
    min_duration: options.MinDuration = "0",
    suppress: options.Suppress = "0",
    config: options.Config = None,
    log_format: options.LogStyle = "text",
    quiet: options.Quiet = False,
    no_color: options.NoColor = False,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Draw alarms anew from a scores file, by another rule: nothing is trained or scored."""
    journal = Journal(log_format, no_color=no_color, quiet=quiet, json=json)
    card = read_card(model)
    rule = alert_rule(
        card,
        method=threshold_method,
        threshold=threshold,
        alert_budget=alert_budget,
        fdr=fdr,
        k_of_n=k_of_n,
        merge_gap=merge_gap,
        min_duration=min_duration,
        suppress=suppress,
    )
    on_terminal = output is None and (json or sys.stdout.isatty())
    target = None if on_terminal else output or "-"
    if target is not None:
        require_agreeing(target, output_format)
    with ScoresFile(scores, input_format=input_format) as file:
        relabeller = Relabeller(file, card, read_calibration(Path(model), card), rule)
        watched = ScoreTimeline(relabeller.n_rows)
        with (
            open_writer(target, output_format=output_format, raw_csv=raw_csv)
            if target
            else nullcontext()
        ) as out:
            for table in relabeller.tables():
                if out is not None:
                    out.write(table)
                watched.take(table)
    summary = relabeller.summary
    journal.notes(_hardly_any(relabeller))
    if json:
        found = {"model_id": card.manifest.model_id, **asdict(summary)}
        show_json(found, to_stderr=target == "-")
    else:
        shown = stdout_console(no_color=no_color) if on_terminal else journal.console
        shown.print(
            score_summary(
                summary,
                name=file.name,
                timeline=watched.timeline(),
                thresholds=summary.thresholds,
            )
        )
    journal.summary(
        "threshold",
        model=model.resolve().name.removesuffix(".aster"),
        scores=file.name,
        rows=dict(summary.rows),
        anomalies=summary.anomalies,
        events=len(summary.events),
    )


def _hardly_any(relabeller: Relabeller) -> tuple[str, ...]:
    """A note where the held-out rows are too few for conformal alarms that are few."""
    fewest = relabeller.fewest_discoveries
    if fewest is None or fewest <= 1 or relabeller.summary.anomalies:
        return ()
    return (
        f"no alarm: with so few held-out rows, fewer than {fewest:,} rows of this file that stand "
        "out cannot be told from chance (a longer training log, or a larger --fdr, tells more)",
    )
