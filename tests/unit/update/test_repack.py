"""The tree that is made again of what is installed."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest

from edge_agent.update import packages, repack


def listing(path: Path) -> str:
    """As dpkg prints it: every folder above first."""
    above = [str(folder) for folder in reversed(PurePosixPath(path).parents)][1:]
    return "\n".join(["/.", *above, str(path), ""])


def test_a_folder_that_the_administrator_replaced_by_a_link_is_packed_as_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere, linked, tree = tmp_path / "data/doc", tmp_path / "usr/doc", tmp_path / "tree"
    elsewhere.mkdir(parents=True)
    (elsewhere / "copyright").write_text("ours")
    linked.parent.mkdir()
    linked.symlink_to(elsewhere)
    tree.mkdir()
    monkeypatch.setattr(packages, "run", lambda *_, **__: packages.Done(0, listing(linked / "copyright")))
    assert repack._copy_files(tree, "edge-agent") == set()
    made = tree / str(linked).lstrip("/")
    assert not made.is_symlink() and (made / "copyright").read_text() == "ours"
    assert list(elsewhere.iterdir()) == [elsewhere / "copyright"]


def test_a_link_to_a_file_stays_a_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "unit").symlink_to("../unit")
    monkeypatch.setattr(packages, "run", lambda *_, **__: packages.Done(0, listing(tmp_path / "unit")))
    assert repack._copy_files(tmp_path / "tree", "edge-agent") == set()
    made = tmp_path / "tree" / str(tmp_path / "unit").lstrip("/")
    assert str(made.readlink()) == "../unit"


def test_a_list_of_files_is_longer_than_what_is_read_of_other_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A package made of half a list would be put back as half a program."""
    names = [f"/usr/lib/edge-agent/1.0.0/{number:0100}" for number in range(1000)]
    (tmp_path / "dpkg-query").write_text("#!/bin/sh\ncat <<END\n" + "\n".join(names) + "\nEND\n")
    (tmp_path / "dpkg-query").chmod(0o755)
    monkeypatch.setitem(packages._ENVIRONMENT, "PATH", f"{tmp_path}:/usr/bin:/bin")
    run = packages.run
    monkeypatch.setattr(packages, "run", lambda name, *words, **how: run(str(tmp_path / name), *words, **how))
    assert packages.listed_files() == names
    assert packages.installed_control("md5sums").split() == names
