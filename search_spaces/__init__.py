"""Spaces shipped with tune_cl."""
