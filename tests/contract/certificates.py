"""Certificates for tests, made by the openssl program: a CA, and servers that are good or wrong."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Pair:
    cert: Path
    key: Path


class Authority:
    """One CA in a directory of its own. Keys are P-256: made in milliseconds."""

    def __init__(self, directory: Path, name: str = "test-ca") -> None:
        self.directory = directory / name
        self.directory.mkdir(parents=True)
        self._pair = self._key("ca")
        self.ca = self._pair.cert
        _openssl(
            "req", "-x509", "-new", "-key", self._pair.key, "-out", self.ca, "-days", "10",
            "-subj", f"/CN={name}", "-addext", "basicConstraints=critical,CA:TRUE",
            "-addext", "keyUsage=critical,keyCertSign",
        )  # fmt: skip

    def issue(self, name: str, names: str = "IP:127.0.0.1", days: int = 5) -> Pair:
        """A certificate for subjectAltName `names`; `days` below zero makes one that has expired."""
        pair = self._key(name)
        request, extensions = self.directory / f"{name}.csr", self.directory / f"{name}.ext"
        extensions.write_text(f"subjectAltName={names}\n")
        _openssl("req", "-new", "-key", pair.key, "-out", request, "-subj", f"/CN={name}")
        _openssl(
            "x509", "-req", "-in", request, "-CA", self.ca, "-CAkey", self._pair.key, "-CAcreateserial",
            "-out", pair.cert, "-days", str(days), "-extfile", extensions,
        )  # fmt: skip
        return pair

    def _key(self, name: str) -> Pair:
        pair = Pair(self.directory / f"{name}.pem", self.directory / f"{name}.key")
        _openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", pair.key)
        return pair


def _openssl(*arguments: object) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)
