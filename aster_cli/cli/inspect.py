"""``aster inspect``: what is in a log, a model directory or a scores file, at a glance.

What only one of them needs is imported when it is one: a glance should not wait for the others.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

import typer

from aster_cli.card import is_model, read_card
from aster_cli.cli import options
from aster_cli.cli.columns import columns_of
from aster_cli.cli.showing import Journal, show_json
from aster_cli.config import LogFormat, TimeConfig
from aster_cli.errors import DataError, UsageError
from aster_cli.render.console import stdout_console

Kind = Literal["a model", "scores", "log"]


def inspect(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH", help="Logs, a model directory or a scores file.", show_default=False
        ),
    ],
    time_col: options.TimeCol = None,
    id_col: options.IdCol = None,
    id_from_path: options.IdFromPath = False,
    sensors: options.Sensors = None,
    exclude_cols: options.ExcludeCols = None,
    label_col: options.LabelCol = "label",
    sensor: Annotated[
        list[str] | None,
        options.flag(
            "--sensor",
            metavar="NAME",
            help="Plot this sensor of a log, each machine by itself; may be repeated.",
            show_default=False,
        ),
    ] = None,
    incidents: Annotated[
        Path | None,
        options.flag(
            "--incidents",
            metavar="FILE",
            help="Write a log's likely anomalies there, as a table for `aster train --exclude`.",
            show_default=False,
        ),
    ] = None,
    input_format: options.InputFormat = None,
    sort: options.Sort = False,
    config: options.Config = None,
    log_format: options.LogStyle = "text",
    no_color: options.NoColor = False,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Show what is in logs, in a model directory or in a scores file."""
    journal = Journal(log_format, no_color=no_color, quiet=False, json=json)
    shown = stdout_console(no_color=no_color)
    path = Path(paths[0])
    kind = _kind(paths, input_format)
    given = {"--incidents": incidents is not None, "--sensor": sensor is not None}
    needless = [name for name, is_given in given.items() if is_given]
    if needless and kind != "log":
        raise UsageError(f"has no say here: {paths[0]!r} is {kind}", where=needless[0])
    if sensor and (sensors or incidents is not None):
        raise UsageError(
            "plots sensors and surveys no others", where="--sensor", hint="give it alone"
        )
    if kind == "a model":
        from aster_cli.render.model import model_report

        card = read_card(path)
        found, view = card.to_dict(), model_report(card, name=path.name)
    elif kind == "scores":
        from aster_cli.inspection import inspect_scores
        from aster_cli.render.scores import scores_report

        scores = inspect_scores(paths[0])
        found, view = scores.to_dict(), scores_report(scores)
    else:
        from aster_cli.cli.targets import require_other
        from aster_cli.inspection import incident_table, survey
        from aster_cli.logs import open_log, open_writer, require_apart
        from aster_cli.render.logs import log_report
        from aster_cli.render.progress import row_progress
        from aster_cli.render.sensors import sensor_charts

        columns = columns_of(
            time_col=time_col,
            id_col=id_col,
            id_from_path=id_from_path,
            sensors=sensor or sensors,
            exclude_cols=exclude_cols,
            label_col=label_col,
        )
        time = TimeConfig(sort=sort)
        writer = None if incidents is None else open_writer(str(incidents))
        with _naming("--sensor" if sensor else "--sensors"):
            log = open_log(paths, columns, time, input_format=input_format)
        with log:
            require_other(None if incidents is None else str(incidents), log, "--incidents")
            if incidents is not None:
                require_apart(log.schema.id_cols)
            with row_progress(journal.console, log, "reading") as advance:
                report, courses = survey(
                    log,
                    paths=paths,
                    columns=columns,
                    time=time,
                    incidents=None if incidents is None else str(incidents),
                    advance=advance,
                )
        if writer is not None and report.suspects:
            with writer:
                writer.write(incident_table(report))
        elif writer is not None:
            journal.notes([f"no stretch is unlike the rest, so {str(incidents)!r} is not written"])
        found = report.to_dict()
        view = sensor_charts(report, courses) if sensor else log_report(report)
    if json:
        show_json(found)
    else:
        shown.print(view)
    journal.summary("inspect", kind=kind.removeprefix("a "))


@contextmanager
def _naming(flag: str) -> Iterator[None]:
    """Have errors about sensors name the flag that was given."""
    try:
        yield
    except DataError as error:
        what, hint = (text and text.replace("--sensors", flag) for text in (error.what, error.hint))
        raise DataError(what or "", where=error.where, hint=hint) from error


def _kind(paths: list[str], input_format: LogFormat | None) -> Kind:
    """Tell by content what is to be looked at."""
    path = Path(paths[0])
    if len(paths) == 1 and is_model(path):
        return "a model"
    from aster_cli.logs import is_scores_file
    from aster_cli.logs.dataset import parts_of
    from aster_cli.logs.stores import is_url

    is_file = len(paths) == 1 and (path.is_file() or parts_of(path) or is_url(paths[0]))
    return "scores" if is_file and is_scores_file(paths[0], input_format=input_format) else "log"
