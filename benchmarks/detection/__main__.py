"""The command line: `run` what has no current result, `report` what there is."""

import argparse
import os
import sys
from importlib.metadata import PackageNotFoundError
from pathlib import Path

from benchmarks.detection.bars import compare_with_peers
from benchmarks.detection.entities import DATA, ROOT, Entity, find_entities
from benchmarks.detection.methods import ALL_METHODS, METHODS
from benchmarks.detection.report import write_report
from benchmarks.detection.results import RESULTS, read_results
from benchmarks.detection.runs import plan, run


def main() -> None:
    """Parse and do."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.detection", description=__doc__)
    commands = parser.add_subparsers(required=True)
    running = commands.add_parser("run", help="run every method on every entity")
    which = running.add_mutually_exclusive_group()
    which.add_argument("--entities", choices=("core", "full"), default="core")
    which.add_argument("--only", metavar="PREFIX", help="entities whose name begins with this")
    running.add_argument(
        "--methods",
        type=lambda text: text.split(","),
        default=list(METHODS),
        help=f"comma-separated, of {', '.join(ALL_METHODS)}; without the variants by default",
    )
    running.add_argument("--seeds", type=int, default=1, help="of those methods that draw")
    running.add_argument("--jobs", type=int, default=1, help="processes at a time")
    running.set_defaults(command=_run)
    reporting = commands.add_parser("report", help="write the tables and the picture")
    reporting.add_argument("--output", type=Path, default=ROOT / "docs/benchmarks.md")
    reporting.add_argument("--picture", type=Path, default=ROOT / "docs/critical-difference.svg")
    reporting.set_defaults(command=_report)
    arguments = parser.parse_args()
    arguments.command(arguments)


def _run(arguments: argparse.Namespace) -> None:
    if not DATA.is_dir():
        sys.stderr.write(f"no logs to run on: {DATA} is not there\n")
        return
    unknown = set(arguments.methods) - set(ALL_METHODS)
    if unknown:
        sys.exit(f"no such method: {', '.join(sorted(unknown))}")
    share = max(1, (os.cpu_count() or 1) // arguments.jobs)
    threads = int(os.environ.get("OMP_NUM_THREADS", share))  # who shares the machine sets it
    try:
        tasks = plan(
            _chosen(arguments.entities, arguments.only),
            {name: ALL_METHODS[name] for name in arguments.methods},
            seeds=arguments.seeds,
            threads=threads,
            results=RESULTS,
        )
    except PackageNotFoundError as error:
        sys.exit(f"{error.name} is not installed: pip install -c constraints.txt --group bench")
    run(tasks, jobs=arguments.jobs)


def _chosen(which: str, prefix: str | None) -> list[Entity]:
    entities = find_entities(DATA)
    if prefix is not None:
        return [entity for entity in entities if entity.key.startswith(prefix)]
    return [entity for entity in entities if which == "full" or entity.core]


def _report(arguments: argparse.Namespace) -> None:
    everything = read_results(RESULTS)
    results = [result for result in everything if result.method in METHODS]
    if not results:
        sys.exit(f"no results to report in {RESULTS}")
    write_report(everything, arguments.output, arguments.picture)
    core = [result for result in results if result.core]
    for title, some in (("core", core), ("all entities", results)):
        sys.stderr.write(f"{title}\n")
        sys.stderr.writelines(f"  {line}\n" for line in compare_with_peers(some))


if __name__ == "__main__":
    main()
