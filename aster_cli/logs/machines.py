"""Machines as small numbers, for work on rows of many machines at once."""

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from aster_cli.results import MachineId

_CODE = "machine code"


def code_machines(ids: pl.DataFrame, rows: int) -> tuple[tuple[MachineId, ...], NDArray[np.int32]]:
    """Number the machines as they appear, and give every row its machine's number."""
    if not ids.width:
        return ((),), np.zeros(rows, dtype=np.int32)
    text = ids.cast(pl.String)
    known = text.unique(maintain_order=True).with_row_index(_CODE)
    codes = text.join(known, on=ids.columns, how="left", maintain_order="left")[_CODE]
    machines = tuple(known.drop(_CODE).iter_rows())
    return machines, codes.cast(pl.Int32).to_numpy()


def last_positions(
    machines: Sequence[MachineId], codes: NDArray[np.int32], first_row: int
) -> dict[MachineId, int]:
    """Find each machine's last row among consecutive rows, the first of which is `first_row`."""
    last = np.zeros(len(machines), dtype=np.int64)
    last[codes] = np.arange(first_row, first_row + len(codes))  # the last of equal codes stays
    return dict(zip(machines, last.tolist(), strict=True))


def machine_runs(
    codes: NDArray[np.int32],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return the stable order of rows by machine, and each machine's start and length in it.

    The numbers in `codes` must all occur, from 0.
    """
    order = np.argsort(codes, kind="stable")
    starts = np.flatnonzero(np.diff(codes[order], prepend=-1))
    return order, starts, np.diff(starts, append=len(codes))
