"""What is made of the words of dpkg and apt."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from edge_agent.errors import UpdateError
from edge_agent.update import packages
from edge_agent.update.packages import Done
from edge_agent.update.repack import control_of, damage

STATUS = """Package: edge-agent
Status: install ok installed
Priority: optional
Installed-Size: 2600
Version: 1.0.0
Config-Version: 0.9.0
Depends: python3 (>= 3.11),
 python3-serial
Conffiles:
 /etc/edge-agent/x 0123456789abcdef0123456789abcdef
 /etc/edge-agent/y 0123456789abcdef0123456789abcdef
Description: reads
 A daemon.
 .
 Status: this is text.
"""


def test_a_control_stanza_is_the_status_without_what_dpkg_added() -> None:
    expected = STATUS.replace("Status: install ok installed\n", "").replace("Config-Version: 0.9.0\n", "")
    start, end = expected.index("Conffiles:"), expected.index("Description:")
    assert control_of(STATUS) == expected[:start] + expected[end:]


def test_changed_and_missing_files_are_damage_but_not_what_small_systems_leave_out() -> None:
    said = (
        "??5??????   /usr/bin/edge-agent\n"
        "missing     /usr/lib/edge-agent/1.0.0/zz-complete\n"
        "missing     /usr/share/doc/edge-agent/changelog.gz\n"
        "missing     /usr/share/man/man1/edge-agent.1.gz\n"
        "??5?????? c /etc/x\n"
    )
    assert damage(said) == ["/usr/bin/edge-agent", "/usr/lib/edge-agent/1.0.0/zz-complete", "/etc/x"]
    assert damage("") == []


def test_a_changed_document_is_damage_all_the_same() -> None:
    assert damage("??5??????   /usr/share/doc/edge-agent/copyright\n") == [
        "/usr/share/doc/edge-agent/copyright"
    ]


@pytest.mark.parametrize(
    ("output", "words"),
    [
        ("Reading\ndpkg: error: x\nErrors were encountered while processing:\n edge-agent\n", None),
        ("one\ntwo\n", "two"),
        ("", "exit status 7"),
    ],
)
def test_the_reason_of_a_failure_is_the_last_line_that_says_one(output: str, words: str | None) -> None:
    said = Done(7, output).words()
    assert said == words if words else "rror" in said


def test_nothing_can_be_asked_and_what_hangs_is_killed_with_its_children(tmp_path: Path) -> None:
    assert packages.run("sh", "-c", "read x || echo nobody").output == "nobody\n"
    script = f"sleep 60 & echo $! >{tmp_path}/child; echo begun; wait"
    done = packages.run("sh", "-c", script, timeout_s=0.5)
    assert (done.status, done.ok) == (-signal.SIGKILL, False)
    assert done.output.startswith("begun\n") and "did not end in 0.5 s" in done.words()
    child = Path("/proc", (tmp_path / "child").read_text().strip(), "stat")
    assert not child.exists() or child.read_text().split()[2] == "Z"


def test_a_child_that_is_left_behind_holds_up_nobody() -> None:
    done = packages.run("sh", "-c", "sleep 5 & echo done")
    assert done == Done(0, "done\n")


def test_a_program_that_is_missing_is_told_with_a_hint() -> None:
    with pytest.raises(UpdateError, match="hint"):
        packages.run("no-such-program")


def test_dpkg_is_not_locked_twice_and_who_has_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = tmp_path / "lock-frontend"
    monkeypatch.setattr(packages, "LOCK", lock)
    with packages.locked() as ours:
        assert ours and f"(process {os.getpid()})" in packages.lock_holder()
        # The locks of one process do not exclude each other: another has to ask.
        command = "import fcntl, sys; fcntl.lockf(open(sys.argv[1], 'w'), fcntl.LOCK_EX | fcntl.LOCK_NB)"
        assert "BlockingIOError" in packages.run("python3", "-c", command, str(lock)).output
    child = os.fork()
    if child == 0:
        with packages.locked():
            signal.pause()
    try:
        while not packages.lock_holder():
            os.sched_yield()
        assert f"(process {child})" in packages.lock_holder()
        with packages.locked() as ours:
            assert not ours
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
