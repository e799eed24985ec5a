"""aster finds anomalies in sensor logs, without labels and without hand-made rules.

``Detector`` is the Python API; it is imported when it is first asked for, since torch comes with it.
"""

from typing import TYPE_CHECKING

__version__ = "0.1.0"
__all__ = ["Detector", "DetectorConfig", "__version__"]

if TYPE_CHECKING:
    from aster_cli.config import DetectorConfig
    from aster_cli.detector import Detector


def __getattr__(name: str) -> object:
    if name == "Detector":
        from aster_cli.detector import Detector

        return Detector
    if name == "DetectorConfig":
        from aster_cli.config import DetectorConfig

        return DetectorConfig
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
