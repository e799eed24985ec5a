"""A Polars frame as a log: read like a typed file, without being written to one."""

from collections.abc import Generator
from pathlib import Path

import polars as pl

from aster_cli.logs.readers import Columns, LogReader
from aster_cli.logs.sources import Source

NAME = "frame"
"""How messages and model cards call it."""


class FrameReader(LogReader):
    """A data frame, or a lazy one, which is run anew on each pass and never held whole."""

    def __init__(self, frame: pl.DataFrame | pl.LazyFrame) -> None:
        """Look at the columns; categories are the text that they stand for."""
        categories = pl.selectors.categorical() | pl.selectors.enum()
        self._frame = frame.lazy().cast({categories: pl.String()})
        self.source = Source(path=Path(NAME), format="arrow", display_name=NAME)
        self.stored = self._frame.collect_schema()

    def _frames(self, columns: Columns, rows: int) -> Generator[pl.DataFrame]:
        batches = self._frame.select(list(columns)).collect_batches(chunk_size=rows)
        for batch in batches:
            yield from (piece for piece in batch.iter_slices(rows) if piece.height)
