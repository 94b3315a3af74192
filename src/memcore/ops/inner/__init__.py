"""Memories that are trained while they read."""
