"""How Sphinx makes a site of these pages; `make site` builds it, and no page needs a network."""

import re

from docutils import nodes
from docutils.utils.math import latex2mathml
from sphinx.application import Sphinx
from sphinx.writers.html5 import HTML5Translator

from aster_cli import __version__

project = "aster"
author = "The aster developers"
release = __version__

extensions = ["myst_parser"]
exclude_patterns = ["figures"]
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
html_math_renderer = "mathml"
html_theme = "furo"
html_title = f"aster {__version__}"
html_show_copyright = False
html_show_sphinx = False
html_copy_source = False
html_show_sourcelink = False
html_static_path = ["figures"]
suppress_warnings = ["misc.highlighting_failure"]  # output beside commands is no shell


def _inline(translator: HTML5Translator, node: nodes.math) -> None:
    translator.body.append(_mathml(node.astext(), display=False))
    raise nodes.SkipNode


def _display(translator: HTML5Translator, node: nodes.math_block) -> None:
    translator.body.append(f"<div>{_mathml(node.astext(), display=True)}</div>")
    raise nodes.SkipNode


def _mathml(formula: str, *, display: bool) -> str:
    """A formula as browsers show it by themselves: no script, no font from elsewhere."""
    return latex2mathml.tex2mathml(formula, as_block=display)


def _without_outside(app: Sphinx, page: str, source: list[str]) -> None:
    """Leave the words of links to files that are beside the documentation, not in it."""
    source[0] = re.sub(r"(?<!!)\[([^\]]*)\]\(\.\./[^)]+\)", r"\1", source[0])


def setup(app: Sphinx) -> None:
    """Let formulas be MathML, and pages be of the site alone."""
    app.connect("source-read", _without_outside)
    app.add_html_math_renderer("mathml", (_inline, None), (_display, None))
