"""Scores and logs made up for pages, and a browser to open them with."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from aster_cli.config import ColumnConfig, TimeConfig
from aster_cli.logs import SCORE_DTYPES, Log, open_explained, open_log
from aster_cli.report import ReportRows, RowCollector
from tests.report.browser import Browser, find_browser

START = datetime(2024, 3, 1)
THRESHOLD = 1.0


def made_scores(
    rows: int, *, spikes: tuple[slice, ...] = (), unit: str | None = None, seed: int = 0
) -> pl.DataFrame:
    """A score row a minute, below 0.9 but for spikes, each of them an event of its own height."""
    score = np.random.default_rng(seed).uniform(0.0, 0.9, rows)
    event = np.full(rows, None, dtype=object)
    for number, spike in enumerate(spikes):
        score[spike] = 2.0 + number
        event[spike] = f"{unit or ''}event-{number}"
    flagged = score > THRESHOLD
    top = [
        {"sensor": "flow", "share": 0.7, "direction": -1, "actual": -9.0, "expected": 0.0},
        {"sensor": "level", "share": 0.3, "direction": 1, "actual": 60.0, "expected": 50.0},
    ]
    made = pl.DataFrame(
        {
            "timestamp": [START + timedelta(minutes=row) for row in range(rows)],
            "score": score,
            "severity": np.where(flagged, 91.0 + 2.0 * score, 80.0 * score),
            "threshold": np.full(rows, THRESHOLD),
            "is_anomaly": flagged,
            "status": ["ok"] * rows,
            "event_id": event.tolist(),
            "top_sensors": [top if one else None for one in flagged.tolist()],
            "evidence": [1.0 if one else None for one in flagged.tolist()],
            "model_id": ["0123456789ab"] * rows,
        },
        schema_overrides=SCORE_DTYPES,
    )
    return made if unit is None else made.insert_column(1, pl.lit(unit).alias("unit"))


def made_log(scores: pl.DataFrame, *sensors: str, seed: int = 0) -> pl.DataFrame:
    """A log of these score rows, which rises where they are anomalous."""
    noise = np.random.default_rng(seed).normal(size=(len(scores), len(sensors)))
    raised = noise + 5.0 * scores["is_anomaly"].to_numpy()[:, None]
    values = pl.DataFrame(raised, schema=list(sensors))
    return pl.concat((scores.select(*_keys(scores)), values), how="horizontal")


def made_explanation(log: pl.DataFrame) -> pl.DataFrame:
    """What is expected of such a log: 0 in a band from -4 to 4, of every sensor."""
    keys = [name for name in ("timestamp", "unit") if name in log.columns]
    long = log.unpivot(index=keys, variable_name="sensor", value_name="actual")
    return long.with_columns(expected=0.0, low=-4.0, high=4.0)


def _keys(scores: pl.DataFrame) -> list[str]:
    return [name for name in scores.columns if name not in SCORE_DTYPES]


def collected(*tables: pl.DataFrame) -> ReportRows:
    """What tables that go by come to."""
    collector = RowCollector()
    for table in tables:
        collector.take(table)
    return collector.rows()


@pytest.fixture
def opened(tmp_path: Path) -> Callable[[pl.DataFrame], Log]:
    """Write a log, and open it."""

    def write(frame: pl.DataFrame) -> Log:
        frame.write_parquet(tmp_path / "log.parquet")
        ids = tuple(name for name in frame.columns if name == "unit")
        return open_log([str(tmp_path / "log.parquet")], ColumnConfig(id_cols=ids), TimeConfig())

    return write


@pytest.fixture
def explained(tmp_path: Path) -> Callable[[pl.DataFrame], Log]:
    """Write an explanation, and open it."""

    def write(frame: pl.DataFrame) -> Log:
        frame.write_parquet(tmp_path / "why.parquet")
        ids = [name for name in frame.columns if name == "unit"]
        return open_explained(str(tmp_path / "why.parquet"), ids, TimeConfig())

    return write


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A browser; without one, what needs it is skipped."""
    program = find_browser()
    if program is None:
        pytest.skip("no Chromium here: apt-get install chromium-headless-shell")
    with Browser(program, tmp_path_factory.mktemp("profile")) as found:
        found.look()
        yield found
