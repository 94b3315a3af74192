"""Recurrences of other semirings, and softmax over time."""
