"""The updater's folder: what is written is read again, whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edge_agent.errors import UpdateError
from edge_agent.update.machine import Package, Phase
from edge_agent.update.store import Result, Store
from tests.unit.update.orders import NEW, OLD, RAN, order


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(tmp_path / "update")
    made.prepare()
    return made


def result(**changed: Any) -> Result:
    given: dict[str, Any] = {
        "update": order(phase=Phase.KEPT),
        "ended_s": 5.0,
        "installed": NEW,
        "previous": OLD,
    }
    return Result(**{**given, **changed})


def test_what_is_stored_is_read_again(store) -> None:
    assert store.load() is None and store.last() is None
    for update in (order(), order(phase=Phase.WATCHING, attempts=2, reasons=("a", "b"), notes=("c",))):
        store.save(update)
        assert store.load() == update
    store.finish(result())
    assert store.last() == result()
    store.finish(result(previous=None))
    assert store.last() == result(previous=None)


def test_an_update_is_over_when_its_result_is_there(store) -> None:
    store.save(order())
    store.finish(result())
    assert store.load() is None


def test_only_packages_that_the_result_names_are_kept(store) -> None:
    other = Package(version="0.9", sha256="0" * 64)
    for package in (OLD, NEW, other):
        store.path(package).write_bytes(b"x")
    (store.folder / "incoming.deb").write_bytes(b"x")
    store.finish(result())
    assert sorted(path.name for path in store.folder.glob("*.deb")) == sorted([OLD.file, NEW.file])


def test_pieces_of_a_package_that_was_being_made_again_do_not_stay(store) -> None:
    (store.folder / "repack.x1y2" / "tree/usr").mkdir(parents=True)
    store.clear(keep=[])
    assert list(store.folder.iterdir()) == []


def test_keys_of_another_version_are_passed_over(store) -> None:
    store.save(order())
    path = store.folder / "update.json"
    document = json.loads(path.read_text())
    document |= {"format": 2, "later": 1}
    document["before"]["later"] = 2
    path.write_text(json.dumps(document))
    assert store.load() == order()


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"phase": "staged"}', "\x00" * 700, "[" * 100_000])
def test_a_damaged_file_is_named_and_can_be_set_aside(store, text: str) -> None:
    path = store.folder / "update.json"
    path.write_text(text)
    with pytest.raises(UpdateError, match=r"update\.json cannot be understood"):
        store.load()
    store.give_up()
    assert store.load() is None
    assert (store.folder / "update.json.damaged").read_text() == text


def test_an_unknown_phase_is_damage_and_not_skipped(store) -> None:
    store.save(order())
    path = store.folder / "update.json"
    path.write_text(path.read_text().replace('"staged"', '"levitating"'))
    with pytest.raises(UpdateError):
        store.load()


def test_a_half_written_file_beside_it_changes_nothing(store) -> None:
    store.save(order())
    (store.folder / "update.json.new").write_text("{")
    assert store.load() == order()


def test_one_at_a_time_holds_the_folder(store) -> None:
    with store.locked(), pytest.raises(UpdateError, match="another update"), Store(store.folder).locked():
        pass
    with store.locked():
        pass


def test_the_folder_is_closed_to_others_even_if_it_was_open(tmp_path: Path) -> None:
    folder = tmp_path / "update"
    folder.mkdir(mode=0o777)
    Store(folder).prepare()
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_link_in_the_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "update").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UpdateError, match="no directory"):
        Store(tmp_path / "update").prepare()
    assert (tmp_path / "elsewhere").stat().st_mode & 0o777 != 0o700


def test_a_folder_that_was_purged_is_not_made_again(store) -> None:
    """The helper may be at work while the package is purged: nothing may be left of it."""
    for path in store.folder.iterdir():
        path.unlink()
    store.folder.rmdir()
    with pytest.raises(UpdateError):
        store.save(order())
    assert not store.folder.exists()


def test_files_of_one_version_built_twice_are_two_files() -> None:
    one, other = (Package(version="1:1.0~rc1", sha256=letter * 64) for letter in "ab")
    assert one.file != other.file
    assert "/" not in one.file and ":" not in one.file


def test_a_look_survives_with_all_it_has(store) -> None:
    store.save(order())
    loaded = store.load()
    assert loaded is not None and loaded.before == RAN
