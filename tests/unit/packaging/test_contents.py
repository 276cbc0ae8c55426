"""What is in the package, and what is not."""

from __future__ import annotations

import gzip
import posixpath
import re

import pytest

from edge_agent import __version__
from edge_agent.kernels import artifact
from edge_agent.kernels.build import elf
from edge_agent.kernels.build.targets import TARGETS
from edge_agent.kernels.catalogue import all_kernels, source_hash
from tests.conftest import ROOT
from tests.unit.packaging.made import ARCHITECTURES, Made, made

FOLDER = f"usr/lib/edge-agent/{__version__}"

pytestmark = pytest.mark.needs("lld")


@pytest.fixture(params=ARCHITECTURES)
def package(request: pytest.FixtureRequest) -> Made:
    return made(request.param)


def test_the_package_is_called_by_version_and_architecture(package: Made) -> None:
    architecture = package.control["Architecture"]
    assert package.path.name == f"edge-agent_{__version__}_{architecture}.deb"
    assert package.control["Version"] == __version__


def test_it_depends_on_what_debian_has_and_on_nothing_else(package: Made) -> None:
    names = {re.sub(r" \(.*", "", name) for name in package.control["Depends"].split(", ")}
    python = {"python3", "python3-cryptography", "python3-msgpack", "python3-serial", "python3-systemd"}
    native = {"libc6", "libgcc-s1"} if package.control["Architecture"] == "armhf" else {"libc6"}
    assert names == python | native
    assert "python3 (>= 3.11)" in package.control["Depends"]
    assert not {"Recommends", "Suggests", "Pre-Depends"} & set(package.control)


def test_everything_is_roots_and_readable_and_only_programs_are_executable(package: Made) -> None:
    programs = ("./usr/bin/edge-agent", "./usr/share/python3/runtime.d/edge-agent.rtupdate")
    for member in package.members:
        assert (member.uid, member.gid) == (0, 0), member.name
        if not member.issym():
            assert member.isdir() or member.isreg(), member.name
            assert member.mode == (0o755 if member.isdir() or member.name in programs else 0o644), member.name


def test_links_lead_to_files_of_the_package(package: Made) -> None:
    """Relative, so that they are right in a root that is mounted elsewhere."""
    for member in package.members:
        if member.issym():
            assert not member.linkname.startswith("/")
            target = posixpath.normpath(posixpath.join(posixpath.dirname(member.name), member.linkname))
            assert target in package.contents, member.name


def test_everything_bears_one_time(package: Made) -> None:
    assert len({member.mtime for member in package.members}) == 1


def test_nothing_is_a_conffile_and_nothing_lies_where_a_site_writes(package: Made) -> None:
    assert all(name.startswith(("usr", "")) and not name.startswith("etc") for name in package.names)
    assert {name.split("/")[0] for name in package.contents} == {"usr"}


def test_the_mark_of_a_complete_program_comes_behind_all_of_it(package: Made) -> None:
    program = [name for name in package.names if name.startswith(f"{FOLDER}/")]
    assert program[-1] == f"{FOLDER}/zz-complete"
    assert [name for name in package.names if name.endswith("zz-complete")] == program[-1:]


def test_it_is_the_program_that_lies_here_without_what_only_a_developer_needs(package: Made) -> None:
    packed = {name.removeprefix(f"{FOLDER}/") for name in package.contents if name.startswith(FOLDER)}
    ours = {str(path.relative_to(ROOT)) for path in (ROOT / "edge_agent").rglob("*.py")}
    left_out = {
        name for name in ours if name.startswith(("edge_agent/kernels/build/", "edge_agent/kernels/jit"))
    }
    assert left_out and not left_out & packed
    assert ours - left_out <= packed
    profiles = {
        f"edge_agent/{path.relative_to(ROOT)}" for path in (ROOT / "firmware_profiles").rglob("*.toml")
    }
    assert profiles <= packed
    assert not [name for name in packed if "__pycache__" in name or name.endswith((".pyc", ".pyi", ".typed"))]


def test_it_holds_the_kernels_of_its_architecture_for_every_size_of_pages(package: Made) -> None:
    architecture = package.control["Architecture"]
    [(name, content)] = [
        (name, content) for name, content in package.contents.items() if name.endswith(".so")
    ]
    assert name == f"{FOLDER}/edge_agent/kernels/_native/edge_agent_kernels-{architecture}.so"
    artifact.check(ROOT / name, content, source_hash(all_kernels()))
    facts, target = elf.read(content), TARGETS[architecture]
    assert (facts.machine, facts.bits) == (target.elf_machine, target.elf_class)
    assert facts.page_bytes == 65536
    assert facts.flags & target.float_mask == target.float_flags


def test_the_32_bit_kernels_pass_floats_in_registers_as_armhf_does() -> None:
    [content] = [content for name, content in made("armhf").contents.items() if name.endswith(".so")]
    # EF_ARM_ABI_FLOAT_HARD, and not EF_ARM_ABI_FLOAT_SOFT (0x200).
    assert elf.read(content).flags & 0x600 == 0x400


def test_packages_differ_only_in_the_kernels() -> None:
    by_architecture = [made(name).contents for name in ARCHITECTURES]
    libraries = [{name for name in contents if name.endswith(".so")} for contents in by_architecture]
    rest = [
        {name: content for name, content in contents.items() if name not in native}
        for contents, native in zip(by_architecture, libraries, strict=True)
    ]
    assert rest[0] == rest[1] == rest[2]


def test_vendored_libraries_are_those_of_the_list_and_say_which_they_are(package: Made) -> None:
    pinned = re.findall(r"^([\w-]+)==(\S+)", (ROOT / "packaging/vendor.txt").read_text(), re.MULTILINE)
    for library, version in pinned:
        folder = f"{FOLDER}/vendor/{library.replace('-', '_')}-{version}.dist-info"
        assert f"Version: {version}\n" in package.contents[f"{folder}/METADATA"].decode()
        assert [name for name in package.contents if name.startswith(folder)] == [f"{folder}/METADATA"]
    tops = {name.split("/")[5] for name in package.contents if name.startswith(f"{FOLDER}/vendor/")}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"paho", "tomli"}


def test_the_copyright_file_has_the_licence_of_everything(package: Made) -> None:
    text = package.contents["usr/share/doc/edge-agent/copyright"].decode()
    for words in (
        "Copyright (c) 2007, Eclipse Foundation, Inc. and its licensors.",
        "Eclipse Public License - v 2.0",
        "Copyright (c) 2021 Taneli Hukkinen",
        "/usr/share/common-licenses/Apache-2.0",
    ):
        assert words in text
    assert "@" not in re.sub(r"\S+@\S+\.\S+", "", text)


def test_the_changelog_is_that_of_this_version(package: Made) -> None:
    text = gzip.decompress(package.contents["usr/share/doc/edge-agent/changelog.gz"]).decode()
    assert text.startswith(f"edge-agent ({__version__}) stable; urgency=medium\n\n  * ")


def test_no_path_or_name_of_this_machine_is_in_it(package: Made) -> None:
    for name, content in package.contents.items():
        plain = gzip.decompress(content) if name.endswith(".gz") else content
        assert str(ROOT).encode() not in plain, name


def test_it_is_small(package: Made) -> None:
    """The budget of the release."""
    assert package.path.stat().st_size < 3_000_000
    assert int(package.control["Installed-Size"]) < 4_000


def test_the_installed_size_is_that_of_the_files(package: Made) -> None:
    size = sum(-(-member.size // 1024) if member.isreg() else 1 for member in package.members)
    assert abs(int(package.control["Installed-Size"]) - size) <= 1
