"""The page: a template, its style and its script, which become one file that needs no other."""

import base64
import hashlib
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from aster_cli.report.charts import embedded

SCRIPTS = ("data", "chart", "view", "timeline", "sensors", "events", "main")
"""In this order they are one script."""


def render_page(context: dict[str, Any], data: dict[str, Any]) -> str:
    """The whole page.

    Its policy lets nothing run but the script that stands in it, and nothing be fetched.

    Args:
        context: What the template shows; all of it is escaped.
        data: What charts are drawn from.
    """
    folder = files("aster_cli.report.page")
    style = (folder / "report.css").read_text(encoding="utf-8")
    parts = [(folder / f"{name}.js").read_text(encoding="utf-8") for name in SCRIPTS]
    script = '"use strict";\n(() => {\n' + "\n".join(parts) + "})();\n"
    policy = (
        f"default-src 'none'; style-src '{_digest(style)}'; script-src '{_digest(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    environment = Environment(
        loader=PackageLoader("aster_cli.report", "page"),
        autoescape=True,
        undefined=StrictUndefined,
        keep_trailing_newline=True,
    )
    return environment.get_template("report.html.j2").render(
        **context,
        policy=Markup(policy),
        style=Markup(style),
        script=Markup(script),
        payload=Markup(embedded(data)),
    )


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
