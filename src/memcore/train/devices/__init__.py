"""On which devices and hosts a run computes."""
