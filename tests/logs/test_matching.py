"""A log must give a model exactly the sensors that it was trained on, or be refused."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import polars as pl
import pytest

from aster_cli.config import ColumnConfig
from aster_cli.errors import DataError, SchemaMismatchError
from aster_cli.logs.matching import match_schema
from aster_cli.logs.schema import infer_schema
from aster_cli.schema import LogSchema

AT = [datetime(2024, 3, 1, 8)]
TRAINED, _ = infer_schema(
    pl.DataFrame({"at": AT, "flow": [1.0], "temp": [20.0]}), ColumnConfig(), where="train"
)


def match(
    head: Mapping[str, object],
    expected: LogSchema = TRAINED,
    *,
    path_ids: tuple[str, ...] = (),
    allow_missing_sensors: bool = False,
    **config: Any,
) -> tuple[LogSchema, tuple[str, ...]]:
    return match_schema(
        expected,
        pl.DataFrame(head),
        ColumnConfig(**config),
        where="f",
        path_ids=path_ids,
        allow_missing_sensors=allow_missing_sensors,
    )


def test_sensors_are_matched_by_name():
    # Exports rarely keep the order of their columns; the model's order is what counts.
    schema, notes = match({"temp": [1], "flow": [True], "label": [0], "at": AT})
    assert schema.sensors == TRAINED.sensors
    assert schema.label_col == "label"
    assert notes == ()


def test_unknown_columns_are_said_once():
    # They are new sensors, or a typo.
    _, notes = match({"at": AT, "flow": [1.0], "temp": [1.0], "new": [1.0], "note": ["x"]})
    assert notes == ("ignored, not known to the model: 'new', 'note'",)


def test_a_missing_sensor_names_both_sides():
    # What the model wants, and what the log has instead.
    head = {"at": AT, "flow": [1.0], "Temp": [1.0]}
    with pytest.raises(SchemaMismatchError, match=r"f: .*2 sensors.*lacks 'temp'.*'Temp'"):
        match(head)
    schema, notes = match(head, allow_missing_sensors=True)
    assert schema.sensors == TRAINED.sensors
    assert any("'temp'" in note for note in notes)


def test_a_log_without_any_known_sensor_is_refused_always():
    # There would be nothing to score.
    with pytest.raises(SchemaMismatchError):
        match({"at": AT, "x": [1.0]}, allow_missing_sensors=True)


def test_a_sensor_that_is_text_names_both_dtypes():
    # A numeric dtype of another width is fine, text is not.
    with pytest.raises(SchemaMismatchError, match=r"'flow' is String where .* expects Float64"):
        match({"at": AT, "flow": ["a"], "temp": [1]})


def test_many_misfits_are_counted():
    # A list of a thousand names helps nobody.
    names = [f"s{number}" for number in range(9)]
    wide, _ = infer_schema(
        pl.DataFrame({name: [1.0] for name in names}), ColumnConfig(), where="train"
    )
    with pytest.raises(SchemaMismatchError, match=r"'s4' is String .* and 4 more$"):
        match({name: ["x"] for name in names}, wide)


def test_the_time_column_must_be_there_and_of_its_kind():
    # Sampling periods in seconds mean nothing for a counter.
    with pytest.raises(SchemaMismatchError, match=r"expects the time column 'at'.*--time-col"):
        match({"flow": [1.0], "temp": [1.0]})
    with pytest.raises(SchemaMismatchError, match=r"dates .*'at'.* a counter .*'at'"):
        match({"at": [1], "flow": [1.0], "temp": [1.0]})
    with pytest.raises(DataError, match="--time-col 'aat' is no column"):
        match({"at": AT, "flow": [1.0], "temp": [1.0]}, time_col="aat")


def test_the_time_column_may_be_named_anew():
    # And another way of writing instants is as good.
    schema, _ = match({"ts": [1709251200], "flow": [1.0], "temp": [1.0]}, time_col="ts")
    assert (schema.time_col, schema.time_kind) == ("ts", "epoch")


def test_a_model_without_time_reads_rows():
    # Even where the log has gained a time column since.
    rows, _ = infer_schema(pl.DataFrame({"flow": [1.0]}), ColumnConfig(), where="train")
    schema, notes = match({"at": AT, "flow": [1.0]}, rows)
    assert schema.time_col is None
    assert notes == ("ignored, not known to the model: 'at'",)


def test_machines_are_told_apart_as_in_training():
    # Scaling is kept by machine, so the ids must mean the same.
    fleet, _ = infer_schema(
        pl.DataFrame({"unit": ["a"], "flow": [1.0]}), ColumnConfig(id_cols=("unit",)), where="train"
    )
    assert match({"unit": ["b"], "flow": [1.0]}, fleet, id_cols=("unit",))[0].id_cols == ("unit",)
    renamed, _ = match({"host": ["b"], "flow": [1.0]}, fleet, id_cols=("host",))
    assert renamed.id_cols == ("host",)
    with pytest.raises(SchemaMismatchError, match="apart by 'unit', the log has 'flow'"):
        match({"flow": [1.0]}, fleet, id_cols=("unit",))
    with pytest.raises(SchemaMismatchError, match="apart by 'unit'"):
        match({"unit": ["b"], "flow": [1.0]}, fleet, id_cols=("unit",), path_ids=("machine",))
    with pytest.raises(DataError, match=r"--id-col 'hots' is no column.*'host'"):
        match({"host": ["b"], "flow": [1.0]}, fleet, id_cols=("hots",))


def test_a_model_of_one_machine_may_score_many():
    # Its time must still be checked machine by machine.
    schema, _ = match({"at": AT, "unit": ["b"], "flow": [1.0], "temp": [1.0]}, id_cols=("unit",))
    assert schema.id_cols == ("unit",)
