"""The engine: runs any model by any method, and resets its memory at any step."""

from memcore.engine.auto import explain as explain
from memcore.engine.call import METHODS as METHODS
from memcore.engine.call import Call as Call
from memcore.engine.parts import Parts as Parts
from memcore.engine.run import run_cell as run_cell
from memcore.engine.run import run_composite as run_composite
from memcore.engine.run import run_model as run_model
from memcore.engine.run import scan as scan
from memcore.engine.state import initial_state as initial_state
from memcore.engine.state import reset as reset
from memcore.engine.step import step as step
