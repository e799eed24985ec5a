"""What docs/formats.md says of clocks, a test for each line of its table."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from aster_cli.config import ColumnConfig, TimeConfig
from aster_cli.errors import AsterError
from aster_cli.logs import open_log, read_scores
from tests.cli.conftest import Aster, Save
from tests.tiny_detector import START, WINDOW, wave

HOUR = 3600 * 10**9
STEP = ("--state", "state", "-o", "scores")
Refused = Callable[..., str]


def read(*names: str, **time: Any) -> tuple[list[Any], list[float], tuple[str, ...]]:
    """A log's timestamps, its steps in hours, and what is said of it."""
    with open_log(list(names), ColumnConfig(), TimeConfig(**time)) as log:
        batches = list(log.batches())
        stamps = [stamp for batch in batches for stamp in batch.keys["timestamp"].to_list()]
        clock = np.concatenate([batch.time for batch in batches])
        return stamps, (np.diff(clock) / HOUR).tolist(), log.notes


def refusal(*names: str, **time: Any) -> tuple[int, str]:
    with pytest.raises(AsterError) as error:
        read(*names, **time)
    return error.value.exit_code, str(error.value)


def text_log(save: Save, times: Sequence[str], name: str = "log.csv") -> str:
    return save("time,x\n" + "".join(f"{time},{i}\n" for i, time in enumerate(times)), name)


def local(*clocks: str) -> list[str]:
    """Times on the wall in the night when clocks go back."""
    return [f"2025-10-26 {clock}:00" for clock in clocks]


def test_uneven_steps_stay_as_they_are(model: Path, save: Save, aster: Aster) -> None:
    """Nothing is inserted, moved or resampled, and up to a gap all rows have a score."""
    uneven = np.cumsum(np.random.default_rng(0).choice([0.5, 1.0, 1.0, 1.0, 4.9], 100))
    times = [START + timedelta(minutes=float(minute)) for minute in uneven]
    log = save(wave(100).with_columns(pl.Series("time", times)), "log.parquet")
    ended = aster("score", log, "-m", model, "-o", "s.parquet")
    scores = pl.read_parquet("s.parquet")
    assert scores["timestamp"].to_list() == times
    assert scores["status"].unique().to_list() == ["ok"]
    assert "rows come every" not in ended.err


def test_nothing_crosses_a_gap(model: Path, save: Save, aster: Aster) -> None:
    """Rows before it score as if the log had ended there, and an event ends with them."""
    high = wave(40).with_columns(pl.col("s0", "s1", "s2") + 6.0)
    later = high.with_columns(pl.col("time") + timedelta(hours=5))
    save(pl.concat([high, later]), "both.csv")
    save(high, "first.csv")
    for name in ("both", "first"):
        aster("score", f"{name}.csv", "-m", model, "-o", f"{name}.parquet")
    both, first = (pl.read_parquet(f"{name}.parquet") for name in ("both", "first"))
    assert both["score"].head(40).to_list() == first["score"].to_list()
    assert both["event_id"].drop_nulls().n_unique() == 2
    # a cell that is missing behind it is not filled from before it
    holes = later.with_columns(s1=pl.when(pl.int_range(40) < 3).then(None).otherwise("s1"))
    save(pl.concat([high, holes]), "holes.csv")
    aster("score", "holes.csv", "-m", model, "-o", "holes.parquet")
    assert pl.read_parquet("holes.parquet")["status"][40:43].to_list() == ["missing"] * 3


def test_the_same_time_twice(save: Save) -> None:
    """Which of the rows counts is not for aster to guess."""
    log = text_log(save, local("01:00", "01:00", "02:00"))
    assert refusal(log)[0] == 3
    assert len(read(log, duplicates="first")[0]) == 2


def test_a_time_that_falls(save: Save) -> None:
    """A log out of order may be two logs."""
    log = text_log(save, local("01:00", "03:00", "02:00"))
    code, line = refusal(log)
    assert (code, "row 3" in line, "--sort" in line) == (3, True, True)
    assert read(log, sort=True)[1] == [1.0, 1.0]


def test_times_that_fall_or_repeat_in_runs(model: Path, save: Save, aster: Aster) -> None:
    """The first row of a time counts; what falls by more than the delay is late."""
    whole = wave(100)
    other = whole[70:71].with_columns(pl.col("s0") + 50.0)
    save(pl.concat([whole[:71], other, whole[71:80], whole[60:61]]), "log.csv")
    ended = aster("score", "log.csv", "-m", model, *STEP)
    assert "late" not in ended.err
    # a row of a time that was never there, in the middle of what is settled
    early = whole[50:51].with_columns(pl.col("time") + timedelta(seconds=30))
    save(pl.concat([whole[:80], early, whole[80:]]), "log.csv")
    assert (
        "1 row came later than --delay allows" in aster("score", "log.csv", "-m", model, *STEP).err
    )
    save(whole, "whole.csv")
    aster("score", "whole.csv", "-m", model, "-o", "whole.parquet")
    expected = read_scores("whole.parquet")["score"].to_list()
    assert read_scores("scores")["score"].to_list() == expected


