"""The command line: one thin file per command; each parses, calls, shows and exits.

All commands are registered here, with their line of help; the file of one is imported when it is named.
"""

from collections.abc import Callable
from typing import Annotated

import typer

from aster_cli import __version__
from aster_cli.cli.group import AsterGroup
from aster_cli.cli.lazy import LazyCommand
from aster_cli.cli.torchrun import processes
from aster_cli.errors import UsageError

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
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option("--version", help="Show the version.", is_eager=True, callback=_show_version),
    ] = False,
) -> None:
    """Find anomalies in CSV and Parquet sensor logs, without labels and without rules."""
    if processes() > 1 and context.invoked_subcommand != "train":
        raise UsageError(
            "each of its processes would do the same",
            where=f"torchrun aster {context.invoked_subcommand}",
            hint="torchrun is for `aster train`; call this without it",
        )


@app.command("train", cls=LazyCommand)
def _train() -> Callable[..., None]:
    """Fit a detector on mostly normal logs and write a model directory."""
    from aster_cli.cli.train import train

    return train


@app.command("score", cls=LazyCommand)
def _score() -> Callable[..., None]:
    """Score logs with a trained detector: one row out for every row in, in their order."""
    from aster_cli.cli.score import score

    return score


@app.command("threshold", cls=LazyCommand)
def _threshold() -> Callable[..., None]:
    """Draw alarms anew from a scores file, by another rule: nothing is trained or scored."""
    from aster_cli.cli.threshold import threshold

    return threshold


@app.command("eval", cls=LazyCommand)
def _evaluate() -> Callable[..., None]:
    """Compare scores with labels: labelled logs with --model, or with --scores of them."""
    from aster_cli.cli.evaluate import evaluate

    return evaluate


@app.command("inspect", cls=LazyCommand)
def _inspect() -> Callable[..., None]:
    """Show what is in logs, in a model directory or in a scores file."""
    from aster_cli.cli.inspect import inspect

    return inspect


@app.command("report", cls=LazyCommand)
def _report() -> Callable[..., None]:
    """Make one HTML page of a scores file: timeline, events, sensors, and what they rest on."""
    from aster_cli.cli.report import report

    return report


@app.command("backbone", cls=LazyCommand)
def _backbone() -> typer.Typer:
    """The language models that are kept on this machine."""
    from aster_cli.cli.backbone import app as backbone

    return backbone
