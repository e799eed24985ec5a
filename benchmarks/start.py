"""How long the command takes to start, beside ``python -c "import typer"``.

    python -m benchmarks.start [ROUNDS]

Every round runs each call once, in turn, so that a busy machine slows them alike; the table has medians.
The first round does not count: it leaves modules compiled, as those of an installed command are. Seconds
are of the processor; the ratio of those on the clock stands beside, for a machine at rest.
"""

import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import polars as pl

ROUNDS = 9
NORMAL = Path(__file__).parents[1] / "sample_data" / "normal.parquet"
ASTER = ("-m", "aster_cli")
LEAST = """
import typer
from rich.console import Console
from rich.table import Table
app = typer.Typer(add_completion=False, rich_markup_mode=None)
@app.command()
def show(number: int = 0) -> None:
    table = Table("a", "b")
    table.add_row("1", "2")
    Console().print(table)
app([])
"""
"""The least that shows a table: nothing is looked at."""

SMALL = ("--backbone", "none", "--steps", "2", "--window-size", "16", "--quiet")


def measure(call: tuple[str, ...]) -> tuple[float, float]:
    """Seconds of the processor, and on the clock, of one call of Python."""
    since = time.monotonic()
    process = subprocess.Popen([sys.executable, *call], stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    lasted = time.monotonic() - since
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"python {' '.join(call)} ended with {process.returncode}")
    return used.ru_utime + used.ru_stime, lasted


def main(rounds: int = ROUNDS) -> None:
    """Measure, and write a table in Markdown."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    with TemporaryDirectory() as folder:
        log, model = f"{folder}/log.csv", f"{folder}/m.aster"
        rows = pl.read_parquet(NORMAL)
        rows.filter(pl.col("pump") == rows["pump"][0]).head(500).write_csv(log)
        measure((*ASTER, "train", log, "-o", model, *SMALL))
        calls = {
            '`python -c "import typer"`': ("-c", "import typer"),
            "`aster --help`": (*ASTER, "--help"),
            "`aster --version`": (*ASTER, "--version"),
            "`aster inspect` of a model": (*ASTER, "inspect", model),
            "`aster inspect` of a log of 500 rows": (*ASTER, "inspect", log),
            "a Typer command that shows a Rich table": ("-c", LEAST),
            "the same, and `import polars`": ("-c", f"import polars\n{LEAST}"),
            "the same, and NumPy and PyArrow": ("-c", f"import numpy, polars, pyarrow\n{LEAST}"),
        }
        taken: dict[str, list[tuple[float, float]]] = {name: [] for name in calls}
        for _ in range(rounds + 1):
            for name, call in calls.items():
                taken[name].append(measure(call))
    medians = {
        name: tuple(map(median, zip(*runs[1:], strict=True))) for name, runs in taken.items()
    }
    reference, reference_lasted = next(iter(medians.values()))
    sys.stdout.write("| call | processor | ratio | ratio on the clock |\n|---|---|---|---|\n")
    for name, (used, lasted) in medians.items():
        ratios = f"{used / reference:.2f} | {lasted / reference_lasted:.2f}"
        sys.stdout.write(f"| {name} | {used:.3f} s | {ratios} |\n")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
