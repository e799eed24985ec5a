"""Columns that play another part than a sensor's, told by their names and their values together.

A name alone says little: `pump` may be a machine's number or its switch, `alarm` a flag or the level
that raises it.
"""

import re
from collections.abc import Iterator

import numpy as np

from aster_cli.inspection.values import Finding
from aster_cli.results import FloatArray

_CLASSES = 20  # values of a column that names kinds of faults, at most
_ID_VALUES = 100  # values from which numbers are hardly names of machines, if not called so

_FAULTS = (
    "anomal(?:y|ies|ous)|outliers?|labels?|groundtruth|changepoints?|abnormal|alarms?|attacks?|"
    "broken|defects?|defective|failures?|faults?|faulty|incidents?|malfunctions?"
)
_LABEL_WORD = re.compile(rf"(?:is|has)?(?:{_FAULTS})(?:flag|label|code|type|kind|class)?")
_MEASURED = {"count", "counter", "limit", "setpoint", "threshold"}  # of faults, or for them
_FLAG_NAMES = {
    *("att", "alert", "error", "event", "trip", "warning"),
    *("class", "groundtruth", "gt", "target", "y"),
}
_FLAG_WORDS = {"is", "has", "flag", "label"}

_MACHINES = {
    *("asset", "batch", "channel", "device", "entity", "equipment", "file", "host", "instance"),
    *("line", "lot", "machine", "module", "node", "plant", "rack", "run", "segment", "sensor"),
    *("serial", "server", "site", "station", "unit", "zone"),
}
_DRIVEN = {"engine", "pump", "robot", "tool", "truck", "turbine", "vehicle"}  # or switched
_ID_WORD = re.compile(
    rf"(?:{'|'.join(sorted(_MACHINES | _DRIVEN))})(?:code|id|index|key|name|no|nr|num|number|tag)"
)


def find_roles(name: str, distinct: FloatArray) -> Iterator[Finding]:
    """What a column looks like, if not like a sensor.

    Args:
        name: The column's.
        distinct: Its values, each once; the extremes among them.
    """
    if not (distinct == np.round(distinct)).all():
        return
    words, n, binary = _words(name), len(distinct), {*distinct.tolist()} <= {0.0, 1.0}
    values = "is 0 or 1" if binary and n == 2 else f"has {n} value{'' if n == 1 else 's'}"
    if n <= _CLASSES and _is_label(words, flag=n == 2 and distinct[0] <= 0):
        yield Finding("label", f"is named like a label, and {values}")
    elif _is_explicit(words) or (n <= _ID_VALUES and _is_machine(words, switch=binary)):
        yield Finding("id", f"is named like a machine, and {values}")


def is_id_name(name: str) -> bool:
    """Whether a column is called as columns are that name machines."""
    words = _words(name)
    return _is_explicit(words) or _is_machine(words, switch=False)


def _words(name: str) -> list[str]:
    """A name's words in small letters: `pumpFault`, `pump_fault` and `Pump Fault` are alike."""
    return re.findall(r"[a-z0-9]+", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower())


def _is_label(words: list[str], *, flag: bool) -> bool:
    if _MEASURED & set(words):
        return False
    if any(_LABEL_WORD.fullmatch(word) for word in words):
        return True
    rest = "".join(word for word in words if word not in _FLAG_WORDS)
    return rest == "class" or (flag and rest in _FLAG_NAMES)


def _is_machine(words: list[str], *, switch: bool) -> bool:
    name = "".join(words)
    return name in _MACHINES or (name in _DRIVEN and not switch)


def _is_explicit(words: list[str]) -> bool:
    """Whether a name ends as `serial_number` and `deviceid` do."""
    ends = ("".join(words[place:]) for place in range(len(words)))
    return words[-1:] == ["id"] or any(_ID_WORD.fullmatch(end) for end in ends)
