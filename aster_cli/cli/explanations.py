"""Where an explanation of scores goes, and how a report gets at it."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl

from aster_cli.config import TimeConfig
from aster_cli.errors import EmptyLogError
from aster_cli.logs import EXPLAINED, SENSOR, Log, Writer, open_explained, open_writer


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


@contextmanager
def explanation_place(asked: Path | None, log: Log, *, for_report: bool) -> Iterator[Path | None]:
    """Where the explanation of a log goes: as asked, or for a report into a file that is soon gone.

    None where nobody needs one, or where the names of a log's id columns leave no room for it.
    """
    taken = not {SENSOR, *EXPLAINED}.isdisjoint(log.schema.id_cols)
    if asked is not None or not for_report or taken:
        yield asked
        return
    with TemporaryDirectory(prefix="aster-") as folder:
        yield Path(folder) / "explained.parquet"


@contextmanager
def explained_log(place: Path | None, log: Log) -> Iterator[Log | None]:
    """The explanation of a log as a log; None where there is none, or no row has a score."""
    if place is None:
        yield None
        return
    try:
        explained = open_explained(str(place), log.schema.id_cols, TimeConfig())
    except EmptyLogError:
        yield None
        return
    with explained:
        yield explained
