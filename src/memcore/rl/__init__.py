"""Recurrent reinforcement learning: small environments that need memory."""

from memcore.rl import environments as environments
