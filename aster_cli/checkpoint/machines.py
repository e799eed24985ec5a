"""The detectors of single machines, each a model directory under ``detectors/`` without a backbone.

A machine is called by its folder: its id in lower case letters, digits, ``-`` and ``_``, all else as
``%`` and two digits for each byte of UTF-8; ``,`` lies between the values of several id columns, and a
long name goes on in a folder within a folder, whose name ends in ``+``.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from string import ascii_lowercase, digits
from urllib.parse import unquote

from aster_cli.schema import MachineId

FOLDER = "detectors"

_SAFE = frozenset(ascii_lowercase + digits + "-_")
_EMPTY = "~"  # stands for an id without a character
_LONGEST = (
    120  # characters of a folder's name; file systems take 255 bytes, and suffixes come on top
)


def folder_of(machine: MachineId) -> PurePosixPath:
    """The folder of a machine: relative, never a way out, and another for every other machine."""
    name = ",".join("".join(map(_escaped, value)) or _EMPTY for value in machine)
    *begun, last = [name[start : start + _LONGEST] for start in range(0, len(name), _LONGEST)]
    return PurePosixPath(*(f"{part}+" for part in begun), last)


def machine_of(folder: PurePosixPath) -> MachineId:
    """The machine whose folder this is."""
    name = "".join(part.removesuffix("+") for part in folder.parts)
    return tuple("" if value == _EMPTY else unquote(value) for value in name.split(","))


def _escaped(character: str) -> str:
    # upper case, too: there are file systems that do not tell it from lower case
    if character in _SAFE:
        return character
    return "".join(f"%{byte:02x}" for byte in character.encode())


class MachineDetectors:
    """The machines that have a detector of their own.

    Attributes:
        folder: Where their folders lie.
        models: The `model_id` of each.
    """

    def __init__(self, folder: Path, models: Mapping[MachineId, str]) -> None:
        self.folder = folder
        self.models = dict(models)

    def __contains__(self, machine: MachineId) -> bool:
        """Whether a machine has one."""
        return machine in self.models

    def __iter__(self) -> Iterator[MachineId]:
        """Go through the machines."""
        return iter(self.models)

    def __len__(self) -> int:
        """Return the number of machines."""
        return len(self.models)

    def path(self, machine: MachineId) -> Path:
        """Where a machine's detector lies."""
        return self.folder / folder_of(machine)

    def by_folder(self) -> dict[str, str]:
        """The `model_id` of each by its folder, as the manifest has them."""
        return {str(folder_of(machine)): model_id for machine, model_id in self.models.items()}

    @classmethod
    def listed(cls, folder: Path, by_folder: Mapping[str, str]) -> "MachineDetectors":
        """Those that a manifest lists.

        Raises:
            ValueError: It lists something that is no machine's folder.
        """
        models = {}
        for name, model_id in by_folder.items():
            machine = machine_of(PurePosixPath(name))
            if str(folder_of(machine)) != name:
                raise ValueError(f"{name!r} is no machine's folder")
            models[machine] = model_id
        return cls(folder, models)
