"""Images, read as sequences."""
