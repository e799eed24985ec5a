"""The command line: the default run writes the figures into docs/speed.md; `rows` prints a table."""

import argparse
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.detection.entities import ROOT
from benchmarks.speed.fleet import measure_fleet
from benchmarks.speed.gpu import run
from benchmarks.speed.peers import BASE, SENSORS, WINDOW, growth_table, measure_peers, peers_table
from benchmarks.speed.picture import draw
from benchmarks.speed.rounds import measure_rounds
from benchmarks.speed.rows import measure_rows
from benchmarks.speed.training import measure_training
from benchmarks.speed.whole import measure_whole

BEGIN, END = "<!-- speed: begin -->", "<!-- speed: end -->"
PAGE = ROOT / "docs" / "speed.md"
PICTURE = ROOT / "docs" / "speed.svg"


def main() -> None:
    """Parse and do."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed", description=__doc__)
    parser.set_defaults(command=_run)
    commands = parser.add_subparsers()
    rows = commands.add_parser("rows", help="score ever longer logs")
    rows.add_argument("counts", type=int, nargs="+", help="rows of each, such as 200000 2000000")
    rows.add_argument("--backbone", default="smollm2-135m", help="of the model")
    rows.add_argument("--backbone-layers", type=int, default=3, help="of that")
    rows.add_argument("--sensors", type=int, default=SENSORS, help="of the logs")
    rows.add_argument("--window-size", type=int, default=WINDOW, help="of the model")
    rows.set_defaults(command=_rows)
    gpu = commands.add_parser("gpu", help="a GPU beside the processor")
    gpu.add_argument("--json", type=Path, help="keep the figures there, too")
    gpu.set_defaults(command=_gpu)
    fleet = commands.add_parser("fleet", help="many machines on a local cluster")
    fleet.add_argument("--machines", type=int, default=32, help="each in a file of its own")
    fleet.add_argument("--rows", type=int, default=4000, help="of each")
    fleet.add_argument("--workers", type=int, default=2, help="the most, a core each")
    fleet.add_argument("--backbone", default="smollm2-135m", help="of the model")
    fleet.set_defaults(command=_fleet)
    rounds = commands.add_parser("rounds", help="many machines with a state, round after round")
    rounds.add_argument("--machines", type=int, default=1000)
    rounds.add_argument("--rows", type=int, default=300, help="of each, in a round")
    rounds.add_argument("--rounds", type=int, default=3)
    rounds.add_argument("--backbone", default="smollm2-135m", help="of the model")
    rounds.set_defaults(command=_rounds)
    arguments = parser.parse_args()
    arguments.command(arguments)


def _run(arguments: argparse.Namespace) -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        training = measure_training()
        sys.stderr.write("\n".join([*training, ""]))
        whole = measure_whole(folder)
        sys.stderr.write(f"{whole}\n")
        costs = measure_peers(folder)
    PICTURE.write_text(
        draw(
            "Seconds of scoring by rows",
            {method: by_setting[BASE].scored for method, by_setting in costs.items()},
            own="aster",
        ),
        encoding="utf-8",
    )
    parts = [
        "## Training",
        "\n".join(training),
        "## Scoring",
        whole,
        "## Beside the peers",
        "\n".join(peers_table(costs)),
        f"![Seconds of scoring by rows]({PICTURE.name})",
        "## Growth",
        "\n".join(growth_table(costs)),
    ]
    text = PAGE.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    PAGE.write_text("\n\n".join([before + BEGIN, *parts, END + after]), encoding="utf-8")


def _gpu(arguments: argparse.Namespace) -> None:
    run(arguments.json)


def _fleet(arguments: argparse.Namespace) -> None:
    asked = (arguments.machines, arguments.rows, arguments.workers)
    lines = measure_fleet(*asked, arguments.backbone)
    sys.stdout.write("\n".join(lines) + "\n")


def _rounds(arguments: argparse.Namespace) -> None:
    asked = (arguments.machines, arguments.rows, arguments.rounds)
    lines = measure_rounds(*asked, arguments.backbone)
    sys.stdout.write("\n".join(lines) + "\n")


def _rows(arguments: argparse.Namespace) -> None:
    named = {
        name: getattr(arguments, name) for name in ("backbone", "backbone_layers", "window_size")
    }
    flags = [
        part for name, value in named.items() for part in (f"--{name.replace('_', '-')}", value)
    ]
    lines = measure_rows(arguments.counts, *flags, sensors=arguments.sensors)
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
