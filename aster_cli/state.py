"""The state directory: where a log that is scored in runs stands, whole or not at all.

``state.safetensors`` is a sealed snapshot; ``lock`` is held by the run that is at work.
"""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import msgspec

from aster_cli.confined import read_inside
from aster_cli.errors import StateError, StorageError
from aster_cli.locks import held
from aster_cli.logs.writers import replaced_file
from aster_cli.results import Snapshot
from aster_cli.snapshots import pack, unpack

FORMAT = 4
"""Version of the state's format; another one is refused.

Format 1 knew no alert rule, and nothing of drift; format 2 nothing of evidence, format 3
nothing of what leading sensors are called.
"""

LARGEST = 1 << 32
"""Bytes of a state; one with more is not read."""

_ANEW = "restore it, or start anew with --rescore"


Run = Annotated[int, msgspec.Meta(ge=0, lt=10**8)]
"""The number of a run; eight digits, as in its part's name."""


@dataclass(frozen=True, slots=True)
class State:
    """Where a log stands.

    Attributes:
        model_id: Whose scores these are.
        rule: How alarms are drawn from them, as plain values.
        dataset: Names the scores that this state belongs to.
        run: The last run whose part is committed; 0 before the first.
        whole_since: The part that holds what all before it did; they are superseded.
        lanes: Every machine as the run left it.
    """

    model_id: str
    rule: Snapshot = field(default_factory=dict)
    dataset: str = field(default_factory=lambda: secrets.token_hex(8))
    run: Run = 0
    whole_since: Run = 0
    lanes: list[Snapshot] = field(default_factory=list)


class StateDirectory:
    """A state on disk, and the lock that keeps a second run away from it.

    Args:
        path: It is made if it is not there; its parent has to be.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path / "state.safetensors"

    @contextmanager
    def locked(self) -> Iterator[int | None]:
        """Hold the lock; see `aster_cli.locks.held`."""
        with held(self.path) as interrupted:
            try:
                for left in self.path.glob(f".{self._file.name}.*.tmp"):
                    left.unlink()
            except OSError as error:
                raise _unwritable(self.path, error) from error
            yield interrupted

    def read(self) -> State | None:
        """Read the state; None where there is none yet.

        Raises:
            StateError: It is damaged, or of another format.
            StorageError: It cannot be read.
        """
        try:
            data = read_inside(self.path, self._file.name, LARGEST)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StorageError(
                f"cannot be read ({error.strerror})", where=str(self._file)
            ) from error
        where = str(self._file)
        values = unpack(data, FORMAT, where=where, anew=_ANEW)
        try:
            if values.keys() - State.__dataclass_fields__:
                raise msgspec.ValidationError("it has parts that no state has")
            return msgspec.convert(values, State)
        except msgspec.ValidationError as error:
            raise StateError(f"is altered ({error})", where=where, hint=_ANEW) from error

    def write(self, state: State) -> None:
        """Replace the state, whole or not at all.

        Raises:
            StorageError: It cannot be written.
        """
        values = {name: getattr(state, name) for name in State.__dataclass_fields__}
        try:
            with replaced_file(self._file) as file:
                file.write(pack(values, FORMAT))
        except OSError as error:
            raise _unwritable(self._file, error) from error


def _unwritable(path: Path, error: OSError) -> StorageError:
    return StorageError(f"cannot be written ({error.strerror})", where=str(path))
