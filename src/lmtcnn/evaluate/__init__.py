"""From held-out predictions to figures of merit, beside the baselines."""
