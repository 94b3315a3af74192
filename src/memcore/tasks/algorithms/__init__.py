"""Tasks that compute."""
