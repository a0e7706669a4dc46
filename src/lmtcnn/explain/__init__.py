"""Which places speak for a class."""
