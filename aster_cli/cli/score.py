"""``aster score``: one score row for every row of a log."""

import sys
from dataclasses import asdict
from functools import partial
from pathlib import Path
from time import monotonic
from time import time as now
from typing import Annotated

import typer

from aster_cli.checkpoint import read_card
from aster_cli.cli import options
from aster_cli.cli.alerting import alert_rule
from aster_cli.cli.columns import columns_of
from aster_cli.cli.durations import parse_period
from aster_cli.cli.explanations import explained_log, explanation_place
from aster_cli.cli.outcome import (
    ANOMALIES_FOUND,
    DONE,
    DRIFTED,
    Outcome,
    write_metrics,
)
from aster_cli.cli.resuming import Resumption, require_sense, resume
from aster_cli.cli.showing import Journal, show_json
from aster_cli.cli.single import Single, score_whole
from aster_cli.cli.targets import (
    require_agreeing,
    require_explanation,
    require_metrics,
    require_page,
)
from aster_cli.errors import EmptyLogError, NoRowsError, StorageError, UsageError
from aster_cli.logs import Log, open_log
from aster_cli.render.console import stdout_console
from aster_cli.render.findings import finding_notes
from aster_cli.render.scores import score_summary, unknown_machines

ROWS_OF_EACH, ROWS_OF_OWN = 64, 256
"""Rows of a machine in a batch, if all machines have as many; where each has a detector of its own."""

MOST_CELLS = 1 << 23
"""Values of sensors in a batch, where there are many machines: 64 MB."""


