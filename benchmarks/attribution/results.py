"""What a machine's run came to: one JSON file each, whole or not at all."""

from pathlib import Path

import msgspec

from aster_cli.logs.writers import replaced_file

RESULTS = Path(__file__).parent / "results"

RANDOM = "at random"
"""The third simple ranking; the mean of `DRAWS` orders of every event."""

DRAWS = 200


class EventResult(msgspec.Struct, frozen=True, kw_only=True):
    """One event; its metrics by ranking, then by pool."""

    start: int
    stop: int
    causes: tuple[str, ...]
    metrics: dict[str, dict[str, dict[str, float]]]


class MachineResult(msgspec.Struct, frozen=True, kw_only=True):
    """All events of one machine with known causes."""

    entity: str
    backbone: str
    model_id: str
    sensors: int
    unmatched: int  # labelled events that no cause overlaps
    events: tuple[EventResult, ...]


def write_result(result: MachineResult, folder: Path = RESULTS) -> None:
    """Put a result in its place; the backbone is part of its name."""
    folder.mkdir(exist_ok=True)
    name = f"{result.entity.replace('/', '__')}__{result.backbone}.json"
    with replaced_file(folder / name) as file:
        file.write(msgspec.json.encode(result) + b"\n")


def read_results(backbone: str, folder: Path = RESULTS) -> list[MachineResult]:
    """Every result with one backbone, in the order of their files' names."""
    files = sorted(folder.glob(f"*__{backbone}.json"))
    return [msgspec.json.decode(file.read_bytes(), type=MachineResult) for file in files]
