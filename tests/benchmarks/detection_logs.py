"""A data folder for the benchmark, small enough for every test."""

from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.detection.entities import Entity, find_entities


def write_log(file: Path, *, rows: int, seed: int, labels: list[int] | None = None) -> None:
    """Three sensors of noise; the rows labelled 1 lie elsewhere."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(rows, 3)).astype(np.float32)
    table = {"step": np.arange(rows)} | {f"s{i}": values[:, i] for i in range(3)}
    frame = pl.DataFrame(table)
    if labels is not None:
        frame = frame.with_columns(
            pl.Series("label", labels), pl.col("s0") + 9 * pl.Series(labels).cast(pl.Float32)
        )
    file.parent.mkdir(parents=True, exist_ok=True)
    frame.write_parquet(file)


def write_entities(data: Path) -> list[Entity]:
    """A/one and A/two share their training log, A/two is all normal; B/three has its own."""
    labels = [0] * 40 + [1] * 10 + [0] * 10
    write_log(data / "A/one/train.parquet", rows=80, seed=0)
    write_log(data / "A/two/train.parquet", rows=80, seed=0)
    write_log(data / "B/three/train.parquet", rows=80, seed=1)
    write_log(data / "B/no-test/train.parquet", rows=80, seed=2)
    write_log(data / "A/one/test.parquet", rows=60, seed=3, labels=labels)
    write_log(data / "A/two/test.parquet", rows=60, seed=4, labels=[0] * 60)
    write_log(data / "B/three/test.parquet", rows=60, seed=5, labels=labels)
    (data / "MANIFEST.csv").write_text(
        "dataset,entity,rows_train\nA,one,80\nA,two,80\nB,no-test,80\nB,three,80\n"
    )
    (data / "CORE.txt").write_text("A/one\nB/three\n")
    return find_entities(data)
