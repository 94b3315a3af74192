"""A training run: its loop, folder, metrics and checkpoints."""
