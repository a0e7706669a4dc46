"""Bundles: the two files that a served model is made of."""
