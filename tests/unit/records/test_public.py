"""`edge_agent.records` for programs of others: small, documented, and without the agent behind it."""

from __future__ import annotations

import re
import subprocess
import sys

from edge_agent import records
from tests.conftest import ROOT

RECEIVER = (ROOT / "docs" / "receiver.md").read_text()
FORMAT = (ROOT / "docs" / "record-format.md").read_text()


def _example() -> dict[str, object]:
    """What the documented program defines."""
    (source,) = re.findall(r"```python\n(.*?)```", RECEIVER, re.DOTALL)
    names: dict[str, object] = {}
    exec(compile(source, "docs/receiver.md", "exec"), names)
    return names


def _payload(name: str) -> bytes:
    """An example of the format's specification."""
    found = re.search(rf"```hex {name}\n(.*?)```", FORMAT, re.DOTALL)
    assert found is not None
    return bytes.fromhex("".join(found[1].split()))


def test_the_documented_program_shows_every_documented_record(capsys) -> None:
    on_message = _example()["on_message"]
    assert callable(on_message)
    # The birth last: what came before it is shown then.
    names = "start samples-empty samples summary alarm gap clock-set stop birth"
    for name in names.split():
        on_message("topic", _payload(name))
    on_message("topic", b"nonsense")
    assert capsys.readouterr().out.splitlines() == [
        "kind 1 0102030405060708 event 1",
        "kind 3 0102030405060708 sample 2",
        "kind 4 0102030405060708 summary 2",
        "overpressure active 1700000000000000003 8.25",
        "5 records lost: evicted",
        "kind 7 0102030405060708 event 4",
        "kind 8 0102030405060708 event 5",
        "kind 2 0102030405060708 event 2",
        "press pressure 1700000000010000000 8.5 bar good",
        "press speed 1700000000010000000 1480.5 1/min good",
        "press pressure 1700000000110000000 None bar no_reply",
        "meter energy 1700000000000000000 2.1 1.5 2.5 10",
        "press pressure 1700000000000000000 None None None 0",
        "topic: bytes behind the value",
    ]


def test_it_comes_without_the_agent() -> None:
    code = (
        "import sys, edge_agent.records\n"
        "print(sorted(n for n in sys.modules if n.startswith('edge_agent.') and n.split('.')[1] in "
        "('bus', 'config', 'profiles', 'spool', 'uplink', 'daemon', 'receiver', 'cli', 'simulator')))\n"
        "print([n for n in ('serial', 'paho', 'psycopg', 'tomli', 'numpy', 'numba') if n in sys.modules])"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout == "[]\n[]\n"


def test_the_daemon_does_not_load_what_receivers_need() -> None:
    code = (
        "import sys, edge_agent.daemon.agent\n"
        "print([n for n in sys.modules if n.split('.')[0] in ('psycopg', 'sqlite3') "
        "or n.startswith(('edge_agent.receiver', 'edge_agent.records.decode'))])"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout == "[]\n"


def test_every_exported_name_is_there_and_no_other() -> None:
    assert all(getattr(records, name).__name__ == name for name in records.__all__)
    assert not hasattr(records, "Nobody")


def test_every_exported_name_that_a_body_can_be_is_documented() -> None:
    from edge_agent.records import decode

    for body in decode.RecordBody.__args__:
        assert f"`{body.__name__}`" in RECEIVER, body
        assert body.__name__ in records.__all__


def test_a_decoder_that_keeps_nothing_says_what_is_unresolved_and_decodes_it_later() -> None:
    decoder = records.Decoder(max_kept=0)
    assert decoder.decode(_payload("samples")).body == records.Unresolved(0)
    birth = decoder.decode(_payload("birth"))
    assert decoder.resolved() == []
    assert decoder.encoded(birth.envelope.dict_hash) is not None
    assert isinstance(decoder.decode(_payload("samples")).body, records.SampleRows)