def score(
    logs: options.Logs,
    model: options.Model,
    output: Annotated[
        str | None,
        options.flag(
            "-o",
            "--output",
            metavar="FILE",
            help="Where score rows go, its suffix says how; - is standard output. If unset: CSV "
            "into a pipe, a summary on a terminal. With --state a directory, one part a run.",
            show_default=False,
        ),
    ] = None,
    output_format: options.OutputFormat = None,
    raw_csv: options.RawCsv = False,
    time_col: options.TimeColNow = None,
    id_col: options.IdColNow = None,
    id_from_path: options.IdFromPath = False,
    input_format: options.InputFormat = None,
    duplicates: options.DuplicatesNow = None,
    sort: options.Sort = False,
    allow_missing_sensors: Annotated[
        bool,
        options.flag(
            "--allow-missing-sensors",
            help="Go on where the log lacks sensors: they are taken to be as usual.",
        ),
    ] = False,
    state: Annotated[
        Path | None,
        options.flag(
            "--state",
            metavar="DIR",
            help="Score only what is new since the last run with this directory.",
            show_default=False,
        ),
    ] = None,
    delay: Annotated[
        str | None,
        options.flag(
            "--delay",
            metavar="PERIOD",
            help="With --state: how far a row may come after a later one: 10s, 5min, 1h, or a "
            "number for counters.",
            show_default=False,
        ),
    ] = None,
    rescore: Annotated[
        bool,
        options.flag(
            "--rescore",
            help="With --state: start anew, with another model, say; new scores supersede old ones.",
        ),
    ] = False,
    compact: Annotated[
        bool,
        options.flag("--compact", help="With --state: make one part of all parts of -o."),
    ] = False,
    explain: Annotated[
        Path | None,
        options.flag(
            "--explain",
            metavar="FILE",
            help="Also write what was expected of each sensor in every row, and the normal band; its "
            "suffix says how. With --state: of the rows of this run.",
            show_default=False,
        ),
    ] = None,
    report: options.Report = None,
    threshold_method: options.ThresholdMethodName = "quantile",
    threshold: options.Threshold = None,
    alert_budget: options.AlertBudgetNow = None,
    k_of_n: options.KOfN = None,
    merge_gap: options.MergeGap = None,
    suppress: options.Suppress = "0",
    exit_code: Annotated[
        bool,
        options.flag(
            "--exit-code",
            help="Exit with 1 when anomalies were found; with --state, when an event is new.",
        ),
    ] = False,
    fail_on_drift: Annotated[
        bool,
        options.flag(
            "--fail-on-drift",
            help="Exit with 6 when the log is not what the model was trained on.",
        ),
    ] = False,
    fail_on_empty: Annotated[
        bool,
        options.flag(
            "--fail-on-empty",
            help="Exit with 5 when there is nothing to score: no rows; with --state, no new ones.",
        ),
    ] = False,
    metrics_file: Annotated[
        Path | None,
        options.flag(
            "--metrics-file",
            metavar="FILE",
            help="Write metrics of the run, for Prometheus' textfile collector.",
            show_default=False,
        ),
    ] = None,
    engine: options.EngineName = "local",
    device: options.Device = "auto",
    compile: options.Compile = False,
    config: options.Config = None,
    log_format: options.LogStyle = "text",
    quiet: options.Quiet = False,
    no_color: options.NoColor = False,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Score logs with a trained detector: one row out for every row in, in their order."""
    started = monotonic()
    journal = Journal(log_format, no_color=no_color, quiet=quiet, json=json)
    given = {"--delay": delay is not None, "--rescore": rescore, "--compact": compact}
    require_sense(
        state,
        output,
        needless=[name for name, is_given in given.items() if is_given],
        against={
            "--output-format": output_format is not None,
            "--raw-csv": raw_csv,
            "--sort": sort,
            "--duplicates": duplicates is not None,
            "--report": report is not None,
            "--compile": compile,
        },
    )
    if engine == "ray":
        for flag, is_given in {
            "--state": state is not None,
            "--explain": explain is not None,
            "--report": report is not None,
            "--compile": compile,
        }.items():
            if is_given:
                raise UsageError(
                    "is not there with --engine ray", where=flag, hint="take the local engine"
                )
    require_explanation(explain, output)
    require_page(report)
    require_metrics(metrics_file)
    card = read_card(model)
    rule = alert_rule(
        card,
        method=threshold_method,
        threshold=threshold,
        alert_budget=alert_budget,
        k_of_n=k_of_n,
        merge_gap=merge_gap,
        suppress=suppress,
    )
    if rule.method == "conformal":
        raise UsageError(
            "conformal ranks all rows of a file, and rows are scored as they come",
            where="--threshold-method",
            hint="score first, then `aster threshold SCORES --threshold-method conformal`",
        )
    on_terminal = output is None and (json or sys.stdout.isatty())
    target = None if on_terminal else output or "-"
    if target is not None:
        require_agreeing(target, output_format)
    columns = columns_of(
        card.config.columns, time_col=time_col, id_col=id_col, id_from_path=id_from_path
    )
    time = card.config.time.changed(duplicates=duplicates, sort=sort)

    def open_it() -> Log:
        try:
            log = open_log(
                logs,
                columns,
                time,
                expected=card.schema.log,
                input_format=input_format,
                allow_missing_sensors=allow_missing_sensors,
            )
        except EmptyLogError as error:
            if not fail_on_empty:
                raise
            raise NoRowsError(error.what, where=error.where) from error
        rows_of_each = ROWS_OF_OWN if card.manifest.detectors else ROWS_OF_EACH
        log.batch_rows = _rows_at_once(log, rows_of_each * len(log.last_rows))
        return log

    told = partial(
        finding_notes,
        period=card.schema.period,
        in_seconds=card.schema.log.seconds_per_unit is not None,
    )
    if state is not None:
        resumption = Resumption(
            model=model,
            model_id=card.manifest.model_id,
            state=state,
            target=Path(str(output)),
            delay=parse_period(delay, "--delay") or 0.0,
            rule=rule,
            rescore=rescore,
            compact=compact,
            device=device,
            explain=explain,
        )
        run = resume(resumption, open_it, journal)
    else:
        with (
            open_it() as log,
            explanation_place(explain, log, for_report=report is not None) as place,
        ):
            asked = Single(
                model, target, output_format, raw_csv, rule, engine, device, compile, place
            )
            if report is None:
                run = score_whole(asked, log, journal)
            else:
                from aster_cli.report import Report, RowCollector

                collector = RowCollector()
                run = score_whole(asked, log, journal, collector=collector)
                found = run.summary
                with explained_log(place, log) as explained:
                    page = Report(
                        log.name,
                        collector.rows(found.events),
                        log=log,
                        explained=explained,
                        columns=columns,
                        time=time,
                        card=card,
                        notes=(*unknown_machines(found.unknown_machines), *told(found.findings)),
                    )
                page.write(report)
    summary = run.summary
    journal.notes(unknown_machines(summary.unknown_machines))
    journal.notes(told(summary.findings), level="warning")
    if json:
        show_json({"model_id": card.manifest.model_id, **asdict(summary)}, to_stderr=target == "-")
    elif summary.rows:
        shown = stdout_console(no_color=no_color) if on_terminal else journal.console
        shown.print(score_summary(summary, name=run.name, timeline=run.timeline))
    code = DONE
    if fail_on_empty and not summary.rows:
        code = NoRowsError.exit_code
    elif fail_on_drift and summary.findings:
        code = DRIFTED
    elif exit_code and run.opened:
        code = ANOMALIES_FOUND
    outcome = Outcome(
        model.resolve().name.removesuffix(".aster"), run, monotonic() - started, now(), code
    )
    journal.record("summary", **outcome.record())
    if metrics_file is not None:
        try:
            write_metrics(metrics_file, outcome)
        except StorageError as error:  # what was scored is committed: its own exit code counts
            journal.notes([f"the run is done, but its metrics are not written: {error}"], "error")
    if code != DONE:
        raise typer.Exit(code)


def _rows_at_once(log: Log, wanted: int) -> int:
    """Rows of a batch: more where there are machines, each of which takes its time in every batch."""
    bound = MOST_CELLS // len(log.schema.sensors)
    return max(log.batch_rows, min(wanted, bound))
