"""Files load as they were saved or not at all: truncated, changed and foreign ones are refused by name."""

from __future__ import annotations

import io
import json
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from factorgraph.errors import FactorGraphError, FormatError
from factorgraph.learn import checkpoint

SETTINGS = {"loss": "Margin()", "seed": "0"}
VALUES = {"state": {"step": 3, "scale": 0.1 + 0.2}, "history": [[1, 0.5, 1e-300], [2, float("inf"), 1 / 3]]}
ARRAYS = {
    "parameter:emit": np.random.default_rng(0).normal(size=(5, 3)),
    "parameter:trans": np.arange(9, dtype=np.float32).reshape(3, 3).T,
    "state:flags": np.array([True, False]),
    "empty": np.zeros((0, 4)),
    "scalar": np.array(2.5),
    "../näme with % and spaces/": np.arange(3),
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "run.npz"
    checkpoint.save(file, "training", SETTINGS, VALUES, ARRAYS)
    return file


def same(contents: checkpoint.Contents) -> bool:
    if contents.settings != SETTINGS or contents.values != VALUES or contents.arrays.keys() != ARRAYS.keys():
        return False
    pairs = [(contents.arrays[name], ARRAYS[name]) for name in ARRAYS]
    return all(a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes() for a, b in pairs)


def survives(path: Path, data: bytes) -> None:
    """These bytes load as what was saved, or are refused with the name of the file."""
    path.write_bytes(data)
    try:
        assert same(checkpoint.load(path, "training"))
    except FormatError as error:
        assert str(path) in str(error) and "delete it" in str(error)


def test_what_is_loaded_is_what_was_saved(path: Path) -> None:
    contents = checkpoint.load(path, "training")
    assert same(contents)
    assert all(array.flags.writeable and array.flags.owndata for array in contents.arrays.values() if array.size)


def test_numpy_reads_the_arrays(path: Path) -> None:
    with np.load(path, allow_pickle=False) as archive:
        np.testing.assert_array_equal(archive["arrays/parameter:emit"], ARRAYS["parameter:emit"])
        assert json.loads(archive["header"].tobytes())["settings"] == SETTINGS


def test_equal_contents_make_equal_bytes_and_nothing_else_is_left(path: Path) -> None:
    first = path.read_bytes()
    checkpoint.save(path, "training", SETTINGS, VALUES, ARRAYS)
    assert path.read_bytes() == first
    assert os.listdir(path.parent) == ["run.npz"]


def test_a_failed_write_leaves_the_old_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for failing in ("fsync", "replace"):

        def fail(*_: Any) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(os, failing, fail)
        with pytest.raises(KeyboardInterrupt):
            checkpoint.save(path, "training", {}, {}, {})
        monkeypatch.undo()
        assert same(checkpoint.load(path, "training"))
        assert os.listdir(path.parent) == ["run.npz"]
    with pytest.raises(ValueError, match="pickle"):
        checkpoint.save(path, "training", {}, {}, {"objects": np.array([{}])})
    assert same(checkpoint.load(path, "training"))


def test_truncated_files_are_refused(path: Path) -> None:
    data = path.read_bytes()
    for length in [*range(0, len(data), 64), len(data) - 1]:
        path.write_bytes(data[:length])
        with pytest.raises(FormatError, match=r"file .*run\.npz: the file is unreadable, truncated or changed"):
            checkpoint.load(path, "training")


def test_files_with_a_changed_byte_load_as_saved_or_are_refused(path: Path) -> None:
    data = path.read_bytes()
    for i in range(0, len(data), 3):
        changed = bytearray(data)
        changed[i] ^= 1 << (i // 3 % 8)
        survives(path, bytes(changed))


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    """A path, and the bytes of a checkpoint."""
    file = tmp_path_factory.mktemp("fuzz") / "run.npz"
    checkpoint.save(file, "training", SETTINGS, VALUES, ARRAYS)
    return file, file.read_bytes()


@given(st.data())
def test_files_with_changed_pieces_load_as_saved_or_are_refused(saved: tuple[Path, bytes], data: st.DataObject) -> None:
    path, changed = saved
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(changed)))
        stop = start + data.draw(st.integers(0, 40))
        changed = changed[:start] + data.draw(st.binary(max_size=40)) + changed[stop:]
    survives(path, changed)


