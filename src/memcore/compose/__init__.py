"""What takes a model: stacks and wrappers."""

from memcore.compose.bidirectional import Backward as Backward
from memcore.compose.bidirectional import Bidirectional as Bidirectional
from memcore.compose.block import Block as Block
from memcore.compose.learned_state import LearnedState as LearnedState
from memcore.compose.multi_head_trunk import MultiHeadTrunk as MultiHeadTrunk
from memcore.compose.residual_stack import ResidualStack as ResidualStack
from memcore.compose.stack import Stack as Stack
