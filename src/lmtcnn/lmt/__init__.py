"""Live Mouse Tracker databases: the only reader of SQLite."""
