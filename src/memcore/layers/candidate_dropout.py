"""Gated cells that drop entries of what they write, where a run has a key."""

from __future__ import annotations

from dataclasses import dataclass

from memcore import nn
from memcore.backend import Draw
from memcore.fields import number
from memcore.layers.hidden_state import HeadWiseCell
from memcore.types import Array, Inputs, Params


@dataclass(frozen=True, kw_only=True)
class CandidateDropout(HeadWiseCell):
    """Recurrent dropout without memory loss (arXiv:1603.05118): it acts on the candidate, with a mask of its
    own at every step, so that what is remembered is never dropped.

    With a key the inputs are a pair, what `embed` gave and which entries of the candidate are kept.
    """

    recurrent_dropout: float = number(0.0, least=0, below=1)

    def perturb(self, params: Params, inputs: Inputs, key: Draw) -> Inputs:
        rate = self.recurrent_dropout
        candidate = inputs[..., : self.hidden_size]
        return (inputs, nn.kept(candidate, rate, key, "candidate")) if rate else inputs

    def embedded(self, inputs: Inputs) -> Array:
        """What `embed` gave."""
        return inputs[0] if isinstance(inputs, tuple) else inputs

    def dropped(self, candidate: Array, inputs: Inputs) -> Array:
        """The candidate, with entries dropped where there is a mask."""
        if not isinstance(inputs, tuple):
            return candidate
        return nn.drop(candidate, self.recurrent_dropout, inputs[1])
