import importlib.util
import pkgutil
from jaxtyping import install_import_hook

spec = importlib.util.find_spec("aster_cli")
install_import_hook(
    [
        f"aster_cli.{m.name}"
        for m in pkgutil.iter_modules(spec.submodule_search_locations)
        if m.name != "logs"
    ],
    "beartype.beartype",
)
