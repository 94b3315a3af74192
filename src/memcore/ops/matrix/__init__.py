"""Memories that are matrices of keys and values."""
