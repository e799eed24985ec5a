"""aster finds anomalies in sensor logs, without labels and without hand-made rules."""

__version__ = "0.1.0"
