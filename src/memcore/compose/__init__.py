"""What takes a model: stacks and wrappers."""

from memcore.compose.residual_stack import ResidualStack as ResidualStack
