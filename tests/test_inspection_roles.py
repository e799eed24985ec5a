"""A column that leaks the answer is told from a sensor by name and values together."""

import numpy as np
import pytest

from aster_cli.inspection.roles import find_roles, is_id_name

FLAG = (0.0, 1.0)
KINDS = (0.0, 1.0, 2.0, 5.0)
SERIALS = tuple(100_000.0 + 37 * i for i in range(300))
MEASURED = tuple(np.linspace(20.0, 30.0, 400).tolist())
WHOLE = tuple(float(value) for value in range(40, 90))


def kinds(name: str, values: tuple[float, ...]) -> list[str]:
    return [finding.kind for finding in find_roles(name, np.array(values))]


@pytest.mark.parametrize(
    ("name", "values"),
    [
        *((name, FLAG) for name in ("alarm", "Alarm", "ALARMS", "is_alarm", "isAlarm", "hasFault")),
        *(
            (name, FLAG)
            for name in ("anomaly_flag", "anomalyflag", "isanomaly", "Abnormal", "fault")
        ),
        *(
            (name, FLAG)
            for name in ("error_flag", "is_event", "trip", "Warning", "y", "target", "gt")
        ),
        *((name, FLAG) for name in ("alarm_valve", "attack_P1", "Machine failure", "ground truth")),
        *((name, KINDS) for name in ("Class", "Fault Types", "fault_code", "alarm", "faultLabel")),
        *((name, (0.0, 2.0)) for name in ("Class", "alarm")),
        *((name, (-1.0, 1.0)) for name in ("y", "outlier")),
        ("ATT_FLAG", (-999.0, 1.0)),
        ("fault", (0.0,)),
    ],
)
def test_labels(name: str, values: tuple[float, ...]) -> None:
    assert kinds(name, values) == ["label"]


@pytest.mark.parametrize(
    ("name", "values"),
    [
        *((name, KINDS) for name in ("asset", "Unit", "machine", "pump", "asset_no", "MachineNr")),
        *((name, SERIALS) for name in ("MachineID", "machineId", "deviceid", "serial_number")),
        *((name, SERIALS) for name in ("SerialNo", "asset tag", "unit_id", "pump_serial_no")),
        *((name, FLAG) for name in ("machine", "pump_id", "pump_nr")),
    ],
)
def test_ids(name: str, values: tuple[float, ...]) -> None:
    assert kinds(name, values) == ["id"]
    assert is_id_name(name)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        *((name, FLAG) for name in ("valve", "pump", "engine", "running", "flag", "state", "door")),
        *((name, FLAG) for name in ("pump_running", "unit_on", "sensor_ok", "classroom_light")),
        *((name, KINDS) for name in ("mode", "gear", "status", "target", "error", "y", "event")),
        *(
            (name, WHOLE)
            for name in ("alarm", "fault", "Class", "unit_load", "engine_rpm", "target")
        ),
        *(
            (name, WHOLE)
            for name in ("alarm_limit", "station_no2", "humid", "grid", "acid", "solid")
        ),
        *((name, MEASURED) for name in ("alarm", "class", "unit", "fault_current", "machine")),
        *((name, MEASURED) for name in ("liquid", "MachineID", "serial_number", "line")),
        *((name, KINDS) for name in ("fault_count", "alarm_threshold", "alarmSetpoint")),
        *((name, SERIALS) for name in ("unit", "asset", "line", "runtime", "batch")),
        ("target", (60.0, 80.0)),
    ],
)
def test_sensors(name: str, values: tuple[float, ...]) -> None:
    """A log is not to lose a sensor for its name."""
    assert kinds(name, values) == []