def test_offsets_are_instants(save: Save) -> None:
    """The night when clocks go back is a night like any."""
    log = text_log(
        save,
        [
            "2025-10-26T01:30:00+02:00",
            "2025-10-26T02:30:00+02:00",
            "2025-10-26T02:30:00+01:00",
            "2025-10-26T03:30:00+01:00",
        ],
    )
    stamps, steps, notes = read(log)
    assert steps == [1.0, 1.0, 1.0]
    assert str(stamps[0]) == "2025-10-25 23:30:00+00:00"
    assert any("kept as UTC" in note for note in notes)


def test_clocks_that_go_forward(model: Path, save: Save, aster: Aster) -> None:
    """The hour is missing, and it is a gap where it is one in rows."""
    spring = datetime(2025, 3, 30, 1, 0) - START
    log = wave(120).with_columns(pl.col("time") + spring)
    jump = (
        pl.when(pl.int_range(120) < 60)
        .then(pl.col("time"))
        .otherwise(pl.col("time").dt.offset_by("1h"))
    )
    save(log.with_columns(time=jump), "log.csv")
    assert aster("score", "log.csv", "-m", model, "-o", "s.parquet").code == 0
    save(log.with_columns(time=jump)[60:], "second.csv")
    aster("score", "second.csv", "-m", model, "-o", "t.parquet")
    behind = pl.read_parquet("s.parquet")["score"][60:].to_list()
    assert behind == pl.read_parquet("t.parquet")["score"].to_list()
    hourly = text_log(save, [f"2025-03-30 0{hour}:00:00" for hour in (0, 1, 3, 4)], "hourly.csv")
    assert read(hourly)[1] == [1.0, 2.0, 1.0]


def test_clocks_that_go_back(save: Save) -> None:
    """Which of two equal times was first, the log does not say."""
    log = text_log(save, local("01:00", "02:00", "02:30", "02:00", "02:30", "03:00"))
    assert refusal(log)[0] == 3
    assert refusal(log, sort=True)[0] == 3
    assert read(log, sort=True, duplicates="mean")[1] == [1.0, 0.5, 0.5]


def test_clocks_that_go_back_in_runs(model: Path, save: Save, aster: Aster) -> None:
    """The second hour is passed over; what comes behind it is taken in."""
    whole = wave(180)
    save(
        pl.concat([whole[:120], whole[60:120].with_columns(pl.col("s0") + 1.0), whole[120:]]),
        "a.csv",
    )
    ended = aster("score", "a.csv", "-m", model, *STEP)
    assert (ended.code, "late" in ended.err) == (0, False)
    save(whole, "whole.csv")
    aster("score", "whole.csv", "-m", model, "-o", "whole.parquet")
    expected = read_scores("whole.parquet")["score"].to_list()
    assert read_scores("scores")["score"].to_list() == expected


@pytest.mark.parametrize(
    ("times", "named"),
    [
        (["2025-10-26T02:00:00+02:00", "2025-10-26T03:00:00"], "2025-10-26T02:00:00+02:00"),
        ([*local("01:00", "02:00") * 9, "2025-10-26T03:10:00+01:00"], "row 19"),
    ],
)
def test_offsets_in_some_rows_only(times: list[str], named: str, save: Save) -> None:
    """An hour's error in some of the rows would be an anomaly in all of them."""
    code, line = refusal(text_log(save, times))
    assert (code, named in line) == (2, True), line


def zoned(save: Save, zone: str, name: str, *, day: int = 1) -> str:
    times = [datetime(2025, 10, 25 + day, hour) for hour in range(4)]
    utc = pl.Series("time", times).dt.replace_time_zone("UTC")
    log = pl.DataFrame({"time": utc.dt.convert_time_zone(zone), "x": [1.0, 2.0, 3.0, 4.0]})
    return save(log, name)


def test_a_column_with_a_time_zone(save: Save) -> None:
    """Also in the night when its clocks go back."""
    stamps, steps, _ = read(zoned(save, "Europe/Berlin", "log.parquet"))
    assert steps == [1.0, 1.0, 1.0]
    assert [stamp.hour for stamp in stamps] == [2, 2, 3, 4]


def test_files_in_different_time_zones(save: Save) -> None:
    """Their times could be put in order, but what zone would the scores be in?"""
    first = zoned(save, "Europe/Berlin", "a.parquet")
    code, line = refusal(first, zoned(save, "UTC", "b.parquet", day=2))
    assert code == 3
    assert "Europe/Berlin" in line
    assert "UTC" in line


def test_another_zone_than_in_training(model: Path, save: Save, aster: Aster) -> None:
    """The model was trained on local times; a log of instants has the same steps."""
    log = wave(10 * WINDOW)
    save(log, "plain.parquet")
    save(log.with_columns(pl.col("time").dt.replace_time_zone("Asia/Tokyo")), "zoned.parquet")
    for name in ("plain", "zoned"):
        aster("score", f"{name}.parquet", "-m", model, "-o", f"{name}-scores.parquet")
    plain, with_zone = (pl.read_parquet(f"{n}-scores.parquet") for n in ("plain", "zoned"))
    assert plain["score"].to_list() == with_zone["score"].to_list()
    assert "Asia/Tokyo" in str(with_zone.schema["timestamp"])
