"""``python -m aster_cli`` and the ``aster`` command."""

import os
import sys


def main() -> None:
    """Run the command line; interrupted before it is ready, leave as quietly as later."""
    # on a busy machine, threads that spin long while they wait slow torch down many times
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "2000")
    try:
        from aster_cli.cli import app

        app(prog_name="aster")
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
