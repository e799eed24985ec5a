"""The language models that can be kept on this machine."""

from collections.abc import Sequence

from rich.console import RenderableType

from aster_cli.backbones import BackboneInfo
from aster_cli.plain import plain
from aster_cli.render.layout import Column, table
from aster_cli.wording import count


def backbones_table(models: Sequence[BackboneInfo]) -> RenderableType:
    """One line a model."""
    return table(
        [
            Column("name", style="bold"),
            Column("kept here"),
            Column("layers", "right"),
            Column("width", "right"),
            Column("licence"),
            Column("source"),
        ],
        (
            (
                plain(model.name),
                f"yes, {model.size / 1e6:,.0f} MB" if model.cached else "no",
                count(model.layers),
                count(model.width),
                plain(model.licence),
                plain(model.source),
            )
            for model in models
        ),
    )
