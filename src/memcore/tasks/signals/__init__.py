"""Continuous signals and poses."""
