"""What systemctl says, whatever it is written in."""

from __future__ import annotations

import os

from edge_agent import service


def test_a_unit_file_in_another_encoding_is_read_all_the_same(tmp_path, monkeypatch):
    """A drop-in from an old editor, with an umlaut in Latin-1."""
    program = tmp_path / "systemctl"
    program.write_text("#!/bin/sh\nprintf '# Zeitz\\344hler\\nLoadCredential=keys:/etc/keys\\n'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert "LoadCredential=keys:/etc/keys" in service.text().splitlines()
