"""Tasks of your own data: arrays, tables, Hugging Face data sets."""
