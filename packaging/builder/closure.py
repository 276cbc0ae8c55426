"""Which Debian packages ours needs on a minimal Debian of another release or architecture, fetched by apt.

apt does all of it, in a folder of its own with no package installed: it resolves twice, the minimal system
and ours, and the difference is fetched, signatures checked. The mirrors, proxies and keys are this machine's;
only the release's name is another one.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from builder.sources import BuildError

# What debootstrap's and mmdebstrap's variant "minbase" consists of.
_MINIMAL = ("?essential", "?priority(required)", "apt")
_RELEASES = ("buster", "bullseye", "bookworm", "trixie", "forky", "sid")
_ATTEMPTS = 3
"""A mirror is at times changed under whoever reads it."""

_INSTALLED = re.compile(r"^Inst (\S+) \((\S+) ", re.MULTILINE)


class Apt:
    """apt as on an empty machine of `architecture` with Debian `release`."""

    def __init__(self, folder: Path, release: str, architecture: str) -> None:
        for name in ("state/lists/partial", "cache/archives/partial", "etc"):
            (folder / name).mkdir(parents=True)
        (folder / "state/status").touch()
        (folder / "etc/sources.list").write_text(_sources(release))
        settings = {
            "Dir::State": folder / "state",
            "Dir::State::status": folder / "state/status",
            "Dir::Cache": folder / "cache",
            "Dir::Etc::SourceList": folder / "etc/sources.list",
            "Dir::Etc::SourceParts": "/dev/null",
            "APT::Architecture": architecture,
            "APT::Architectures": architecture,
            "APT::Install-Recommends": "false",
            "APT::Get::List-Cleanup": "false",
            "Acquire::Languages": "none",
            # The folder is root's, or whoever's.
            "APT::Sandbox::User": "",
        }
        self._options = [part for key, value in settings.items() for part in ("-o", f"{key}={value}")]
        self._update()

    def _update(self) -> None:
        for attempt in range(_ATTEMPTS):
            try:
                # Without this option a list that could not be fetched is only a warning.
                self._run("update", "-q", "--error-on=any")
            except BuildError:
                if attempt == _ATTEMPTS - 1:
                    raise
            else:
                return

    def minimal(self) -> dict[str, str]:
        """Name and version of every package of a minimal system."""
        return self._resolve(*_MINIMAL)

    def needed(self, package: Path) -> dict[str, str]:
        """What a system has when `package` is installed and nothing else was asked for."""
        return self._resolve(str(package.resolve()))

    def fetch(self, packages: dict[str, str], folder: Path) -> list[Path]:
        names = [f"{name}={version}" for name, version in sorted(packages.items())]
        self._run("download", "-q", *names, cwd=folder)
        return sorted(folder.glob("*.deb"))

    def _resolve(self, *names: str) -> dict[str, str]:
        return dict(_INSTALLED.findall(self._run("install", "--simulate", *names)))

    def _run(self, *arguments: str, cwd: Path | None = None) -> str:
        done = subprocess.run(
            ("apt-get", *self._options, *arguments), cwd=cwd, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise BuildError(f"apt-get {arguments[0]}: {done.stderr.strip()}")
        return done.stdout


def _sources(release: str) -> str:
    """This machine's archives of Debian, for `release`."""
    listed = subprocess.run(
        (
            "apt-get",
            "indextargets",
            "--format",
            "$(REPO_URI) $(RELEASE) $(COMPONENT)",
            "Created-By: Packages",
        ),
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    lines = []
    for uri, suite, component in map(str.split, listed.splitlines()):
        name, _, pocket = suite.partition("-")
        if name in _RELEASES and component == "main" and pocket in ("", "updates", "security"):
            lines.append(f"deb {uri} {'-'.join(filter(None, (release, pocket)))} main")
    if not lines:
        raise BuildError("apt of this machine knows no archive of Debian\n    hint: apt-get update")
    return "\n".join([*dict.fromkeys(lines), ""])


def beyond_minimal(apt: Apt, package: Path) -> dict[str, str]:
    """Packages to bring along so that `package` installs on a minimal system; itself left out."""
    minimal, needed = apt.minimal(), apt.needed(package)
    needed.pop("edge-agent", None)
    changed = [name for name in minimal.keys() & needed.keys() if minimal[name] != needed[name]]
    if changed:
        raise BuildError(f"apt resolved two versions of {', '.join(sorted(changed))}")
    return {name: version for name, version in needed.items() if name not in minimal}
