"""``aster report``: a scores file, its log and its model as one HTML page."""

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from aster_cli.checkpoint import read_card
from aster_cli.cli import options
from aster_cli.cli.columns import columns_of
from aster_cli.cli.showing import Journal
from aster_cli.cli.targets import require_page
from aster_cli.config import TimeConfig
from aster_cli.errors import UsageError
from aster_cli.logs import ScoresFile, open_explained, open_log
from aster_cli.plain import plain


def report(
    scores: Annotated[
        str,
        typer.Argument(
            metavar="SCORES",
            help="A scores file, or a directory of them, or - for standard input.",
            show_default=False,
        ),
    ],
    logs: Annotated[
        list[str] | None,
        options.flag(
            "--logs",
            metavar="LOGS",
            help="The log of the scores: its sensors are shown beside them; repeatable.",
        ),
    ] = None,
    explained: Annotated[
        Path | None,
        options.flag(
            "--explained",
            metavar="FILE",
            help="What `aster score --explain` wrote: it is shown beside the values of --logs.",
            show_default=False,
        ),
    ] = None,
    model: Annotated[
        Path | None,
        options.flag(
            "-m",
            "--model",
            metavar="MODEL",
            help="The model of the scores: its card is part of the report.",
            show_default=False,
            readable=False,
        ),
    ] = None,
    output: Annotated[
        Path | None,
        options.flag(
            "-o",
            "--output",
            metavar="FILE",
            help="Where the page goes; by default beside the caller, named after the scores.",
            show_default=False,
        ),
    ] = None,
    time_col: options.TimeColEval = None,
    id_from_path: options.IdFromPath = False,
    input_format: options.InputFormat = None,
    duplicates: options.DuplicatesEval = None,
    sort: options.Sort = False,
    config: options.Config = None,
    log_format: options.LogStyle = "text",
    quiet: options.Quiet = False,
    no_color: options.NoColor = False,
    debug: options.Debug = False,
) -> None:
    """Make one HTML page of a scores file: timeline, events, sensors, and what they rest on."""
    from aster_cli.report import Report, RowCollector

    journal = Journal(log_format, no_color=no_color, quiet=quiet, json=False)
    require_page(output)
    if explained is not None and not logs:
        raise UsageError(
            "stands beside the log's own values", where="--explained", hint="name it with --logs"
        )
    card = None if model is None else read_card(model)
    with ExitStack() as stack:
        file = stack.enter_context(ScoresFile(scores))
        collector = RowCollector()
        for table in file.frames():
            collector.take(table)
        rows = collector.rows()
        columns = columns_of(
            None if card is None else card.config.columns,
            time_col=time_col,
            id_col=None if id_from_path else rows.id_cols,
            id_from_path=id_from_path,
        )
        time = (TimeConfig() if card is None else card.config.time).changed(
            duplicates=duplicates, sort=sort
        )
        log = None
        if logs:
            expected = None if card is None else card.schema.log
            log = stack.enter_context(
                open_log(logs, columns, time, expected=expected, input_format=input_format)
            )
            journal.notes(log.notes)
        told = None
        if explained is not None:
            told = stack.enter_context(open_explained(str(explained), rows.id_cols, time))
        target = output or Path(f"{file.name}.html")
        name = file.name if log is None else log.name
        page = Report(name, rows, log=log, explained=told, columns=columns, time=time, card=card)
        page.write(target)
    journal.console.print(f"{plain(target)}: open it in a browser", highlight=False)
    journal.summary("report", report=str(target))
