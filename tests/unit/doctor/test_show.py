from __future__ import annotations

import shlex

import pytest

from edge_agent.doctor import show
from edge_agent.doctor.findings import AS_ROOT, Finding, State, Subject, has_fault

ABOUT = Subject("ports", "line1")
LONG = (
    "$ printf '[Service]\\nDeviceAllow=char-235 rw\\n' | sudo tee"
    " /etc/systemd/system/edge-agent.service.d/port.conf"
)


def test_every_line_fits_eighty_columns_and_every_word_is_there():
    findings = [ABOUT.fault("word " * 60, "do this " * 30, LONG), ABOUT.ok("short")]
    text = list(show.lines(findings))
    assert max(map(len, text)) <= 80
    assert " ".join(text).count("word") == 60


def test_a_command_may_be_copied_as_it_stands():
    shown = list(show.lines([ABOUT.fault("x", LONG)]))
    start = next(n for n, line in enumerate(shown) if line.lstrip().startswith("$ "))
    typed = "\n".join(shown[start:-1]).lstrip().removeprefix("$ ")
    assert shlex.split(typed.replace("\\\n", "")) == shlex.split(LONG.removeprefix("$ "))


def test_the_marks_tell_the_states_apart_and_the_last_line_counts_them():
    findings = [
        ABOUT.ok("a"),
        ABOUT.note("b"),
        ABOUT.warning("c"),
        ABOUT.fault("d"),
        ABOUT.skipped("e"),
        ABOUT.fault("f"),
    ]
    text = list(show.lines(findings))
    assert [line.split()[0] for line in text[1:7]] == ["ok", "note", "WARN", "FAULT", "skip", "FAULT"]
    assert text[-1] == "2 faults (ports), 1 warning, 1 note, 1 skipped, 1 ok"


def test_how_to_see_more_is_said_once_at_the_end():
    text = list(show.lines([ABOUT.skipped("a", AS_ROOT), ABOUT.skipped("b", AS_ROOT)], as_root="$ sudo me"))
    assert sum("sudo" in line for line in text) == 1
    assert text[-1].strip() == "$ sudo me"
    assert "root" not in "".join(show.lines([ABOUT.ok("a")]))


def test_nothing_that_was_seen_can_drive_the_terminal():
    text = "".join(
        show.lines(
            [Finding(check="c", subject="a\x1b[2J", state=State.FAULT, seen="\r\x07", remedy="\x1b]0;")]
        )
    )
    assert text.isprintable()


def test_groups_have_one_heading_each():
    findings = [ABOUT.ok("a"), ABOUT.ok("b"), Subject("disk", "x").ok("c")]
    assert [line for line in show.lines(findings) if not line.startswith(" ")] == ["ports", "disk", "3 ok"]


def test_data_has_all_that_is_known():
    (one,) = show.data([ABOUT.fault("seen", "do", "$ type")])
    assert one == {
        "check": "ports",
        "subject": "line1",
        "state": "fault",
        "seen": "seen",
        "remedy": "do\n$ type",
    }


@pytest.mark.parametrize("state", list(State))
def test_only_a_fault_makes_the_command_fail(state):
    finding = Finding(check="c", subject="s", state=state, seen="x")
    assert has_fault([finding]) == (state is State.FAULT)
