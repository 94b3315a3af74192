"""What every task is made of: batches, splits, packing, checks."""
