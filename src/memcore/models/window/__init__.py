"""Memories of the last inputs."""

from memcore.models.window.attention import Attention as Attention
