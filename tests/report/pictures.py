"""Pictures of the report for the documentation, from what `make demo` has made.

python -m tests.report.pictures DEMO FOLDER
"""

import sys
import tempfile
from pathlib import Path

from tests.report.browser import Browser, find_browser


def take(browser: Browser, demo: Path, folder: Path) -> None:
    """All pictures of the reports in a directory."""
    browser.look(width=1200, height=860)
    browser.open(demo / "report.html")
    browser.picture(folder / "report.png")
    browser.look(width=1200, height=1340)  # down to sensors with what was expected of them
    browser.click("[data-event='0'] button")
    browser.picture(folder / "report-event.png")
    browser.look(width=1200, height=1340, dark=True)
    browser.picture(folder / "report-dark.png")
    browser.look(width=390, height=780)
    browser.run("scrollTo(0, 0)")
    browser.picture(folder / "report-narrow.png")
    browser.look(width=1200, height=860)
    browser.open(demo / "judged.html")
    browser.run("document.getElementById('judged').scrollIntoView()")
    browser.picture(folder / "report-labels.png")


def main() -> None:
    """Take the pictures, or say what is missing."""
    demo, folder = map(Path, sys.argv[1:])
    program = find_browser()
    if program is None:
        sys.exit("no Chromium here: apt-get install chromium-headless-shell")
    kept = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)  # it may still be written into
    with kept as profile, Browser(program, Path(profile)) as browser:
        take(browser, demo, folder)


if __name__ == "__main__":
    main()
