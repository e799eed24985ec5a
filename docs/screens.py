"""Takes the pictures of `gallery.md` that show terminals: real runs on the sample logs, as SVG.

    python docs/screens.py [FOLDER]

FOLDER (`demo` if unset) keeps the model and the scores; what is there is not made again.
"""

import fcntl
import os
import pty
import shlex
import struct
import subprocess
import sys
import termios
from pathlib import Path

import polars as pl
from rich.console import Console
from rich.terminal_theme import DEFAULT_TERMINAL_THEME, SVG_EXPORT_THEME, TerminalTheme
from rich.text import Text

ROOT = Path(__file__).resolve().parents[1]
SCREENS = ROOT / "docs" / "figures" / "screens"
NARROW, WIDE = 100, 160

SVG = """\
<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
  <style>
    .{unique_id}-matrix {{
      font-family: "DejaVu Sans Mono", Menlo, Consolas, monospace;
      font-size: {char_height}px;
      line-height: {line_height}px;
    }}
    .{unique_id}-title {{ font-size: 17px; font-family: "DejaVu Sans Mono", Menlo, Consolas, monospace; }}
    {styles}
  </style>
  <defs>
    <clipPath id="{unique_id}-clip-terminal">
      <rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" />
    </clipPath>
    {lines}
  </defs>
  {chrome}
  <g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
    {backgrounds}
    <g class="{unique_id}-matrix">
    {matrix}
    </g>
  </g>
</svg>
"""
"""Rich's picture of a terminal, but with fonts of the reader's own: no page may need a network."""


def spoil(log: pl.DataFrame) -> pl.DataFrame:
    """One pump's log with what spoils a training, planted."""
    rows = pl.int_range(pl.len())
    one = log.filter(pl.col("pump") == "P1").drop("pump")
    return one.with_columns(
        power_kw=pl.col("power_kw").clip(upper_bound=16.0),
        outlet_pressure_bar=pl.when(rows >= 2400)
        .then(pl.col("outlet_pressure_bar") * 14.504)
        .otherwise("outlet_pressure_bar"),
        flow_m3h=pl.when(rows.is_between(1500, 1530)).then(900.0).otherwise("flow_m3h"),
        operating_hours=(rows / 12).floor() + 8100,
        pump_fault=(rows % 700 < 20).cast(pl.Int8),
    ).with_columns(flow_gpm=pl.col("flow_m3h") * 4.4029)


def look(command: str, folder: Path, columns: int) -> str:
    """What a terminal that wide shows of a command."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    environment = {
        **{name: value for name, value in os.environ.items() if name != "NO_COLOR"},
        "TERM": "xterm-256color",
        "COLUMNS": str(columns),
        "PYTHONPATH": str(ROOT),
    }
    words = [sys.executable, "-m", "aster_cli", *shlex.split(command)[1:]]
    process = subprocess.Popen(
        words, cwd=folder, env=environment, stdout=theirs, stderr=subprocess.DEVNULL
    )
    os.close(theirs)
    shown = bytearray()
    while True:
        try:
            part = os.read(ours, 1 << 16)
        except OSError:  # Linux says so when the other end is closed
            break
        if not part:
            break
        shown += part
    os.close(ours)
    if process.wait():
        raise SystemExit(f"{command}: exit code {process.returncode}")
    return shown.decode().replace("\r\n", "\n")


def picture(
    name: str,
    command: str,
    folder: Path,
    *,
    columns: int = NARROW,
    lines: int = 60,
    theme: TerminalTheme = SVG_EXPORT_THEME,
) -> None:
    """Run a command and keep its first lines as a picture."""
    shown = look(command, folder, columns).split("\n")
    more = ["  …"] if len(shown) > lines + 1 else []
    with Path(os.devnull).open("w") as nowhere:
        console = Console(file=nowhere, record=True, width=columns, force_terminal=True)
        console.print(Text(f"$ {command}\n", style="bold"))
        console.print(Text.from_ansi("\n".join([*shown[:lines], *more]).rstrip("\n") + "\n"))
        svg = console.export_svg(title="aster", theme=theme, code_format=SVG, unique_id=name)
    (SCREENS / f"{name}.svg").write_text(svg + "\n")


def main(folder: Path) -> None:
    """Make what the screens are of, then take them."""
    folder.mkdir(parents=True, exist_ok=True)
    SCREENS.mkdir(parents=True, exist_ok=True)
    if not (folder / "sample_data").exists():
        (folder / "sample_data").symlink_to(ROOT / "sample_data")
    if not (folder / "pumps.aster").exists():
        look("aster train sample_data/normal.parquet --id-col pump -o pumps.aster", folder, NARROW)
    if not (folder / "scores.parquet").exists():
        look("aster score sample_data/live.csv -m pumps.aster -o scores.parquet", folder, NARROW)
    spoil(pl.read_parquet(ROOT / "sample_data" / "normal.parquet")).write_csv(folder / "one.csv")

    picture("inspect-log", "aster inspect one.csv", folder, lines=70)
    picture(
        "inspect-sensor",
        "aster inspect sample_data/live.csv --id-col pump --sensor flow_m3h",
        folder,
    )
    picture("model", "aster inspect pumps.aster", folder, lines=80)
    score = "aster score sample_data/live.csv -m pumps.aster"
    picture("score", score, folder)
    picture("score-light", score, folder, theme=DEFAULT_TERMINAL_THEME)
    picture("score-wide", score, folder, columns=WIDE)
    picture("inspect-scores", "aster inspect scores.parquet", folder, lines=70)
    picture(
        "eval",
        "aster eval sample_data/live.csv --scores scores.parquet --baseline knn --baseline pca --normal sample_data/normal.parquet --id-col pump",
        folder,
    )
    picture("backbone", "aster backbone list", folder)
    picture("help", "aster --help", folder)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "demo"))
