"""Profiles are found by id in known folders only, and never two for one id."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_agent.errors import InputError
from edge_agent.profiles import Library, default_library
from edge_agent.profiles.library import packaged

SDM120 = packaged() / "eastron" / "sdm120.toml"


def copy(root: Path, name: str, text: str | None = None) -> Path:
    path = root / f"{name}.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(SDM120.read_text() if text is None else text)
    return path


def problem(library: Library, profile_id: str) -> str:
    with pytest.raises(InputError) as caught:
        library.get(profile_id)
    return str(caught.value)


def test_a_profile_is_read_once() -> None:
    library = Library([packaged()])
    assert library.get("eastron/sdm120") is library.get("eastron/sdm120")


@pytest.mark.parametrize(
    "profile_id",
    [
        "../x",
        "a/../b",
        "eastron/../../etc/passwd",
        "/etc/passwd",
        "eastron",
        "",
        "Eastron/sdm120",
        "a/b\n",
        "a/" + "b" * 300,
    ],
)
def test_no_id_leads_out_of_the_folders(profile_id: str) -> None:
    assert "there is no profile" in problem(Library([packaged()]), profile_id)


def test_an_unknown_id_has_the_nearest_as_hint() -> None:
    assert "did you mean eastron/sdm120?" in problem(Library([packaged()]), "eastron/sdm12")


def test_an_id_in_two_folders_is_refused(tmp_path: Path) -> None:
    copy(tmp_path, "eastron/sdm120")
    assert "is in" in problem(Library([packaged(), tmp_path]), "eastron/sdm120")


def test_the_same_folder_twice_is_no_conflict() -> None:
    assert Library([packaged(), packaged()]).get("eastron/sdm120").id == "eastron/sdm120"


def test_an_id_that_differs_from_the_path_is_refused(tmp_path: Path) -> None:
    copy(tmp_path, "acme/meter")
    assert "differs from the file's path" in problem(Library([tmp_path]), "acme/meter")


def test_folders_of_the_environment_are_searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy(tmp_path, "acme/meter", SDM120.read_text().replace("eastron/sdm120", "acme/meter"))
    monkeypatch.setenv("EDGE_AGENT_PROFILES", f"/does/not/exist:{tmp_path}")
    library = default_library()
    assert {"acme/meter", "eastron/sdm630"} <= set(library.ids())
    assert library.get("acme/meter").id == "acme/meter"


def test_the_sites_own_profiles_are_known_as_they_were_read_and_the_packaged_ones_are_not(tmp_path) -> None:
    path = copy(tmp_path, "acme/meter", SDM120.read_text().replace("eastron/sdm120", "acme/meter"))
    library = Library([packaged(), tmp_path])
    read = path.read_bytes()
    library.get("acme/meter")
    library.get("eastron/sdm120")
    path.write_text("changed since")
    assert library.own() == {"acme/meter": read}
