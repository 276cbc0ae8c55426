"""Version and time of a package: where they come from."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from builder import changelog, sources
from edge_agent import __version__
from tests.conftest import ROOT


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "commit.gpgsign=false")
    done = subprocess.run(
        ("git", *identity, *arguments), cwd=folder, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one commit that has what the time is taken from."""
    folder = tmp_path / "checkout"
    (folder / "packaging").mkdir(parents=True)
    for name in (".gitattributes", "packaging/source-date"):
        (folder / name).write_bytes((ROOT / name).read_bytes())
    git(folder, "init", "-q")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "x", "--date", "2001-01-01T00:00:00")
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    monkeypatch.setattr(sources, "ROOT", folder)
    monkeypatch.setattr(sources, "PACKAGING", folder / "packaging")
    return folder


def test_the_time_is_the_commits_in_a_checkout_and_in_a_tarball_of_it(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    time_s = sources.source_date()
    assert time_s == int(git(checkout, "log", "-1", "--format=%ct"))
    tarball = tmp_path / "tarball"
    tarball.mkdir()
    git(checkout, "archive", "-o", str(tmp_path / "x.tar"), "HEAD")
    subprocess.run(("tar", "-xf", tmp_path / "x.tar", "-C", tarball), check=True)
    monkeypatch.setattr(sources, "ROOT", tarball)
    monkeypatch.setattr(sources, "PACKAGING", tarball / "packaging")
    assert sources.source_date() == time_s


def test_the_environment_comes_first(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1234")
    assert sources.source_date() == 1234


def test_a_copy_of_neither_is_refused_with_a_hint(checkout: Path) -> None:
    (checkout / ".git").rename(checkout / "was-git")
    with pytest.raises(sources.BuildError, match="hint: set SOURCE_DATE_EPOCH"):
        sources.source_date()


def test_the_version_is_the_programs_and_can_be_another() -> None:
    assert sources.version_of(ROOT) == __version__
    text = (ROOT / "edge_agent/__init__.py").read_text()
    assert '__version__ = "9.9~rc1"' in sources.with_version(text, "9.9~rc1")


@pytest.mark.parametrize("bad", ["", "v1", "1.0-1", "1:1.0", "1 0", "../1", "1/2"])
def test_what_is_no_version_or_no_name_of_a_folder_is_refused(bad: str) -> None:
    with pytest.raises(sources.BuildError):
        sources.checked_version(bad)


def test_the_changelog_has_every_release_with_its_day() -> None:
    markdown = (
        "# C\n\n## [Unreleased]\n### Added\n- one\n  and more\n- two\n\n## [0.9.0] - 2026-01-02\n- old\n"
    )
    text = changelog.debian(markdown, "1.0", 0, "M <m@x.org>")
    assert text == (
        "edge-agent (1.0) stable; urgency=medium\n\n  * one and more\n  * two\n\n"
        " -- M <m@x.org>  Thu, 01 Jan 1970 00:00:00 +0000\n\n"
        "edge-agent (0.9.0) stable; urgency=medium\n\n  * old\n\n"
        " -- M <m@x.org>  Fri, 02 Jan 2026 00:00:00 +0000\n"
    )


def test_a_release_without_entries_says_so() -> None:
    assert "No changes are noted." in changelog.debian("# C\n\n## [Unreleased]\n", "1.0", 0, "M <m@x.org>")
