"""What a shell offers for values of arguments and options."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.shell_completion import ShellComplete

from tests.store.fixtures import a_job, a_run
from vbsbatch.cli.app import app
from vbsbatch.model import BackupSettings
from vbsbatch.store import open_store


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store with two runs, which the environment names."""
    path = tmp_path / "runs.db"
    monkeypatch.setenv("VBSBATCH_DB", str(path))
    monkeypatch.setenv("VBSBATCH_CONFIG", str(tmp_path / "config.yaml"))
    (tmp_path / "config.yaml").write_text("")
    monkeypatch.chdir(tmp_path)
    with open_store(path, create=True) as opened:
        for name in ("20261123-0715-aaaa", "20261124-0715-bbbb"):
            opened.create_run(a_run(name), [a_job(1), a_job(2)], BackupSettings())
    return path


def offered(*words: str) -> list[str]:
    """The candidates for the last of the words."""
    completion = ShellComplete(app, {}, "vbsbatch", "_VBSBATCH_COMPLETE")
    return [item.value for item in completion.get_completions(list(words[:-1]), words[-1])]


def test_channels_are_offered_by_their_names(store: Path) -> None:
    config = store.with_name("config.yaml")
    config.write_text("notify: {ops: {url: 'json://h/x'}, mail: {env: MAIL}}\n")
    config.chmod(0o600)
    assert offered("notify", "test", "") == ["ops", "mail"]
    assert offered("notify", "test", "m") == ["mail"]
    config.chmod(0o644)
    assert offered("notify", "test", "") == []


@pytest.mark.parametrize("command", ["status", "retry", "attach", "rate", "restore", "resume"])
def test_runs_are_offered_by_their_ids(store: Path, command: str) -> None:
    assert offered(command, "2026") == ["20261124-0715-bbbb", "20261123-0715-aaaa"]
    assert "latest" in offered(command, "")


def test_the_store_of_the_command_line_is_used(store: Path, tmp_path: Path) -> None:
    assert offered("--db", str(tmp_path / "none.db"), "status", "2026") == []
    assert offered("status", "--db", str(tmp_path / "none.db"), "2026") == []


def test_volumes_of_the_run_are_offered(store: Path) -> None:
    with open_store(store, readonly=True) as opened:
        names = [job.volume_name for job in opened.jobs("20261124-0715-bbbb")]
    assert offered("jobs", "latest", "--volume", "") == names


def test_codes_and_statuses_of_a_run_without_answers_are_none(store: Path) -> None:
    assert offered("retry", "latest", "--code", "") == []
    assert offered("retry", "latest", "--status", "") == []


def test_clouds_are_offered_from_the_file_that_the_sign_in_uses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("clouds: {otc: {region_name: eu-de}, lab: {}}")
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(path))
    assert offered("run", "plan.yaml", "--cloud", "") == ["otc", "lab"]
    assert offered("plan", "new", "--cloud", "o") == ["otc"]
    path.write_text("[")
    assert offered("run", "plan.yaml", "--cloud", "") == []


def test_states_and_examples_are_offered(store: Path) -> None:
    assert offered("jobs", "--state", "f") == ["failed"]
    assert offered("plan", "example", "m") == ["minimal"]
