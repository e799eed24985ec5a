"""An interrupted training: ``<MODEL>.partial/``, from which `--resume` goes on.

``begun.json`` says what the training was begun with; ``<phase>.safetensors`` is a sealed snapshot of
where a phase of it stands, replaced whole after every epoch.
"""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from aster_cli.card.encoding import pretty
from aster_cli.checkpoint.machines import FOLDER, folder_of
from aster_cli.checkpoint.writing import clear_traces, place_of
from aster_cli.confined import read_inside
from aster_cli.errors import DataError, StateError, StorageError, UsageError
from aster_cli.locks import LOCK, held
from aster_cli.logs.writers import replaced_file
from aster_cli.results import MachineId, Snapshot
from aster_cli.snapshots import pack, unpack

FORMAT = 2
"""Version of the layout; another one is refused."""

LARGEST = 1 << 32
"""Bytes of a file; one with more is not read."""

_ANEW = "begin anew with --force"
_PHASES = ("fit", "refit")


class PartialTraining:
    """What there is of a model that is not there yet.

    Args:
        target: The model directory to be.
        resume: Whether to go on with what lies there.
        force: Whether to begin anew where something lies.

    Attributes:
        folder: Where it lies.
        target: The model directory to be; what a link leads to.
    """

    def __init__(self, target: Path, *, resume: bool = False, force: bool = False) -> None:
        self.target = place_of(target)
        self.folder = self.target.with_name(f"{self.target.name}.partial")
        self._resume, self._force = resume, force
        self._begun = self.folder / "begun.json"
        self._own = False  # whether what lies there is of this training

    @property
    def exists(self) -> bool:
        """Whether an interrupted training lies there."""
        return self._begun.is_file() and any(map(Path.is_file, self._snapshots()))

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep other trainings of the same target away.

        An error that the same training would meet again leaves nothing to go on with.

        Raises:
            BusyError: Another one is at work.
            StorageError: It cannot be written there; or an interrupted training lies there, and
                nothing was said of it.
        """
        with held(self.folder):
            try:
                clear_traces(self.target)
                if self.exists and not (self._resume or self._force):
                    raise StorageError(
                        "an interrupted training lies there",
                        where=str(self.folder),
                        hint="--resume goes on with it, --force begins anew",
                    )
                yield
            except (DataError, UsageError):
                if self._own:
                    self.remove()
                raise
            finally:
                if not self.exists:
                    self.remove()

    def begin(self, made_of: dict[str, Any]) -> None:
        """Say what the training is begun with, or check that it was begun with the same.

        Args:
            made_of: All that decides its weights, as plain values; ``log`` is a hash of it.

        Raises:
            StateError: What lies there was begun with something else, or is damaged.
            StorageError: It cannot be read or written, or what lies there is no training's.
        """
        if self._resume and self.exists:
            self._require_same(json.loads(json.dumps(made_of)))
        else:
            self._clear()
            self._require_room()
            self._put(self._begun, pretty({"format": FORMAT, **made_of}))
        self._own = True

    def read(self, phase: str) -> Snapshot | None:
        """Where a phase of the training stands; None where it is not begun.

        Raises:
            StateError: It is damaged.
        """
        file = self._snapshot(phase)
        if not file.is_file():
            return None
        try:
            data = read_inside(self.folder, file.name, LARGEST)
        except OSError as error:
            raise StorageError(f"cannot be read ({error.strerror})", where=str(file)) from error
        return unpack(data, FORMAT, where=str(file), anew=_ANEW)

    def write(self, phase: str, snapshot: Snapshot) -> None:
        """Keep where a phase stands.

        Raises:
            StorageError: It cannot be written; what was there before still is.
        """
        self._put(self._snapshot(phase), pack(snapshot, FORMAT))

    @property
    def machines(self) -> Path:
        """Where detectors of single machines lie that are trained already."""
        return self.folder / FOLDER

    def of(self, machine: MachineId) -> "PartialTraining":
        """The training of a single machine's detector, as part of this one."""
        target = self.machines / folder_of(machine)
        target.parent.mkdir(parents=True, exist_ok=True)
        return PartialTraining(target, resume=True)

    def remove(self) -> None:
        """Leave nothing of it: the model is there, or there is nothing to go on with."""
        self._clear()
        with suppress(OSError):  # what is not ours stays
            (self.folder / LOCK).unlink(missing_ok=True)
            self.folder.rmdir()

    def _put(self, path: Path, data: bytes) -> None:
        try:
            with replaced_file(path) as file:
                file.write(data)
        except OSError as error:
            raise StorageError(f"cannot be written ({error.strerror})", where=str(path)) from error

    def _snapshot(self, phase: str) -> Path:
        return self.folder / f"{phase}.safetensors"

    def _snapshots(self) -> list[Path]:
        return [self._snapshot(phase) for phase in _PHASES]

    def _clear(self) -> None:
        """Remove what a training left; without ``begun.json`` nothing there is a training's."""
        if not self._begun.is_file():
            return
        try:
            for file in self._snapshots():
                file.unlink(missing_ok=True)
            if self.machines.is_dir():
                shutil.rmtree(self.machines)
            for file in (*self._snapshots(), self._begun):
                for half in self.folder.glob(f".{file.name}.{8 * '[0-9a-f]'}.tmp"):
                    half.unlink()
            self._begun.unlink(missing_ok=True)  # last: without it the rest would be nobody's
        except OSError as error:
            raise StorageError(
                f"cannot be removed ({error.strerror})", where=str(self.folder)
            ) from error

    def _require_room(self) -> None:
        for path in (*self._snapshots(), self.machines):
            if path.exists():
                raise StorageError(
                    "is of no training that was begun there",
                    where=str(path),
                    hint="move it away, or name another model",
                )

    def _require_same(self, made_of: dict[str, Any]) -> None:
        where = str(self._begun)
        try:
            before = json.loads(read_inside(self.folder, self._begun.name, LARGEST))
            found = before.pop("format")
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise StateError("is truncated or altered", where=where, hint=_ANEW) from error
        if found != FORMAT:
            raise StateError(
                f"has format {found}, and this aster reads {FORMAT}", where=where, hint=_ANEW
            )
        if before.get("log") != made_of["log"]:
            raise StateError(
                "was begun with another log",
                where=str(self.folder),
                hint=f"give the log it was begun with, or {_ANEW}",
            )
        old, new = _flat(before), _flat(made_of)
        for name in sorted(old.keys() | new.keys()):
            if old.get(name) != new.get(name):
                raise StateError(
                    f"was begun with {name} {_shown(old.get(name))}, and now it is "
                    f"{_shown(new.get(name))}",
                    where=str(self.folder),
                    hint=f"give what it was begun with, or {_ANEW}",
                )


def _flat(value: dict[str, Any]) -> dict[str, Any]:
    """Nested values by their path, all but those of one level."""
    return {
        f"{name}.{inner}" if inner else name: item
        for name, one in value.items()
        for inner, item in (_flat(one) if isinstance(one, dict) else {"": one}).items()
    }


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}…"
