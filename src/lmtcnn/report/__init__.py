"""The page, and tables for other programs."""
