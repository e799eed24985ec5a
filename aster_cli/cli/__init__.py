"""The command line: one thin file per command; each parses, calls, shows and exits."""

from typing import Annotated

import typer

from aster_cli import __version__
from aster_cli.cli import backbone, evaluate, inspect, report, score, threshold, train
from aster_cli.cli.group import AsterGroup

app = typer.Typer(
    cls=AsterGroup,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"aster {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool,
        typer.Option("--version", help="Show the version.", is_eager=True, callback=_show_version),
    ] = False,
) -> None:
    """Find anomalies in CSV and Parquet sensor logs, without labels and without rules."""


app.command("train")(train.train)
app.command("score")(score.score)
app.command("threshold")(threshold.threshold)
app.command("eval")(evaluate.evaluate)
app.command("inspect")(inspect.inspect)
app.command("report")(report.report)
app.add_typer(backbone.app, name="backbone")
