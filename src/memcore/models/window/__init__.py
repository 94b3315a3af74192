"""Memories of the last inputs."""

from memcore.models.window.attention import Attention as Attention
from memcore.models.window.frame_stack import FrameStack as FrameStack
from memcore.models.window.identity import Identity as Identity
from memcore.models.window.segment_attention import SegmentAttention as SegmentAttention
