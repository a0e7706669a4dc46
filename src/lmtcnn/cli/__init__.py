"""The command line."""

from lmtcnn.cli.cli import app, main

__all__ = ["app", "main"]
