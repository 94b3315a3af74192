"""The instances of every model under the name that tests/test_checkpoint.py imports."""

from cases.models import MODELS as MODELS
