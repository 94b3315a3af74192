"""Pictures of a few examples of a task. Needs matplotlib."""

from memcore.tasks.show.figure import figure as figure
from memcore.tasks.show.window import beginning as beginning