def rewritten(path: Path, change: Any) -> None:
    """The archive with one member's bytes changed by `change(name, bytes)`, its CRC-32 made right again."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, change(name, data))


def test_numbers_changed_behind_a_valid_archive_are_found_by_the_checksum(path: Path) -> None:
    rewritten(path, lambda name, data: data[:-1] + b"\x01" if "emit" in name else data)
    with pytest.raises(FormatError, match=r"run\.npz: its contents do not match their checksum"):
        checkpoint.load(path, "training")
    checkpoint.save(path, "training", SETTINGS, VALUES, ARRAYS)
    rewritten(path, lambda name, data: data.replace(b'"seed": "0"', b'"seed": "1"'))
    with pytest.raises(FormatError, match="checksum"):
        checkpoint.load(path, "training")


def test_an_array_that_claims_more_than_it_has_is_refused_before_it_is_allocated(path: Path) -> None:
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": "<f8", "fortran_order": False, "shape": (10**13, 3)})
    rewritten(path, lambda name, data: stream.getvalue() + bytes(64) if "emit" in name else data)
    with pytest.raises(FormatError, match="emit' does not fill its place"):
        checkpoint.load(path, "training")


def test_pickles_and_compressed_members_are_refused(path: Path) -> None:
    stream = io.BytesIO()
    np.save(stream, np.array([{}]), allow_pickle=True)
    rewritten(path, lambda name, data: stream.getvalue() if "emit" in name else data)
    with pytest.raises(FormatError, match="unreadable"):
        checkpoint.load(path, "training")
    np.savez_compressed(path, header=np.zeros(10**6, np.uint8))
    with pytest.raises(FormatError, match="compressed"):
        checkpoint.load(path, "training")


@pytest.mark.parametrize(
    "header, words",
    [
        (b"[1, 2]", "it was not written by this library"),
        (b'{"format": "other"}', "it was not written by this library"),
        (b'{"format": "factorgraph", "version": 99}', "expected version 1; got 99, written by another release"),
        (
            b'{"format": "factorgraph", "version": 1, "kind": "model"}',
            "expected a file of kind 'training'; got 'model'",
        ),
        (b'{"format": "factorgraph", "version": 1}', "unreadable"),
        (b'{"format": "factorgraph", "version": 1, "kind": "training", "sha256": "", "arrays": ["w"]}', "unreadable"),
        (b"no json", "unreadable"),
        (b"[" * 100_000, "unreadable"),
    ],
)
def test_foreign_headers(path: Path, header: bytes, words: str) -> None:
    np.savez(path, header=np.frombuffer(header, np.uint8))
    with pytest.raises(FormatError, match=words) as info:
        checkpoint.load(path, "training")
    assert str(path) in str(info.value) and "Give another path, or delete it and make it anew" in str(info.value)


def test_foreign_files(path: Path) -> None:
    for write in (
        lambda: path.write_bytes(b""),
        lambda: path.write_text("epoch,loss\n1,0.5\n"),
        lambda: np.savez(path, w=np.zeros(3)),
        lambda: np.save(path.with_suffix(".npy"), np.zeros(3)) or path.with_suffix(".npy").replace(path),
        lambda: path.unlink(),
        lambda: path.mkdir(),
    ):
        write()
        with pytest.raises(FormatError, match=r"run\.npz: .*or delete it"):
            checkpoint.load(path, "training")


def test_other_settings_are_named(path: Path) -> None:
    checkpoint.compare(path, SETTINGS, dict(SETTINGS))
    with pytest.raises(
        FactorGraphError,
        match=r"run\.npz: expected seed = 1 as in this run; the file has 0\. .*another path, or resume=False",
    ):
        checkpoint.compare(path, SETTINGS, SETTINGS | {"seed": "1"})
    with pytest.raises(FactorGraphError, match="expected epochs = 3 as in this run; the file has nothing"):
        checkpoint.compare(path, SETTINGS, SETTINGS | {"epochs": "3"})
