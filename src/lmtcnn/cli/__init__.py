"""The command line."""

from lmtcnn.cli import recordings, study, models  # isort: skip - each registers its commands, in the order of --help
from lmtcnn.cli.app import app, main

__all__ = ["app", "main", "models", "recordings", "study"]
