"""What the detector costs, as ratios of things that are measured in one run.

    python -m benchmarks.speed             the default run, and docs/speed.md
    python -m benchmarks.speed rows        `aster score` on ever more rows: time and memory

Seconds are of the processor, so that a busy machine changes little.
"""
