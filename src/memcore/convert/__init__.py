"""Weights of other libraries, as tables of names and transformations."""

from memcore.convert import equinox as _equinox
from memcore.convert import flax as _flax
from memcore.convert import memax as _memax
from memcore.convert import memorax as _memorax
from memcore.convert import torch as _torch
from memcore.convert import transformers as _transformers
from memcore.convert.sources import SOURCES as SOURCES
from memcore.convert.sources import from_weights as from_weights
