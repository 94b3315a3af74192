"""`memcore compare`: several models on one task, as a table and a picture."""
