"""Files that survive: npz archives of plain arrays with a JSON header and a checksum, written atomically.

Member `header` is JSON as uint8: {"format", "version", "kind", "settings", "values", "arrays": [names], "sha256"}.
The checksum is over the header without it and over name, dtype, shape and bytes of every array, so a file that loads
is the file that was saved. Nothing is ever unpickled, and no array is allocated that the file does not contain.
"""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Any, NoReturn
from urllib.parse import quote

import numpy as np

from ..errors import FactorGraphError, FormatError
from ..files import replacing

FORMAT, VERSION = "factorgraph", 1
_HEADER, _PREFIX = "header", "arrays/"
_REMEDY = "Give another path, or delete it and make it anew"


@dataclass(frozen=True)
class Contents:
    """What a file holds: settings (text by name), values (JSON: floats come back bit by bit), arrays."""

    settings: dict[str, str]
    values: dict[str, Any]
    arrays: dict[str, np.ndarray]


def save(
    path: str | os.PathLike[str],
    kind: str,
    settings: Mapping[str, str],
    values: Mapping[str, Any],
    arrays: Mapping[str, np.ndarray],
) -> None:
    """Write a file of some kind ("training", …): to `path + ".tmp"`, synchronised, renamed; never a half one at `path`.

    Equal contents make equal bytes. Errors: OSError where the folder cannot be written.
    """
    plain = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    header: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "kind": kind,
        "settings": dict(settings),
        "values": dict(values),
        "arrays": list(plain),
    }
    header["sha256"] = _checksum(header, plain)
    members = {_HEADER: np.frombuffer(json.dumps(header).encode(), np.uint8)}
    members |= {_PREFIX + name: array for name, array in plain.items()}
    with replacing(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, array in members.items():
            with archive.open(zipfile.ZipInfo(_member(name)), "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)


def load(path: str | os.PathLike[str], kind: str) -> Contents:
    """Read a file of the given kind, complete and as it was saved.

    Errors: FormatError, which names the file, for anything else: unreadable, truncated, changed, of another program,
    of a newer version, of another kind.
    """
    try:
        with open(path, "rb") as file, zipfile.ZipFile(file) as archive:
            header = json.loads(_array(archive, _HEADER).tobytes())
            if not isinstance(header, dict) or header.get("format") != FORMAT:
                _refuse(path, "it was not written by this library")
            if header["version"] != VERSION:
                _refuse(path, f"expected version {VERSION}; got {header['version']!r}, written by another release")
            if header["kind"] != kind:
                _refuse(path, f"expected a file of kind {kind!r}; got {header['kind']!r}")
            expected = header.pop("sha256")
            arrays = {name: _array(archive, _PREFIX + name) for name in header["arrays"]}
            if _checksum(header, arrays) != expected:
                _refuse(path, "its contents do not match their checksum")
            return Contents(header["settings"], header["values"], arrays)
    except FormatError:
        raise
    except Exception as error:  # whatever zipfile, json and numpy make of broken bytes
        reason = f"the file is unreadable, truncated or changed ({str(error) or type(error).__name__})"
        raise FormatError(f"{_where(path)}: {reason}. {_REMEDY}") from error


def load_model(path: str | os.PathLike[str], kind: str) -> Contents:
    """The same for a model, which is no state of a run that could start anew."""
    if not os.path.isfile(path):
        reason = "it is a folder" if os.path.isdir(path) else "there is no such file"
        raise FormatError(f"model {os.fspath(path)}: cannot be read: {reason}", os.fspath(path))
    try:
        return load(path, kind)
    except FormatError as error:
        reason = str(error).removeprefix(f"{_where(path)}: ").removesuffix(f". {_REMEDY}")
        raise FormatError(f"model {os.fspath(path)}: {reason}", os.fspath(path)) from error


def compare(path: str | os.PathLike[str], saved: Mapping[str, str], given: Mapping[str, str]) -> None:
    """Check that a file was made with the settings given. Errors: FactorGraphError that names what differs."""
    for name in sorted({*saved, *given}):
        if saved.get(name) != given.get(name):
            raise FactorGraphError(
                f"{_where(path)}: expected {name} = {_short(given.get(name))} as in this run; the file has "
                f"{_short(saved.get(name))}. Use the settings it was made with, another path, or resume=False"
            )


def _where(path: str | os.PathLike[str]) -> str:
    return f"file {os.fspath(path)}"


def _refuse(path: str | os.PathLike[str], reason: str) -> NoReturn:
    raise FormatError(f"{_where(path)}: {reason}. {_REMEDY}")


def _short(text: str | None) -> str:
    if text is None:
        return "nothing"
    return text if len(text) <= 120 else text[:117] + "…"


def _member(name: str) -> str:
    """The archive member of an array: `np.load(path)["arrays/…"]` finds it."""
    return quote(name, safe="/ :") + ".npy"


def _array(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    """One member, from exactly the bytes that it has: a header that claims more is refused before it allocates."""
    if archive.getinfo(_member(name)).compress_type != zipfile.ZIP_STORED:
        raise ValueError(f"array {name!r} is compressed")
    raw = archive.read(_member(name))
    stream = BytesIO(raw)
    major, _ = np.lib.format.read_magic(stream)
    read_header = np.lib.format.read_array_header_1_0 if major == 1 else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read_header(stream)
    if dtype.hasobject or fortran or stream.tell() + dtype.itemsize * int(np.prod(shape, dtype=object)) != len(raw):
        raise ValueError(f"array {name!r} does not fill its place")
    return np.frombuffer(raw, dtype, offset=stream.tell()).reshape(shape).copy()


def _checksum(header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> str:
    digest = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    for name, array in arrays.items():
        digest.update(repr((name, array.dtype.str, array.shape)).encode())
        digest.update(array.data)
    return digest.hexdigest()
