"""Calls of Python in processes of their own: what they used, and what they said."""

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Any

MEGABYTE = 1 << 20


@dataclass(frozen=True, slots=True)
class Used:
    """What a call used.

    Attributes:
        seconds: Of the processor.
        lasted: Seconds on the clock.
        peak: Largest resident memory, in megabytes.
        said: What it wrote to standard output, if that was JSON.
    """

    seconds: float
    lasted: float
    peak: float
    said: Any


def call(*arguments: object) -> Used:
    """Run ``python ARGUMENTS`` on one thread and wait for it.

    Raises:
        SystemExit: It failed.
    """
    command = [sys.executable, *map(str, arguments)]
    since = time.monotonic()
    one = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env=one, text=True)
    assert process.stdout is not None
    said = process.stdout.read()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    lasted = time.monotonic() - since
    spoken = json.loads(said) if said.startswith("{") else None
    peak = used.ru_maxrss * 1024 / MEGABYTE
    return Used(used.ru_utime + used.ru_stime, lasted, peak, spoken)
