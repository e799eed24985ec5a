"""Spoiled files, one after the other, to every reader and loader: nothing but an `AsterError` may come.

An input that kills the process lies in the folder as ``last`` then; one that raises anything else as
``crash-*``.
"""

import random
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.reliability.hostile import (
    Target,
    log_and_state_targets,
    model_targets,
    spoiled,
)


def run(folder: Path, *, seed: int, inputs: int, minutes: float, only: str) -> dict[str, Any]:
    """Fuzz all targets in turn.

    Args:
        folder: Works there.
        seed: Of the changes.
        inputs: To each target at most.
        minutes: In all, about.
        only: Targets whose name starts with it; without ``model`` nothing is trained.
    """
    found = log_and_state_targets(folder)
    if "model".startswith(only) or only.startswith("model"):
        found |= model_targets(folder)
    found = {name: one for name, one in found.items() if name.startswith(only)}
    counts, crashes = dict.fromkeys(found, 0), dict.fromkeys(found, 0)
    for name, target in found.items():
        seconds = 60.0 * minutes / len(found)
        counts[name], crashes[name] = _fuzzed(folder, target, f"{seed} {name}", inputs, seconds)
        sys.stderr.write(f"{name}: {counts[name]:,} inputs, {crashes[name]} crashes\n")
    kinds = {"logs": 0, "model": 0, "state": 0}
    for name, count in counts.items():
        kinds[name.split("/")[0] if name.split("/")[0] in kinds else "logs"] += count
    return {"fuzzed": kinds, "all": sum(counts.values()), "crashes": sum(crashes.values())}


def _fuzzed(
    folder: Path, target: Target, seed: str, inputs: int, seconds: float
) -> tuple[int, int]:
    drawn, end = random.Random(seed), time.monotonic() + seconds
    done = crashed = 0
    while done < inputs and time.monotonic() < end:
        data = spoiled(target.seed, drawn)
        (folder / "last").write_bytes(data)
        crash = target.crashes(data)
        done += 1
        if crash is not None:
            crashed += 1
            kept = folder / f"crash-{seed.replace('/', '-').replace(' ', '-')}-{done}"
            kept.write_bytes(data)
            sys.stderr.write(f"{kept}: {type(crash).__name__}: {str(crash)[:300]}\n")
    return done, crashed
