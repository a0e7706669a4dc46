"""MLflow: runs, their store, where they came from, how they are shown."""
