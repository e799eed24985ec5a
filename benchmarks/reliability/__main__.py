"""Put faults into real runs; every command prints its figures as one JSON line."""

import argparse
import json
import sys
import tempfile
from importlib import import_module
from pathlib import Path


def main() -> None:
    """Parse and do."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reliability", description=__doc__)
    parser.add_argument("--folder", type=Path, help="where to work; a new one if unset")
    parser.add_argument("--seed", type=int, default=0)
    commands = parser.add_subparsers(required=True, dest="command")
    kills = commands.add_parser("kills", help="kill -9 of train and score")
    kills.add_argument("--train", type=int, default=100, help="kills of train")
    kills.add_argument("--score", type=int, default=150, help="kills of score")
    kills.add_argument("--every", action="store_true", help="once at every write point instead")
    kills.add_argument("--only", default="", help="of --every, runs whose name starts so")
    soak = commands.add_parser("soak", help="thousands of incremental runs with faults in them")
    soak.add_argument("--runs", type=int, default=2000)
    soak.add_argument("--processes", type=int, default=50, help="runs that are whole processes")
    places = commands.add_parser("places", help="full and read-only disks, two at once, the clock")
    places.add_argument("--full", type=int, default=20, help="full disks of each command")
    places.add_argument("--together", type=int, default=10, help="pairs of runs of each command")
    machines = commands.add_parser("machines", help="many machines in one log, in bounded memory")
    machines.add_argument("--machines", type=int, default=1000)
    machines.add_argument("--rows", type=int, default=100, help="of each machine")
    fuzz = commands.add_parser("fuzz", help="spoiled files to every reader and loader")
    fuzz.add_argument("--inputs", type=int, default=1_000_000, help="to each at most")
    fuzz.add_argument("--minutes", type=float, default=60.0, help="in all, about")
    fuzz.add_argument("--only", default="", help="targets whose name starts so")
    guided = commands.add_parser("guided", help="the same, led by the code that inputs reach")
    guided.add_argument("--minutes", type=float, default=60.0, help="in all, about")
    guided.add_argument("--only", default="", help="targets whose name starts so")
    asked = vars(parser.parse_args())
    command, folder = asked.pop("command"), asked.pop("folder")
    # only what is asked for: some must not have computed anything before it forks
    room = import_module(f"benchmarks.reliability.{command}")
    with tempfile.TemporaryDirectory() as new:
        found = room.run(folder or Path(new), **asked)
    sys.stdout.write(json.dumps({"command": command, **asked, **found}) + "\n")


if __name__ == "__main__":
    main()
