"""Whether torchrun has started this process, and as which of how many; torch itself is not needed."""

import os


def processes() -> int:
    """How many processes do the command together; 1 without torchrun."""
    launched = "TORCHELASTIC_RUN_ID" in os.environ
    return int(os.environ.get("WORLD_SIZE", "1")) if launched else 1


def is_first() -> bool:
    """Whether this process speaks and writes for all."""
    return processes() == 1 or os.environ["RANK"] == "0"
