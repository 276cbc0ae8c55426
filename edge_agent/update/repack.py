"""A package made again of what is installed, so that an update can be undone where its file is gone.

dpkg keeps everything but the archive itself: the stanza, the maintainer scripts, the list of files and their
sums. The files are compared with those first: a damaged installation would be put back damaged. There are no
conffiles, and everything belongs to root, so nothing else is needed.
"""

from __future__ import annotations

import re
import shutil
import stat
import tempfile
from pathlib import Path, PurePosixPath

from edge_agent.errors import UpdateError
from edge_agent.update import packages
from edge_agent.update.store import PIECES

SPARED = ("/usr/share/doc/", "/usr/share/man/", "/usr/share/lintian/", "/usr/share/locale/")
"""Small systems tell dpkg not to unpack these (path-exclude): that they are missing is no damage."""
SCRIPTS = ("preinst", "postinst", "prerm", "postrm", "config")
_NOT_IN_CONTROL = re.compile(r"^(Status|Conffiles|Config-Version):.*\n(?: .*\n)*", re.MULTILINE)


def repack(folder: Path, target: Path, name: str = packages.NAME) -> None:
    """Write the installed package to `target`, by way of a tree in `folder`. UpdateError when the
    installation is damaged or cannot be read."""
    _check(name)
    with tempfile.TemporaryDirectory(prefix=PIECES, dir=folder) as made:
        tree = Path(made, "tree")
        tree.mkdir(mode=0o755)
        missing = _copy_files(tree, name)
        _copy_control(tree / "DEBIAN", name, missing)
        # gzip: xz takes a hundred megabytes of memory for what is thrown away after the next update.
        done = packages.run(
            "dpkg-deb", "--root-owner-group", "-Zgzip", "--build", str(tree), str(target), timeout_s=300
        )
    if not done.ok:
        raise UpdateError(f"cannot make a package of what is installed: {done.words()}", hint=_HINT)


_HINT = "apt install --reinstall ./edge-agent_VERSION_ARCH.deb of the installed version, then again"


def _check(name: str) -> None:
    state = packages.installed(name)
    if not state.is_sound:
        raise UpdateError(f"the installed package is {state.status}", hint="sudo dpkg --configure -a")
    changed = damage(packages.run("dpkg", "--verify", name).output)
    if changed:
        shown = ", ".join(changed[:3]) + (f" and {len(changed) - 3} more" if len(changed) > 3 else "")
        raise UpdateError(f"the installation is damaged, and could not be put back: {shown}", hint=_HINT)


def damage(verified: str) -> list[str]:
    """Files that are missing or have another content, of what `dpkg --verify` says."""
    found = []
    for line in verified.splitlines():
        what, _, path = line.partition("/")
        if what.startswith("missing") and f"/{path}".startswith(SPARED):
            continue
        if what.startswith("missing") or what[2:3] == "5":
            found.append(f"/{path}")
    return found


def _copy_files(tree: Path, name: str) -> set[str]:
    """Every path of dpkg's list into the tree; those that are not there."""
    listed = packages.listed_files(name)
    # A folder that the administrator has replaced by a link is a folder for dpkg, and the link is not ours.
    folders = {str(above) for line in listed for above in PurePosixPath(line).parents}
    missing = set()
    for line in listed:
        source, target = Path(line), tree / line.lstrip("/")
        try:
            mode = (source.stat() if line in folders else source.lstat()).st_mode
        except FileNotFoundError:
            missing.add(line)
            continue
        if stat.S_ISDIR(mode):
            target.mkdir(exist_ok=True)
            target.chmod(stat.S_IMODE(mode))
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target, follow_symlinks=False)
    return missing


def _copy_control(folder: Path, name: str, missing: set[str]) -> None:
    folder.mkdir(mode=0o755)
    status = packages.run("dpkg-query", "--status", name).output
    (folder / "control").write_text(control_of(status))
    for file in packages.run("dpkg-query", "--control-list", name).output.split():
        text = packages.installed_control(file, name)
        if file == "md5sums":
            text = "".join(line for line in text.splitlines(True) if "/" + line[34:].strip() not in missing)
        target = folder / file
        target.write_text(text)
        target.chmod(0o755 if file in SCRIPTS else 0o644)


def control_of(status: str) -> str:
    """The control stanza of a package, of what dpkg's database says of it."""
    return _NOT_IN_CONTROL.sub("", status.strip() + "\n")
