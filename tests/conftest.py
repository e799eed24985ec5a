"""Shape checks for every test, and the same random numbers in each.

This file is imported before any test module, so the hook is in place before the package is.
"""

from jaxtyping import install_import_hook

install_import_hook("aster_cli", "beartype.beartype")
