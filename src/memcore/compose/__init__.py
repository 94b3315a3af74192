"""What takes a model: stacks and wrappers."""

from memcore.compose.bidirectional import Backward as Backward
from memcore.compose.bidirectional import Bidirectional as Bidirectional
from memcore.compose.learned_state import LearnedState as LearnedState
from memcore.compose.residual_stack import ResidualStack as ResidualStack
from memcore.compose.stack import Stack as Stack
