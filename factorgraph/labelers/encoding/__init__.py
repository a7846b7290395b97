"""Tokens to features: columns with templates, dicts, lists of strings, arrays; and the files they come in."""

from .columns import Columns
from .encoded import Encoded, Encoder
from .features import Features
from .numbers import Numbers
from .parse import CHUNKING, CRFSUITE_CHUNKING
from .read import read_columns, stream_columns
from .templates import Templates
from .vocabulary import Vocabulary

__all__ = [
    "CHUNKING",
    "CRFSUITE_CHUNKING",
    "Columns",
    "Encoded",
    "Encoder",
    "Features",
    "Numbers",
    "Templates",
    "Vocabulary",
    "read_columns",
    "stream_columns",
]
