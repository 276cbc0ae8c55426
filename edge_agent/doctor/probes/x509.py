"""The only door to cryptography: what is in a certificate. Where it is not installed, nothing is known."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from edge_agent.doctor.certificates import Certificate

try:
    from cryptography import x509
except (
    ImportError
):  # Not of every installation: `is_there` says so, and the checks say that they are skipped.
    x509 = None  # type: ignore[assignment]

MISSING = "python3-cryptography is not installed"
_BEGIN, _END = b"-----BEGIN CERTIFICATE-----", b"-----END CERTIFICATE-----"


def is_there() -> bool:
    return x509 is not None


def of_pem(data: bytes) -> tuple[Certificate, ...]:
    """Every certificate in `data`; ValueError where there is none, or one that cannot be read."""
    blocks = [block.partition(_END)[0] for block in data.split(_BEGIN)[1:]]
    if not blocks:
        raise ValueError("holds no certificate")
    return tuple(_certificate(x509.load_pem_x509_certificate(_BEGIN + one + _END + b"\n")) for one in blocks)


def of_der(data: bytes) -> Certificate:
    return _certificate(x509.load_der_x509_certificate(data))


def _certificate(one: Any) -> Certificate:
    return Certificate(
        subject=_name(one.subject),
        issuer=_name(one.issuer),
        not_before_s=_seconds(one, "not_valid_before"),
        not_after_s=_seconds(one, "not_valid_after"),
        names=_names(one),
    )


def _name(name: Any) -> str:
    common = name.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    return str(common[0].value) if common else name.rfc4514_string() or "without a name"


def _seconds(one: Any, what: str) -> float:
    """cryptography 42 gives times with their zone and warns of those without; Debian 12 has 38."""
    aware: datetime | None = getattr(one, f"{what}_utc", None)
    return (aware or getattr(one, what).replace(tzinfo=UTC)).timestamp()


def _names(one: Any) -> tuple[str, ...]:
    try:
        names = one.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return ()
    return tuple(str(name.value) for name in names)
