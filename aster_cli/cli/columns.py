"""Which column plays which part, as the flags say it."""

from collections.abc import Sequence

import msgspec

from aster_cli.config import ColumnConfig


def columns_of(
    base: ColumnConfig | None = None,
    *,
    time_col: str | None = None,
    id_col: Sequence[str] | None = None,
    id_from_path: bool = False,
    sensors: Sequence[str] | None = None,
    exclude_cols: Sequence[str] | None = None,
    label_col: str | None = None,
) -> ColumnConfig:
    """Take what the flags name, and for the rest what holds already.

    Args:
        base: What holds where no flag says otherwise: a model's columns, or the defaults.
        time_col: The time column.
        id_col: The columns that name the machine; with `id_from_path` they replace the base's.
        id_from_path: Whether the path names the machine.
        sensors: Globs.
        exclude_cols: Globs.
        label_col: The label column.
    """
    base = base or ColumnConfig()
    if not id_col and not id_from_path:
        id_col, id_from_path = base.id_cols, base.id_from_path
    return msgspec.structs.replace(
        base,
        time_col=time_col or base.time_col,
        id_cols=tuple(id_col or ()),
        id_from_path=id_from_path,
        sensors=tuple(sensors or base.sensors),
        exclude_cols=tuple(exclude_cols or base.exclude_cols),
        label_col=label_col or base.label_col,
    )
