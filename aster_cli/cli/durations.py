"""Sampling periods as people write them."""

import re

from aster_cli.errors import UsageError

SECONDS = {
    "ns": 1e-9,
    "us": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "min": 60.0,
    "m": 60.0,
    "h": 3600.0,
    "d": 86400.0,
}


def parse_period(text: str | None, flag: str = "--freq") -> float | None:
    """Seconds of ``10s``, ``5min`` or ``1.5h``; a bare number is seconds, or counter units.

    Raises:
        UsageError: The text is no period.
    """
    if text is None:
        return None
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*", text.lower())
    if match is None or match[2] not in {"", *SECONDS}:
        raise UsageError(
            f"{text!r} is no period", where=flag, hint="give a number and ms, s, min, h or d"
        )
    return float(match[1]) * SECONDS.get(match[2], 1.0)
