"""The Debian system that `vm` boots: as in `roots`, with a kernel, udev, and what our package depends on.
Needs root and the mirror; 800 MB, made in about two minutes and kept."""

from __future__ import annotations

from pathlib import Path

from tests.rigs import roots

_SYSTEM = "systemd,systemd-sysv,dbus,udev,kmod,procps,iproute2,python3,mosquitto,qemu-guest-agent"
# The full kernel: the one for clouds has no drivers of serial adapters.
_KERNEL = "linux-image-amd64,initramfs-tools"


def unpacked() -> Path:
    """The root, made where it is not there yet."""
    include = ",".join((_SYSTEM, _KERNEL, *roots.DEPENDS))
    hooks = ('echo gateway >"$1/etc/hostname"', 'chroot "$1" apt-get clean')
    return roots.made(roots.Recipe(suite="bookworm", include=include, hooks=hooks))
