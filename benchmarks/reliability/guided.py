"""Inputs led by the code that they reach (atheris, libFuzzer), to every reader and loader in turn.

Each target runs in a process of its own, for libFuzzer ends its process. An input that crashes lies in
the folder as ``crash-*``.
"""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any


def run(folder: Path, *, seed: int, minutes: float, only: str) -> dict[str, Any]:
    """Fuzz all targets in turn.

    Args:
        folder: Works there.
        seed: Of libFuzzer.
        minutes: In all, about.
        only: Targets whose name starts with it.

    Raises:
        SystemExit: A target could not be fuzzed.
    """
    # not above: what is fuzzed must be imported under atheris' eyes
    from benchmarks.reliability.hostile import LOGS, MODEL_FILES

    folder.mkdir(parents=True, exist_ok=True)
    targets = (*LOGS, "state", *(f"model/{name}" for name in MODEL_FILES))
    asked = [name for name in targets if name.startswith(only)]
    counts, crashes = dict.fromkeys(asked, 0), dict.fromkeys(asked, 0)
    for name in asked:
        work = folder / name.replace("/", "-")
        work.mkdir()
        seconds = max(1, round(60.0 * minutes / len(asked)))
        command = [sys.executable, "-m", __name__, name, str(work), f"-seed={seed + 1}"]
        command += [f"-max_total_time={seconds}", f"-artifact_prefix={work}/", "-max_len=65536"]
        ended = subprocess.run(command, capture_output=True, text=True, errors="replace")
        done = re.findall(r"^(?:#|Done )(\d+)", ended.stderr, re.MULTILINE)
        found = list(work.glob("crash-*")) + list(work.glob("oom-*")) + list(work.glob("timeout-*"))
        if not done or (ended.returncode and not found):
            raise SystemExit(f"{name} cannot be fuzzed: {ended.stderr[-2000:]}")
        counts[name], crashes[name] = max(map(int, done)), len(found)
        sys.stderr.write(f"{name}: {counts[name]:,} inputs, {crashes[name]} crashes\n")
        if found:
            sys.stderr.write(f"{found[0]}: {ended.stderr[-2000:]}\n")
    return {"guided": counts, "all": sum(counts.values()), "crashes": sum(crashes.values())}


def main() -> None:
    """In a process of its own: ``TARGET FOLDER`` and libFuzzer's flags."""
    import atheris

    name, work, *flags = sys.argv[1:]
    with atheris.instrument_imports(include=["aster_cli"]):
        from benchmarks.reliability.hostile import log_and_state_targets, model_targets

    found = model_targets if name.startswith("model/") else log_and_state_targets
    target = found(Path(work, "in"))[name]
    corpus = Path(work, "corpus")
    corpus.mkdir()
    (corpus / "seed").write_bytes(target.seed)

    def one_input(data: bytes) -> None:
        crash = target.crashes(data)
        if crash is not None:
            raise crash

    atheris.Setup([sys.argv[0], *flags, str(corpus)], one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
