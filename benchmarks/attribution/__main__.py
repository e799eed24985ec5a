"""The command line: train, rank, report."""

import argparse
import sys
from pathlib import Path

from benchmarks.attribution.report import report
from benchmarks.attribution.results import read_results, write_result
from benchmarks.attribution.runs import run, trained
from benchmarks.detection.entities import DATA, ROOT, find_entities

PAGE = ROOT / "docs" / "attribution.md"
DEFAULT_BACKBONE = "smollm2-135m"


def main() -> None:
    """Parse and do."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.attribution", description=__doc__)
    parser.add_argument("--backbone", default="none", help="as of `aster train`")
    parser.add_argument(
        "--only", metavar="TEXT", default="", help="machines with this in their name"
    )
    parser.add_argument("--models", type=Path, help="a directory that keeps what is trained")
    arguments = parser.parse_args()
    if not DATA.is_dir():
        sys.exit(f"no logs to run on: {DATA} is not there")
    for entity in find_entities(DATA):
        if (
            not (Path(entity.folder) / "root_causes.csv").is_file()
            or arguments.only not in entity.key
        ):
            continue
        detector = trained(entity, arguments.backbone, arguments.models)
        write_result(run(entity, detector))
        sys.stderr.write(f"{entity.key} done\n")
    PAGE.write_text(report(read_results("none"), read_results(DEFAULT_BACKBONE)), encoding="utf-8")


if __name__ == "__main__":
    main()
