"""Detection quality: aster with its defaults beside its peers, on labelled logs.

    python -m benchmarks.detection run --entities core
    python -m benchmarks.detection report

`run` writes one JSON file a method, entity and seed under ``results/`` as they come and never
repeats one whose code is unchanged; `report` makes ``docs/benchmarks.md`` from those files alone.
"""
