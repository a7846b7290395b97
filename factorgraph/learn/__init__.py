"""Learning: models, training, checkpoints."""

from .model import Declared, Model
from .train import Run, train

__all__ = ["Declared", "Model", "Run", "train"]
