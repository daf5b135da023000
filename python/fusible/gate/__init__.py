"""Regression gates that can be trusted: speed, numerics, fusion counts, accuracy."""
