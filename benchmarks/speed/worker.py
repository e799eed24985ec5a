"""One method in a process of its own: trained once, it scores several logs; what that took, as JSON.

python -m benchmarks.speed.worker METHOD WINDOW TRAIN LOG...
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

from aster_cli.config import DetectorConfig
from benchmarks.detection.contract import Method


def _aster(size: int) -> Method:
    from benchmarks.detection.ours import Aster

    return Aster(DetectorConfig().changed(window_size=size), 0)


def _knn(size: int) -> Method:
    from pyod.models.knn import KNN

    from benchmarks.detection.peers import OnWindows
    from benchmarks.detection.scaled import OnScaledLog

    return OnScaledLog(OnWindows(KNN(), size))


def _kmeans(size: int) -> Method:
    from benchmarks.detection.peers import KMeansDistance, OnWindows
    from benchmarks.detection.scaled import OnScaledLog

    return OnScaledLog(OnWindows(KMeansDistance(0), size))


def _lstm(size: int) -> Method:
    from benchmarks.detection.deep_peers import LstmAutoencoder, Reconstruction
    from benchmarks.detection.scaled import OnScaledLog

    return OnScaledLog(Reconstruction(0, size, LstmAutoencoder))


def _transformer(size: int) -> Method:
    from benchmarks.detection.deep_peers import Reconstruction, TransformerAutoencoder
    from benchmarks.detection.scaled import OnScaledLog

    return OnScaledLog(
        Reconstruction(0, size, lambda sensors: TransformerAutoencoder(sensors, size))
    )


METHODS: dict[str, Callable[[int], Method]] = {
    "aster": _aster,
    "knn": _knn,
    "kmeans": _kmeans,
    "lstm-autoencoder": _lstm,
    "transformer": _transformer,
}
"""By name, as factories that take the size of windows."""


def main(name: str, size: str, train: str, *logs: str) -> None:
    """Train and score."""
    method = METHODS[name](int(size))
    since = time.process_time()
    method.fit(Path(train))
    trained = time.process_time() - since
    method.score(Path(train))  # what is done once is done
    scored = []
    for log in logs:
        since = time.process_time()
        method.score(Path(log))
        scored.append(time.process_time() - since)
    sys.stdout.write(json.dumps({"trained": trained, "scored": scored, "peak": _peak()}))


def _peak() -> float:
    """Megabytes; what `getrusage` tells begins with those of the process that started this one."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    main(*sys.argv[1:])
