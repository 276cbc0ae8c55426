from __future__ import annotations

import itertools

import pytest

from edge_agent.doctor import access
from edge_agent.doctor.access import READ, SEARCH, WRITE, Node, User

SERVICE = User(name="edge-agent", uid=990, gids=frozenset({990, 20}), group="edge-agent")


def node(path="/etc/x", uid=0, gid=0, mode=0o640):
    return Node(path=path, uid=uid, gid=gid, mode=mode)


@pytest.mark.parametrize("bits", [READ, WRITE, SEARCH, READ | WRITE])
def test_the_first_class_that_fits_decides_and_no_other(bits):
    everything_but = {"owner": 0o077, "group": 0o707, "other": 0o770}
    assert not access.allows(SERVICE, node(uid=990, gid=20, mode=everything_but["owner"]), bits)
    assert not access.allows(SERVICE, node(gid=20, mode=everything_but["group"]), bits)
    assert not access.allows(SERVICE, node(mode=everything_but["other"]), bits)
    assert access.allows(SERVICE, node(mode=bits), bits)


def test_all_wanted_bits_are_needed():
    for mode in (0o020, 0o040):
        assert not access.allows(SERVICE, node(gid=20, mode=mode), READ | WRITE)
    assert access.allows(SERVICE, node(gid=20, mode=0o060), READ | WRITE)


def test_root_may_everything():
    assert access.allows(User(name="root", uid=0), node(uid=5, mode=0), READ | WRITE)


def test_a_folder_that_may_not_be_entered_stands_in_the_way_before_the_file():
    open_, closed = node("/etc", mode=0o755), node("/etc/keys", mode=0o700)
    file = node("/etc/keys/a.key", mode=0o644)
    assert access.obstacle(SERVICE, [open_, closed, file], READ) is closed
    assert access.obstacle(SERVICE, [open_, file], READ) is None
    assert access.obstacle(SERVICE, [open_, node("/etc/b", mode=0o600)], READ) == node("/etc/b", mode=0o600)
    assert access.obstacle(SERVICE, [], READ) is None


def test_a_folder_needs_to_be_searched_and_not_to_be_read():
    for mode, blocks in ((0o751, False), (0o754, True)):
        found = access.obstacle(SERVICE, [node("/a", mode=mode), node("/a/b", mode=0o644)], READ)
        assert (found is not None) == blocks


@pytest.mark.parametrize(
    ("path", "folder", "inside"),
    [
        ("/a/b", "/a", True),
        ("/a", "/a", True),
        ("/ab", "/a", False),
        ("/a", "/a/b", False),
        ("/a/b", "/a/", True),
    ],
)
def test_below_a_folder_is_by_whole_names(path, folder, inside):
    assert access.is_below(path, folder) is inside


def test_what_is_shown_of_a_node_has_names_where_there_are_some():
    assert (
        str(Node(path="/x", uid=0, gid=20, mode=0o660, owner="root", group="dialout")) == "root:dialout 0660"
    )
    assert str(Node(path="/x", uid=7, gid=8, mode=0o1777)) == "7:8 1777"


def test_allows_agrees_with_the_permission_bits_for_every_mode_of_one_digit():
    for owner, group, other in itertools.product(range(8), repeat=3):
        mode = owner << 6 | group << 3 | other
        assert access.allows(SERVICE, node(uid=990, mode=mode), READ) == bool(owner & 4)
        assert access.allows(SERVICE, node(gid=990, mode=mode), READ) == bool(group & 4)
        assert access.allows(SERVICE, node(mode=mode), READ) == bool(other & 4)
