"""Where an explanation of scores goes."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import polars as pl

from aster_cli.logs import Writer, open_writer


@contextmanager
def explanation(
    target: Path | None, *, raw_csv: bool = False
) -> Iterator[Callable[[pl.DataFrame], None] | None]:
    """Take tables into a file that is put in place at the end; nothing is asked for if None.

    The file is made with the first table: a run that has none leaves an older one as it was.
    """
    if target is None:
        yield None
        return
    with ExitStack() as stack:
        out: list[Writer] = []

        def take(table: pl.DataFrame) -> None:
            if not out:
                out.append(stack.enter_context(open_writer(str(target), raw_csv=raw_csv)))
            out[0].write(table)

        yield take
