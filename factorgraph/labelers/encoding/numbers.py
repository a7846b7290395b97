"""Features that are numbers already: dense arrays and sparse matrices."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from .encoded import Arrays, Encoded


class Numbers:
    """Arrays (tokens, features): one for each sequence, or one of all with `lengths`; dense or sparse. Zeros are left
    out. Nothing is learned but the number of features."""

    kind: ClassVar[str] = "numbers"

    def __init__(self) -> None:
        self._count = 0

    @property
    def n_features(self) -> int:
        """Columns of the arrays."""
        return self._count

    def fit(self, X: Any, lengths: Any = None) -> Encoded:
        """Remember the number of columns. Errors: as transform."""
        raise NotImplementedError

    def transform(self, X: Any, lengths: Any = None) -> Encoded:
        """The entries that are not 0. Errors: FactorGraphError for arrays of another width, lengths that do not add up,
        and numbers that are not finite, with the place."""
        raise NotImplementedError

    def name(self, feature: int) -> str:
        """`column 3`."""
        return f"column {feature}"

    def arrays(self) -> dict[str, np.ndarray]:
        """The number of columns."""
        return {"count": np.array(self._count)}

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Numbers:
        """The encoder that was saved."""
        made = cls()
        made._count = int(arrays["count"])
        return made
