"""The parts that columns play must be those a person would choose, or be asked for."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import msgspec
import polars as pl
import pytest

from aster_cli.config import ColumnConfig
from aster_cli.errors import DataError, LogFormatError
from aster_cli.logs.schema import infer_schema, listed
from aster_cli.schema import LogSchema

START = datetime(2024, 3, 1)
DATES = [START + timedelta(hours=hour) for hour in range(3)]


def infer(
    head: Mapping[str, object], *, path_ids: tuple[str, ...] = (), **config: Any
) -> tuple[LogSchema, tuple[str, ...]]:
    return infer_schema(
        pl.DataFrame(head, strict=False), ColumnConfig(**config), where="f", path_ids=path_ids
    )


def test_a_usual_log_needs_no_words():
    # The first run should work without a flag.
    schema, notes = infer(
        {
            "flow": [1.0, 2.0, 3.0],
            "at": DATES,
            "on": [True, False, True],
            "label": [0, 0, 1],
            "rpm": [1, 2, 2],
        }
    )
    assert schema == LogSchema(
        sensors=("flow", "on", "rpm"),
        sensor_dtypes=("Float64", "Boolean", "Int64"),
        time_col="at",
        time_kind="datetime",
        time_dtype="Datetime(time_unit='us', time_zone=None)",
        seconds_per_unit=1e-9,
        id_cols=(),
        id_from_path=False,
        label_col="label",
    )
    assert notes == ()


def test_the_schema_survives_json():
    # The model directory keeps it as JSON.
    schema, _ = infer({"t": [1, 2, 3], "x": [1.0, 2.0, 3.0]})
    assert msgspec.json.decode(msgspec.json.encode(schema), type=LogSchema) == schema


@pytest.mark.parametrize(
    ("column", "kind", "per_unit"),
    [
        ({"Step": [0, 1, 2]}, "counter", None),
        ({"elapsed": [0.0, 0.5, 1.0]}, "counter", None),
        ({"ts": [1709251200, 1709251260, 1709251320]}, "epoch", 1e-9),
        ({"timestamp": [1709251200.5, 1709251201.0, 1709251201.5]}, "epoch", 1e-9),
        ({"TIME": [1709251200000, 1709251200100, 1709251200200]}, "epoch", 1e-9),
        ({"day": [DATES[0].date()] * 3}, "date", 1e-9),
    ],
)
def test_the_time_column_is_found(column, kind, per_unit):
    # By its type, or by its name and what it does.
    schema, _ = infer({"x": [3.0, 1.0, 2.0], **column})
    assert (schema.time_col, schema.time_kind) == (next(iter(column)), kind)
    assert schema.seconds_per_unit == per_unit
    assert schema.sensors == ("x",)


def test_numbers_that_do_not_rise_are_no_counter():
    # A column called t may be a temperature; that it was considered is said.
    schema, notes = infer({"x": [1.0, 2.0, 3.0], "t": [21.0, 20.5, 22.0]})
    assert schema.time_kind == "row"
    assert schema.sensors == ("x", "t")
    assert notes[0].startswith("no time column found")
    assert "does not rise" in notes[1]
    assert "'t'" in notes[1]


def test_an_epoch_need_not_rise_to_be_the_time():
    # Falling time is an error to be told, not a reason to read the clock as a sensor.
    schema, _ = infer({"x": [1.0, 2.0], "ts": [1709251260, 1709251200]})
    assert schema.time_col == "ts"


def test_a_counter_with_a_fault_is_a_counter():
    # The fault is to be told when the log is read; as a sensor the counter would pass unnoticed.
    head = {"x": [1.0] * 50, "step": [*range(20), 5, *range(20, 49)]}
    assert infer(head)[0].time_col == "step"
    assert infer(head, sensors=("step", "x"))[0].time_col is None


def test_a_counter_rises_within_each_machine():
    # Logs of many machines are often one below the other.
    head = {"unit": ["a", "b", "a", "b"], "step": [2, 1, 3, 2], "x": [1.0] * 4}
    assert infer(head, id_cols=("unit",))[0].time_col == "step"
    assert infer(head)[0].time_col is None


def test_two_dates_are_ambiguous():
    # Choosing one silently would misplace every event.
    with pytest.raises(DataError, match=r"'start', 'end'.*--time-col"):
        infer({"start": DATES, "end": DATES, "x": [1.0, 2.0, 3.0]})
    head = {"start": DATES, "end": DATES, "x": [1.0, 2.0, 3.0]}
    assert infer(head, time_col="end")[0].time_col == "end"
    assert infer(head, exclude_cols=("start",))[0].time_col == "end"


def test_a_second_clock_is_no_sensor():
    # A row counter beside the time would be further from normal with every row.
    schema, notes = infer({"at": DATES, "index": [0, 1, 2], "x": [1.0, 2.0, 3.0]})
    assert schema.sensors == ("x",)
    assert notes == ("left out, further clocks: 'index'",)


def test_what_is_left_out_is_said():
    # Text and identifiers are no measurements, but the user may have thought they were.
    schema, notes = infer(
        {
            "x": [1.0],
            "state": ["on"],
            "pump_id": [7],
            "deviceId": [7],
            "ID": [7],
            "": [0],
            "humid": [0.5],
        }
    )
    assert schema.sensors == ("x", "humid")
    assert "left out, not numeric: 'state'" in notes
    assert "left out, identifiers: 'pump_id', 'deviceId', 'ID', ''" in notes


def test_sensors_are_chosen_by_name_or_glob():
    # An exact name wins over the reading as a glob, and over what names usually mean.
    head = {"p1": [1.0], "p2": [1.0], "q [bar]": [1.0], "valve_id": [1.0], "s": ["a"]}
    assert infer(head, sensors=("p*",))[0].sensors == ("p1", "p2")
    assert infer(head, sensors=("q [bar]",))[0].sensors == ("q [bar]",)
    assert infer(head, sensors=("valve_id",))[0].sensors == ("valve_id",)
    assert infer(head, exclude_cols=("p?",))[0].sensors == ("q [bar]",)
    assert infer(head, sensors=("p*",), exclude_cols=("p2",))[0].sensors == ("p1",)


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ({"sensors": ("flo",)}, r"--sensors 'flo' matches no usable column; did you mean 'flow'\?"),
        (
            {"exclude_cols": ("z*",)},
            r"--exclude-cols 'z\*' matches no usable column; there are",
        ),
        ({"sensors": ("state",)}, "'state' cannot be a sensor: it is String"),
        ({"sensors": ("label",)}, "'label' cannot be a sensor: it is the label"),
        ({"sensors": ("at",)}, "'at' cannot be a sensor: it is the time"),
        ({"sensors": ("flow",), "exclude_cols": ("flow",)}, "'flow' matches no usable column"),
        ({"exclude_cols": ("flow",)}, "no usable sensor among 'at', 'flow'"),
        ({"time_col": "att"}, r"--time-col 'att' is no column; did you mean 'at'\?"),
        ({"id_cols": ("Flow",)}, r"--id-col 'Flow' is no column; did you mean 'flow'\?"),
        ({"time_col": "at", "id_cols": ("at",)}, "'at' cannot be the time: it is an id column"),
        ({"time_col": "on"}, "'on' is Boolean, not a time"),
    ],
)
def test_a_column_that_cannot_play_its_part_is_named(config, problem):
    # A typo must not silently give another detector.
    head = {"at": DATES, "flow": [1.0] * 3, "state": ["a"] * 3, "label": [0] * 3}
    if config.get("time_col") == "on":
        head["on"] = [True] * 3
    with pytest.raises(DataError, match=f"f: .*{problem}"):
        infer(head, **config)


def test_times_that_cannot_be_read_are_shown():
    # An example tells more than the name of the column.
    with pytest.raises(LogFormatError, match="'clock', such as '8h01', cannot be read"):
        infer({"clock": [None, "8h01"], "x": [1.0, 2.0]}, time_col="clock")


ALIKE = ["2024-03-01T08:00", "2024-03-01T09:00"]
MIXED = ["2024-03-01T08:00:00Z", "2024-03-01T09:00:00"]


@pytest.mark.parametrize("times", [MIXED, [*ALIKE, "noon", "later"], ["now", ALIKE[0]]])
@pytest.mark.parametrize("others", [{}, {"step": [1, 2, 3, 4]}])
def test_a_clock_that_is_not_written_alike_is_refused(times, others):
    # Counting rows, or taking another clock, would be silent: its name says what it is meant for.
    head = {"Timestamp": times, "x": [1.0] * len(times)}
    head |= {name: cells[: len(times)] for name, cells in others.items()}
    with pytest.raises(LogFormatError, match="the times in column 'Timestamp'") as caught:
        infer(head)
    assert "--exclude-cols" in (caught.value.hint or "")
    assert infer(head, exclude_cols=("Timestamp",))[0].time_col == next(iter(others), None)


def test_the_only_times_are_refused_where_they_are_not_written_alike():
    # Whatever the column is called; but a note that happens to hold a date is no clock.
    head = {"recorded": MIXED, "x": [1.0, 2.0]}
    with pytest.raises(LogFormatError, match="the times in column 'recorded'"):
        infer(head)
    assert infer({**head, "step": [1, 2]})[0].time_col == "step"
    assert infer({"note": ["2024-03-01", "ok"], "x": [1.0, 2.0]})[0].time_col is None
    assert infer({"time": ["day", "night"], "x": [1.0, 2.0]})[0].time_col is None


def test_the_path_can_name_the_machine():
    # Then the id is no column, and a column of that name is no sensor.
    schema, _ = infer({"x": [1.0], "machine": [5]}, path_ids=("machine",), id_from_path=True)
    assert (schema.id_cols, schema.id_from_path) == (("machine",), True)
    assert schema.sensors == ("x",)


def test_an_id_column_must_not_be_called_like_the_time_of_the_scores():
    # Scores have a column `timestamp` of their own.
    with pytest.raises(DataError, match="cannot be called 'timestamp'"):
        infer({"timestamp": ["a"], "x": [1.0]}, id_cols=("timestamp",))


def test_lists_of_names_stay_short_and_printable():
    # A log may have thousands of columns, and control characters in their names.
    assert listed(["a\x1b", "b"]) == r"'a\x1b', 'b'"
    assert listed([str(i) for i in range(9)]) == "'0', '1', '2', '3', '4' and 4 more"
