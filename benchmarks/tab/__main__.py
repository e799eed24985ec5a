"""ASTER's defaults on files of the TAB benchmark, by TAB's score protocol.

Results are appended to the output as they come, and what is there already is not run again.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

os.environ.setdefault("GOMP_SPINCOUNT", "2000")  # as the command does, before torch

from aster_cli.errors import AsterError, UsageError
from benchmarks.tab.files import METADATA, find_files
from benchmarks.tab.protocol import Detect, aster, run
from benchmarks.tab.results import append_result, read_results, table

OUTPUT = Path(__file__).parents[1] / "results" / "tab.jsonl"


def main(arguments: Sequence[str] | None = None, detect: Detect = aster) -> int:
    """Run what is asked for and not yet done, print the table and return the exit code."""
    try:
        sys.stdout.write(_run(_parse(arguments), detect))
    except AsterError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tab", description=__doc__)
    parser.add_argument("data_dir", metavar="DATA_DIR", type=Path, help="folder of the CSV files")
    parser.add_argument(
        "--metadata", metavar="FILE", type=Path, help=f"default: {METADATA} in DATA_DIR"
    )
    parser.add_argument("--only", metavar="NAME", nargs="+", default=[], help="files, without .csv")
    parser.add_argument(
        "--seeds", metavar="N", type=int, default=1, help="figures are means over N seeds"
    )
    parser.add_argument(
        "--output",
        metavar="FILE",
        type=Path,
        default=OUTPUT,
        help="default: benchmarks/results/tab.jsonl",
    )
    return parser.parse_args(arguments)


def _run(options: argparse.Namespace, detect: Detect) -> str:
    """The table of every file asked for, those run now and those run before."""
    if options.seeds < 1:
        raise UsageError(f"{options.seeds} is not possible", where="--seeds", hint="give 1 or more")
    files = find_files(options.data_dir, options.metadata, options.only)
    # Another cut between training and test is another task.
    done = {(r.file, r.train_rows, r.seed): r for r in read_results(options.output)}
    seeds = range(options.seeds)
    for file in files:
        todo = [seed for seed in seeds if (file.name, file.train_rows, seed) not in done]
        for result in run(file, todo, detect) if todo else ():
            append_result(options.output, result)
            done[result.file, result.train_rows, result.seed] = result
            sys.stderr.write(f"{result.file}, seed {result.seed}: {result.train_seconds:.0f} s\n")
    return table([done[file.name, file.train_rows, seed] for file in files for seed in seeds])


if __name__ == "__main__":
    sys.exit(main())
