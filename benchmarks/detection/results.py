"""What a run left behind: one JSON file a method, entity and seed."""

import os
import tempfile
from pathlib import Path

import msgspec

RESULTS = Path(__file__).parent / "results"

METRICS = (
    "AUC-ROC",
    "AUC-PR",
    "VUS-ROC",
    "VUS-PR",
    "Standard-F1 (oracle)",
    "Affiliation-F1 (oracle)",
    "Standard-F1 (fixed)",
    "Event-Recall",
    "False-Alarm-Rate",
)


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """One method on one entity with one seed."""

    method: str
    dataset: str
    entity: str
    seed: int
    core: bool
    code: str  # hash of what decides the figures
    versions: dict[str, str]
    cpu_count: int
    threads: int
    metrics: dict[str, float | None] = {}  # None where undefined: one class, or no threshold
    unscored_rows: int | None = None
    trained_for: tuple[str, ...] = ()  # the entities that share this training
    train_seconds: float | None = None  # reading the log included
    score_seconds: float | None = None
    peak_memory_mb: float | None = None  # resident, interpreter and libraries included
    baseline_memory_mb: float | None = None  # resident before the log was opened
    error: str | None = None  # why there are no figures

    @property
    def key(self) -> str:
        """The entity's name in reports."""
        return f"{self.dataset}/{self.entity}"


def result_file(folder: Path, method: str, key: str, seed: int) -> Path:
    """Where a result is kept."""
    return folder / method / f"{key.replace('/', '__')}__seed{seed}.json"


def write_result(folder: Path, result: Result) -> None:
    """Put a result in its place, whole or not at all."""
    target = result_file(folder, result.method, result.key, result.seed)
    target.parent.mkdir(parents=True, exist_ok=True)
    text = msgspec.json.format(msgspec.json.encode(result), indent=2) + b"\n"
    handle, partial = tempfile.mkstemp(dir=target.parent, prefix=".", suffix=".partial")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(text)
        Path(partial).replace(target)
    except BaseException:
        Path(partial).unlink()
        raise


def read_result(file: Path) -> Result | None:
    """A result, or None where there is none."""
    if not file.is_file():
        return None
    return msgspec.json.decode(file.read_bytes(), type=Result)


def read_results(folder: Path) -> list[Result]:
    """Every result there is, in the order of their files' names."""
    files = sorted(folder.glob("*/*.json"))
    return [msgspec.json.decode(file.read_bytes(), type=Result) for file in files]
