"""Learning: models, training, checkpoints."""

from .collapse import Collapse, collapse_report
from .model import Declared, Model
from .train import Run, train

__all__ = ["Collapse", "Declared", "Model", "Run", "collapse_report", "train"]
