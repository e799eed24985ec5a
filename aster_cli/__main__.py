"""``python -m aster_cli`` and the ``aster`` command."""

import sys


def main() -> None:
    """Run the command line; interrupted before it is ready, leave as quietly as later."""
    try:
        from aster_cli.cli import app

        app(prog_name="aster")
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
