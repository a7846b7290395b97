"""Model files of a sequence labeler: see learn/checkpoint.py for what every file of this package is.

Weights that are 0 are left out: most are, of a perceptron. Arrays: those of the encoder, and for each parameter the
places of its weights, as CSR.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import FactorGraphError, FormatError
from ...learn import checkpoint
from ..encoding import load_encoder
from .chains import Chains
from .constraints import Constraints, read

if TYPE_CHECKING:
    from .labeler import SequenceLabeler

KIND = "sequence labeler"
#: Constructor arguments that a file keeps; the others are for training.
SETTINGS = ("order", "threads")


def save(labeler: SequenceLabeler, path: str | os.PathLike[str]) -> None:
    """See SequenceLabeler.save."""
    classes, chains, encoder = labeler.classes_.tolist(), labeler.chains_, labeler.encoder_
    if not all(isinstance(label, str | int | float | bool) for label in classes):
        raise FactorGraphError(f"save: expected labels that are strings or numbers; got {classes[0]!r}")
    arrays = {f"encoder/{name}": np.asarray(array) for name, array in encoder.arrays().items()}
    for name in labeler.parameters_:
        weights = chains.dense(labeler.parameters_, name)
        if {"emit": chains.pairs, "edge": chains.transitions}.get(name) is None:
            weights.eliminate_zeros()
        lengths = np.diff(weights.indptr)
        arrays[f"{name}/lengths"] = lengths.astype(np.min_scalar_type(int(lengths.max(initial=0))))
        arrays[f"{name}/columns"] = weights.indices.astype(np.min_scalar_type(weights.shape[1]))
        arrays[f"{name}/weights"] = weights.data
    rules = read(labeler.constrain)
    values = {
        "classes": classes,
        "columns": list(labeler.columns_),
        "features": labeler.n_features_,
        "dtype": np.dtype(chains.dtype).name,
        "observed": chains.pairs is not None,
        "constrain": None if rules is None else _plain(rules),
        **{name: getattr(labeler, name) for name in SETTINGS},
    }
    checkpoint.save(path, KIND, {}, values, arrays)


def load(labeler: SequenceLabeler, path: str | os.PathLike[str]) -> SequenceLabeler:
    """Fill a new labeler from a file."""
    contents = checkpoint.load_model(path, KIND)
    values, arrays = contents.values, contents.arrays
    try:
        labeler.set_params(**{name: values[name] for name in SETTINGS})
        labeler.constrain = None if values["constrain"] is None else Constraints(**values["constrain"])
        labeler.classes_ = np.array(values["classes"])
        labeler.columns_ = tuple(values["columns"])
        labeler.n_features_ = values["features"]
        prefix = "encoder/"
        own = {name[len(prefix) :]: array for name, array in arrays.items() if name.startswith(prefix)}
        labeler.encoder_ = load_encoder(own)
        size, dtype = labeler.classes_.size, np.dtype(values["dtype"])
        shapes = {"emit": (labeler.n_features_, size), "edge": (1, size**2)}
        shapes |= {"third": (1, size**3)} if labeler.order == 2 else {}
        found = {name: _weights(arrays, name, shape, dtype) for name, shape in shapes.items()}
        some = values["observed"]
        labeler.chains_ = Chains(
            size, labeler.order, dtype.type, found["emit"] if some else None, found["edge"] if some else None
        )
        labeler.parameters_ = {
            name: each.data.copy()
            if some and name != "third"
            else each.toarray().reshape(each.shape[0], *(size,) * {"emit": 1, "edge": 2, "third": 3}[name])
            for name, each in found.items()
        }
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise FormatError(f"model {os.fspath(path)}: what it holds is no sequence labeler ({error})") from error
    return labeler


def _weights(arrays: Any, name: str, shape: tuple[int, int], dtype: np.dtype) -> Any:
    """A parameter as CSR, checked."""
    from scipy.sparse import csr_array

    lengths, columns, weights = (arrays[f"{name}/{part}"] for part in ("lengths", "columns", "weights"))
    indptr = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
    if lengths.shape != shape[:1] or indptr[-1] != columns.size or columns.shape != weights.shape:
        raise ValueError(f"weights {name!r} do not fit")
    if columns.size and columns.max() >= shape[1] or weights.dtype != dtype or not np.isfinite(weights).all():
        raise ValueError(f"weights {name!r} are out of range")
    return csr_array((weights, columns.astype(np.int32), indptr), shape=shape)


def _plain(rules: Constraints) -> dict[str, Any]:
    """Rules as JSON; those of certain sequences are left out."""
    return {
        "scheme": rules.scheme,
        "forbidden": [list(pair) for pair in rules.forbidden],
        "first": None if rules.first is None else list(rules.first),
        "last": None if rules.last is None else list(rules.last),
    }
