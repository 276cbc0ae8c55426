"""Debian roots of another architecture, made without running a program of it. Need root and the mirror.

What is in one: python3, the packages that ours depends on, and what dpkg and a maintainer script call; 60 MB.
The packages are unpacked and entered as installed, and their own maintainer scripts do not run: under
emulation that takes a minute and a half for armhf and three for arm64, and says nothing about our package. So
no root of this kind shows that Debian's packages work. Made, kept and cached as in `roots`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.rigs import roots

_PYTHON = ("python3", *roots.DEPENDS)
_FOR_SCRIPTS = (
    "base-files", "base-passwd", "bash", "coreutils", "dash", "diffutils", "dpkg", "findutils", "grep",
    "init-system-helpers", "libc-bin", "mawk", "perl-base", "sed", "systemd-standalone-sysusers", "tar",
)  # fmt: skip
# Its argument is the root, and what apt fetched is still in it.
_ENTER_AS_INSTALLED = r"""
set -eu
cd "$1"
for deb in var/cache/apt/archives/*.deb; do
  name=$(dpkg-deb -W --showformat='${binary:Package}' "$deb")
  : >"var/lib/dpkg/info/$name.list"
  dpkg-deb -f "$deb" | sed "1a Status: install ok installed"
  echo
done >var/lib/dpkg/status
cp usr/share/base-passwd/passwd.master etc/passwd
cp usr/share/base-passwd/group.master etc/group
# What was left out of these packages is not to be left out of ours.
rm etc/dpkg/dpkg.cfg.d/99mmdebstrap
"""
_NOT_NEEDED = ("/usr/share/man/*", "/usr/share/locale/*", "/usr/share/doc/*")
# Without the archive of security updates: its lists for the rarer architectures are at times out of step.
_MIRROR = "http://deb.debian.org/debian"
_MERGED_USR = "/usr/share/mmdebstrap/hooks/merged-usr"


@dataclass(frozen=True, slots=True, kw_only=True)
class Extracted(roots.Recipe):
    include: str = ",".join((*_PYTHON, *_FOR_SCRIPTS))
    hooks: tuple[str, ...] = (_ENTER_AS_INSTALLED, *_NOT_NEEDED)

    def command(self, folder: Path) -> list[str]:
        options = ["--quiet", "--mode=root", "--variant=extract", f"--arch={self.architecture}"]
        left_out = [f"--dpkgopt=path-exclude={pattern}" for pattern in _NOT_NEEDED]
        hooks = [f"--hook-dir={_MERGED_USR}", f"--extract-hook={_ENTER_AS_INSTALLED}"]
        return [
            "mmdebstrap",
            *options,
            *left_out,
            *hooks,
            f"--include={self.include}",
            self.suite,
            str(folder),
            _MIRROR,
        ]


def unpacked(architecture: str, suite: str = "bookworm") -> Path:
    """The root of an architecture (Debian's name), made where it is not there yet."""
    return roots.made(Extracted(suite=suite, architecture=architecture))
