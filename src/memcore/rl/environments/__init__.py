"""Environments that need memory, as pure functions of arrays of NumPy and JAX.

    environment = environments.make("t_maze:length=50")
    state, observation = environment.reset(seeds)                       # seeds (...) ints
    state, observation, reward, done = environment.step(state, action)  # action (...) ints

All axes of ``seeds`` are a batch of environments. One that is done begins its next episode in the same
step: the observation is the first of the new episode, so ``done`` at t is the start of t + 1
(`memcore.starts_from_dones`). A state holds its own random numbers: the same seed plays the same
episodes in every library, and nothing needs a key.
"""

from memcore.rl.environments.adapters import Simulator as Simulator
from memcore.rl.environments.bandit import Bandit as Bandit
from memcore.rl.environments.base import Environment as Environment
from memcore.rl.environments.base import State as State
from memcore.rl.environments.cart_pole import CartPole as CartPole
from memcore.rl.environments.make import environments as environments
from memcore.rl.environments.make import make as make
from memcore.rl.environments.memory_chain import MemoryChain as MemoryChain
from memcore.rl.environments.random_projection import RandomProjection as RandomProjection
from memcore.rl.environments.repeat_first import RepeatFirst as RepeatFirst
from memcore.rl.environments.repeat_previous import RepeatPrevious as RepeatPrevious
from memcore.rl.environments.t_maze import TMaze as TMaze
