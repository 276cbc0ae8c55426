from __future__ import annotations

import errno
import logging
import os
from pathlib import Path

import pytest

from edge_agent.daemon.last_good import StateFolder, Texts
from edge_agent.daemon.safe_mode import Circumstances, Memory

MEMORY = Memory("f" * 32, Circumstances("b" * 32, "1.0.0"), 2)
FIRST = Texts(b"one = 1\n", {})
SECOND = Texts(b"two = 2\n", {"acme/meter": b"[profile]\n", "acme/pump": b""})


def test_what_is_remembered_is_found_and_what_is_forgotten_is_not(tmp_path) -> None:
    folder = StateFolder(tmp_path)
    assert folder.memory() is None
    folder.remember(MEMORY)
    assert StateFolder(tmp_path).memory() == MEMORY
    folder.remember(None)
    folder.remember(None)
    assert folder.memory() is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"{}",
        b'{"identity": 1}',
        b"\xff",
        b'{"boot":"","version":"","identity":"",',
    ],
)
def test_starts_that_cannot_be_read_are_not_known(tmp_path, content, caplog) -> None:
    (tmp_path / "starts.json").write_bytes(content)
    assert StateFolder(tmp_path).memory() is None
    assert "earlier crashes are not known" in caplog.text


def test_starts_torn_at_any_byte_are_not_known_or_whole(tmp_path) -> None:
    folder = StateFolder(tmp_path)
    folder.remember(MEMORY)
    whole = (tmp_path / "starts.json").read_bytes()
    for size in range(len(whole)):
        (tmp_path / "starts.json").write_bytes(whole[:size])
        assert folder.memory() is None


def test_the_last_good_configuration_is_found_with_the_sites_own_profiles(tmp_path) -> None:
    folder = StateFolder(tmp_path)
    assert folder.good() is None and folder.good_identity() is None
    for texts in (FIRST, SECOND, FIRST):
        folder.keep(texts)
        assert folder.good() == texts
        assert folder.good_identity() == texts.identity
        assert folder.good_config.read_bytes() == texts.config
        assert {path.name for path in (tmp_path / "good").iterdir()} == {"current", texts.identity}


@pytest.mark.parametrize(
    "other",
    [
        Texts(b"one = 2\n", {}),
        Texts(FIRST.config, {"acme/meter": b""}),
        Texts(b"", {"": FIRST.config}),
        Texts(SECOND.config, {"acme/meter": b"", "acme/pump": b"[profile]\n"}),
    ],
)
def test_the_identity_depends_on_every_file(other) -> None:
    assert len({FIRST.identity, SECOND.identity, other.identity}) == 3


def test_a_damaged_configuration_is_none(tmp_path, caplog) -> None:
    folder = StateFolder(tmp_path)
    folder.keep(SECOND)
    profile = tmp_path / "good" / "current" / "profiles" / "acme" / "meter.toml"
    profile.write_bytes(b"")
    assert folder.good() is None
    assert "damaged" in caplog.text
    profile.unlink()
    assert folder.good() is None


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EIO])
def test_a_disk_that_takes_nothing_is_said_and_keeps_what_was_there(
    tmp_path, monkeypatch, code, caplog
) -> None:
    folder = StateFolder(tmp_path)
    folder.keep(FIRST)
    folder.remember(MEMORY)

    def refuses(*_) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", refuses)
    with caplog.at_level(logging.WARNING):
        folder.keep(SECOND)
        folder.remember(Memory("e" * 32, MEMORY.circumstances, 1))
    assert "cannot be stored" in caplog.text and "crashes are not counted" in caplog.text
    assert folder.good() == FIRST
    assert folder.memory() == MEMORY


def test_without_its_folder_nothing_is_known_and_nothing_raises(caplog) -> None:
    folder = StateFolder(Path("/proc/nowhere"))
    folder.keep(FIRST)
    folder.remember(MEMORY)
    folder.remember(None)
    assert folder.good() is None and folder.memory() is None


def test_a_cut_at_any_operation_leaves_one_of_the_two_configurations(tmp_path, monkeypatch) -> None:
    """Every system call that changes names, or makes them lasting, is the last one once."""

    class CutError(BaseException):
        pass

    for cut in range(100):
        folder = StateFolder(tmp_path / str(cut))
        folder.keep(FIRST)
        left = cut
        with monkeypatch.context() as patch:

            def counted(real):
                def call(*arguments, **options):
                    nonlocal left
                    if left == 0:
                        raise CutError
                    left -= 1
                    return real(*arguments, **options)

                return call

            for name in ("mkdir", "replace", "symlink", "unlink", "rmdir", "fsync"):
                patch.setattr(os, name, counted(getattr(os, name)))
            try:
                folder.keep(SECOND)
            except CutError:
                finished = False
            else:
                finished = True
        assert folder.good() in ((SECOND,) if finished else (FIRST, SECOND))
        if finished:
            return
    raise AssertionError("it never got to the end")
