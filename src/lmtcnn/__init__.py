"""lmtcnn: stop maps of Live Mouse Tracker recordings, and a network that tells sex and age from them."""

__version__ = "0.1.0"

SIMULATED = "SIMULATED MICE: this says nothing about real mice"
"""What every page, picture and run says that shows a number learned from simulated mice."""
