"""Memories that are trained while they read: golden vectors, and loops in tests/ops/inner."""
