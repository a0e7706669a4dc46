"""Explanations: the places that speak for a class."""
