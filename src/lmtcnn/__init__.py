"""lmtcnn: stop maps of Live Mouse Tracker recordings, and a network that tells sex and age from them."""

from importlib.metadata import version

__version__ = version("lmtcnn")

SIMULATED = "SIMULATED MICE: this says nothing about real mice"
"""What every page, picture and run says that shows a number learned from simulated mice."""
