"""The labelled logs: which there are, and which of them are the core."""

import csv
import os
from pathlib import Path

import msgspec

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("ASTER_TEST_DATA", ROOT.parent / "shared" / "data"))


class Entity(msgspec.Struct, frozen=True, kw_only=True):
    """A mostly normal log to train on, and a labelled one of the same source."""

    dataset: str
    name: str
    folder: str
    core: bool  # one of the few for quick rounds

    @property
    def key(self) -> str:
        """What it is called in reports, as ``SKAB/valve1-1``."""
        return f"{self.dataset}/{self.name}"

    @property
    def train(self) -> Path:
        """The log to train on."""
        return Path(self.folder) / "train.parquet"

    @property
    def test(self) -> Path:
        """The labelled log."""
        return Path(self.folder) / "test.parquet"


def find_entities(data: Path) -> list[Entity]:
    """Every entity of ``MANIFEST.csv`` that has a labelled log, in the manifest's order."""
    core = set((data / "CORE.txt").read_text(encoding="utf-8").split())
    with (data / "MANIFEST.csv").open(encoding="utf-8", newline="") as file:
        named = [(row["dataset"], row["entity"]) for row in csv.DictReader(file)]
    entities = [
        Entity(dataset=d, name=n, folder=str(data / d / n), core=f"{d}/{n}" in core)
        for d, n in named
    ]
    return [entity for entity in entities if entity.test.is_file()]
