"""The structured log: one JSON object a line, on stderr."""

import json
import sys
from datetime import UTC, datetime
from typing import Any, Literal

Level = Literal["info", "warning", "error"]


def write_record(event: str, level: Level, **fields: Any) -> None:
    """Write one line."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    record = {"time": now, "level": level, "event": event, **fields}
    sys.stderr.write(json.dumps(record, default=str) + "\n")
