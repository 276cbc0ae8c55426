"""Starts one after another, as the service manager makes them: what each runs and says."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_agent.daemon import trial
from edge_agent.daemon.last_good import StateFolder, Texts
from edge_agent.daemon.safe_mode import PROOF_NS
from edge_agent.errors import InputError
from edge_agent.model import MonoNs
from tests.unit.daemon.configurations import BROKEN, SOUND, own_profile


@pytest.fixture(autouse=True)
def _one_boot(monkeypatch):
    monkeypatch.setattr(trial, "boot_id", lambda: "b" * 32)


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "agent.toml"
    path.write_text(SOUND)
    return path


@pytest.fixture
def state(tmp_path):
    (tmp_path / "state").mkdir()
    return tmp_path / "state"


def crash(config, state) -> trial.Trial:
    run = trial.begin(config, state)
    run.started()
    return run


def prove(config, state) -> trial.Trial:
    run = crash(config, state)
    for now in (0, PROOF_NS):
        run.turn(MonoNs(now), healthy=True)
    run.settle(30)
    return run


def is_good(run: trial.Trial) -> bool:
    return "/good/current/" in run.site.source


def test_a_proven_configuration_comes_back_after_three_crashes_of_another(config, state) -> None:
    prove(config, state).ended(0)
    config.write_text(SOUND + "# changed\n")
    for _ in range(3):
        run = crash(config, state)
        assert not is_good(run) and not run.problems()
    run = crash(config, state)
    assert is_good(run)
    (problem,) = run.problems()
    assert problem.startswith("safe mode: the configuration failed 3 times in a row")
    assert "# changed" not in Path(run.site.source).read_text()


def test_the_good_one_goes_on_after_its_proof_and_after_a_crash_of_its_own(config, state) -> None:
    prove(config, state).ended(0)
    config.write_text(SOUND + "# changed\n")
    for _ in range(3):
        crash(config, state)
    assert prove(config, state).problems()
    assert is_good(crash(config, state))


def test_a_copy_that_the_disk_has_damaged_is_stored_again_by_the_next_proof(config, state) -> None:
    prove(config, state).ended(0)
    copy = state / "good/current/agent.toml"
    whole = copy.read_bytes()
    copy.write_bytes(whole[:10])
    prove(config, state).ended(0)
    assert copy.read_bytes() == whole


@pytest.mark.parametrize("how", ["an orderly end", "another file", "another boot", "another version"])
def test_safe_mode_is_left_by(how, config, state, monkeypatch) -> None:
    prove(config, state).ended(0)
    config.write_text(SOUND + "# changed\n")
    for _ in range(4):
        run = crash(config, state)
    assert is_good(run)
    if how == "an orderly end":
        run.ended(0)
    elif how == "another file":
        config.write_text(SOUND + "# changed again\n")
    elif how == "another boot":
        monkeypatch.setattr(trial, "boot_id", lambda: "c" * 32)
    else:
        monkeypatch.setattr(trial, "__version__", "99.0.0")
    assert not is_good(crash(config, state))


def test_an_end_by_a_failure_counts_as_a_crash(config, state) -> None:
    prove(config, state).ended(0)
    config.write_text(SOUND + "# changed\n")
    for _ in range(3):
        crash(config, state).ended(1)
    assert is_good(crash(config, state))


def test_starts_that_are_ended_in_order_are_no_crashes(config, state) -> None:
    prove(config, state).ended(0)
    config.write_text(SOUND + "# changed\n")
    for _ in range(10):
        run = crash(config, state)
        assert not is_good(run)
        run.ended(0)


def test_health_that_breaks_is_no_proof(config, state) -> None:
    run = crash(config, state)
    for now, healthy in ((0, True), (PROOF_NS // 2, False), (PROOF_NS, True)):
        run.turn(MonoNs(now), healthy=healthy)
    assert not (state / "good").exists()


def test_without_another_configuration_the_present_one_goes_on_and_says_how_often_it_failed(
    config, state
) -> None:
    for _ in range(4):
        run = crash(config, state)
    (problem,) = run.problems()
    assert "failed 3 times in a row" in problem and "safe mode" not in problem
    assert not is_good(run)
    for now in (0, PROOF_NS):
        run.turn(MonoNs(now), healthy=True)
    run.settle(30)
    assert not run.problems()


def test_a_wrong_file_is_said_with_line_and_reason_and_the_last_good_one_runs(config, state, caplog) -> None:
    prove(config, state).ended(0)
    config.write_text(BROKEN)
    run = crash(config, state)
    assert is_good(run)
    line = BROKEN.splitlines().index('baud = "fast"') + 1
    (problem,) = run.problems()
    assert problem.startswith(f"safe mode: agent.toml:{line}: bus.line.baud ")
    assert problem.endswith("the last good configuration runs")
    assert f"{config}:{line}: bus.line.baud" in caplog.text
    config.write_text(SOUND)
    assert not is_good(crash(config, state))


def test_a_wrong_file_without_a_good_one_is_refused(config, state) -> None:
    config.write_text(BROKEN)
    with pytest.raises(InputError, match="baud"):
        trial.begin(config, state)


def test_a_file_that_was_taken_away_is_not_replaced(config, state) -> None:
    prove(config, state).ended(0)
    config.unlink()
    with pytest.raises(InputError, match="does not exist"):
        trial.begin(config, state)


def test_without_a_state_folder_the_present_file_runs_or_nothing(config) -> None:
    run = trial.begin(config, None)
    run.started()
    for now in (0, PROOF_NS):
        run.turn(MonoNs(now), healthy=True)
    run.ended(0)
    config.write_text(BROKEN)
    with pytest.raises(InputError):
        trial.begin(config, None)


def test_the_sites_own_profiles_are_part_of_the_good_configuration(
    config, state, tmp_path, monkeypatch
) -> None:
    monkeypatch.setenv("EDGE_AGENT_PROFILES", str(tmp_path / "profiles"))
    profile = own_profile(tmp_path / "profiles")
    config.write_text(SOUND + '\n[device.own]\nbus = "line"\nunit_id = 9\nprofile = "acme/meter"\n')
    prove(config, state).ended(0)
    sound = profile.read_text()
    profile.write_text(sound + "# changed\n")
    for _ in range(3):
        assert not is_good(crash(config, state))
    run = crash(config, state)
    assert is_good(run) and [device.name for device in run.site.devices][-1] == "own"
    run.ended(0)
    profile.write_text("nonsense")
    run = crash(config, state)
    assert is_good(run) and "meter.toml" in run.problems()[0]


def test_a_good_configuration_that_this_version_refuses_is_as_good_as_none(config, state, caplog) -> None:
    prove(config, state).ended(0)
    StateFolder(state).keep(Texts(BROKEN.encode(), {}))
    config.write_text(BROKEN + "# another\n")
    with pytest.raises(InputError):
        trial.begin(config, state)
    assert "not good any more" in caplog.text
