"""Tokens to features: columns with templates, dicts, lists of strings, arrays; and the files they come in."""

from .bags import Bags
from .choose import encoder_for, load_encoder, prepare
from .columns import Columns
from .encoded import Encoded, Encoder
from .features import Features
from .numbers import Numbers
from .parse import CHUNKING, CRFSUITE_CHUNKING
from .read import read_columns, read_conllu, read_crfsuite, stream_columns
from .templates import Templates
from .vocabulary import Vocabulary

__all__ = [
    "Bags",
    "CHUNKING",
    "CRFSUITE_CHUNKING",
    "Columns",
    "Encoded",
    "Encoder",
    "Features",
    "Numbers",
    "Templates",
    "Vocabulary",
    "encoder_for",
    "load_encoder",
    "prepare",
    "read_columns",
    "read_conllu",
    "read_crfsuite",
    "stream_columns",
]
