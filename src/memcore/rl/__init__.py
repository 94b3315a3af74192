"""Recurrent reinforcement learning: environments that need memory, and what an agent with one is made of."""

from memcore.rl import environments as environments
from memcore.rl.advantages import generalised_advantages as generalised_advantages
from memcore.rl.agents import Agent as Agent
from memcore.rl.agents import agent as agent
