"""lmtcnn: stop maps of Live Mouse Tracker recordings, and a network that tells sex and age from them.

The functions below are loaded when they are first asked for, so that `import lmtcnn` takes no time.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lmtcnn.api.learning import CrossValidation, activation_maps, cross_validate, predict
    from lmtcnn.api.stacks import stack_histograms
    from lmtcnn.api.tracks import find_stops, read_positions

__version__ = "0.1.0"

SIMULATED = "SIMULATED MICE: this says nothing about real mice"
"""What every page, picture and run says that shows a number learned from simulated mice."""

_WHERE = {
    "CrossValidation": "learning",
    "activation_maps": "learning",
    "cross_validate": "learning",
    "find_stops": "tracks",
    "predict": "learning",
    "read_positions": "tracks",
    "stack_histograms": "stacks",
}
"""The modules of `lmtcnn.api` in which the public names are."""

__all__ = [
    "SIMULATED",
    "CrossValidation",
    "__version__",
    "activation_maps",
    "cross_validate",
    "find_stops",
    "predict",
    "read_positions",
    "stack_histograms",
]


def __getattr__(name: str) -> Any:
    """Load a public function when it is first asked for."""
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.api.{_WHERE[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_WHERE})
