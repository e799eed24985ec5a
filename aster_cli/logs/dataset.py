"""Scores as a directory with one file a run; in it the last part that has a row counts.

A part is there whole or not at all. ``_dataset.json`` names the state that the parts belong to, so
that no other one writes among them.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path

from aster_cli.confined import read_inside
from aster_cli.errors import StateError, StorageError
from aster_cli.logs.writers import replaced_file

_PART = re.compile(r"part-(\d{8})\.parquet")
_MARK = "_dataset.json"
_LONGEST_MARK = 4096  # bytes


def parts_of(folder: Path) -> list[Path]:
    """The parts of a dataset in the order of their runs; none where there is no dataset."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if _PART.fullmatch(path.name))


def run_of(part: Path) -> int:
    """The run that wrote a part."""
    match = _PART.fullmatch(part.name)
    if match is None:
        raise ValueError(f"{part} is no part")
    return int(match[1])


@dataclass(frozen=True, slots=True)
class Dataset:
    """A directory of parts that belongs to one state.

    Attributes:
        folder: It is made if it is not there; its parent has to be.
        name: Of the dataset, as the state knows it.
    """

    folder: Path
    name: str

    def check(self, run: int) -> None:
        """Check that the directory is this state's own, or nobody's.

        Args:
            run: The last run that is committed.

        Raises:
            StateError: Its parts belong to another state, or are younger than this one.
        """
        owner, last = self._owner(), last_run(self.folder)
        if owner != self.name and (owner is not None or (last and not run)):
            raise StateError(
                "holds scores that belong to another state",
                where=str(self.folder),
                hint="name another directory with -o, or take it over with --rescore",
            )
        if last > run + 1:
            raise StateError(
                f"has part {last}, and the state knows of {run} only: it is an old copy",
                where=str(self.folder),
                hint="restore the newest state, or score anew with --rescore",
            )

    def claim(self) -> None:
        """Make the directory this state's own, and clear what an interrupted run left unfinished.

        Raises:
            StorageError: It cannot be made or written.
        """
        try:
            self.folder.mkdir(exist_ok=True)
            for name in ("part-*.parquet", _MARK):
                for left in self.folder.glob(f".{name}.*.tmp"):
                    left.unlink()
            if self._owner() != self.name:
                with replaced_file(self._mark) as file:
                    file.write(json.dumps({"dataset": self.name}).encode() + b"\n")
        except OSError as error:
            raise StorageError(
                f"cannot be written ({error.strerror})", where=str(self.folder)
            ) from error

    def part(self, run: int) -> Path:
        """Where a run's part lies."""
        return self.folder / f"part-{run:08}.parquet"

    def parts(self, first: int, last: int) -> list[Path]:
        """The parts of some runs, the first and the last included."""
        return [part for part in parts_of(self.folder) if first <= run_of(part) <= last]

    def drop_before(self, run: int) -> None:
        """Remove parts that a later one holds too, those of runs before `run`.

        Raises:
            StorageError: They cannot be removed.
        """
        for part in self.parts(0, run - 1):
            try:
                part.unlink()
            except OSError as error:
                raise StorageError(
                    f"cannot be removed ({error.strerror})", where=str(part)
                ) from error

    @property
    def _mark(self) -> Path:
        return self.folder / _MARK

    def _owner(self) -> str | None:
        """The dataset that the directory says it is; None where it says nothing."""
        try:
            mark = read_inside(self.folder, _MARK, _LONGEST_MARK)
            return str(json.loads(mark)["dataset"])
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise StateError(
                "is truncated or altered", where=str(self._mark), hint="name another -o"
            ) from error
        except OSError as error:
            raise StorageError(
                f"cannot be read ({error.strerror})", where=str(self._mark)
            ) from error


def last_run(folder: Path) -> int:
    """The run of the last part; 0 where there is none."""
    return max(map(run_of, parts_of(folder)), default=0)
