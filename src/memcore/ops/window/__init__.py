"""Memories of the last inputs."""
