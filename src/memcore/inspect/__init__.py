"""Looking into a memory: what an output remembers, how far back, and how long one bad input is felt.

seen = inspect.saliency(model, params, xs, starts)     # (..., T, T)
inspect.effective_length(seen)                          # steps
inspect.contamination(model, params, xs, at=10)         # (..., T)
inspect.draw(seen, "saliency.png")
"""

from memcore.inspect.contamination import contamination as contamination
from memcore.inspect.length import effective_length as effective_length
from memcore.inspect.picture import draw as draw
from memcore.inspect.saliency import saliency as saliency
