"""The config file as the commands use it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.cli.harness import Harness
from vbsbatch.cli.screen_config import ScreenSettings, screen_settings
from vbsbatch.config import Config, load_config
from vbsbatch.errors import ConfigError


def write(harness: Harness, text: str) -> Path:
    path = harness.folder / "config" / "vbsbatch" / "config.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o600)
    return path


@pytest.fixture
def named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A config file of this process."""
    path = tmp_path / "config.yaml"
    monkeypatch.setenv("VBSBATCH_CONFIG", str(path))
    return path


def shown(harness: Harness, **environment: str) -> dict[str, tuple[object, str]]:
    """What `config --json` shows: value and origin of each setting."""
    done = harness("config", "--json", env=harness.environment | environment)
    folder = str(harness.folder)
    return {
        each["name"]: (each["value"], (each["where"] or each["source"]).replace(folder, ""))
        for each in json.loads(done.stdout)["settings"]
    }


def test_config_shows_each_value_and_where_it_comes_from(harness: Harness) -> None:
    write(harness, "cloud: otc\nrate: 9/s\nkeys: {retry: f5}\n")
    file = "/config/vbsbatch/config.yaml"
    assert shown(harness, OS_CLOUD="lab") == {
        "cloud": ("lab", "$OS_CLOUD"),
        "db": (str(harness.store), "default"),
        "rate": ("9/s", f"{file}:2:7"),
        "theme": ("dark", "default"),
        "ascii": (None, "default"),
        "mouse": (True, "default"),
        "keys.retry": ("f5", f"{file}:3:15"),
    }
    table = harness("config").stdout.splitlines()
    assert table[0].split() == ["cloud", "otc", f"{harness.folder}{file}:1:8"]
    assert table[3].split() == ["theme", "dark", "default"]


def test_a_sign_in_in_the_environment_wins_over_the_file(harness: Harness) -> None:
    write(harness, "cloud: otc\ndb: /srv/runs.db\n")
    found = shown(harness, OS_AUTH_URL="https://iam.example", VBSBATCH_DB="/tmp/other.db")
    assert found["cloud"] == (None, "$OS_AUTH_URL")
    assert found["db"] == ("/tmp/other.db", "$VBSBATCH_DB")


def test_a_wrong_file_ends_every_command_with_its_place(harness: Harness) -> None:
    path = write(harness, "cloud: otc\nrat: 9/s\n")
    line = harness.refused("runs")
    assert f'{path}:2:1: unknown key "rat": did you mean "rate"?' in line
    assert harness("runs", "--help").returncode == 0


def test_a_run_uses_the_files_cloud_store_and_rate(harness: Harness) -> None:
    harness.cloud(volumes=2)
    harness.write_plan(cloud=None, limits={"rate": None, "in_flight": 5})
    harness.plan.write_text(harness.plan.read_text().replace('"rate": null,', ""))
    write(harness, f"cloud: simulator\nrate: 7/s\ndb: {harness.folder}/own.db\n")
    assert "2 volumes, 7/s, 5 in flight" in harness("check", "plan.yaml").stdout
    harness("run", "plan.yaml", "--progress", "plain", "--no-preflight")
    assert not harness.store.exists()
    assert json.loads(harness("status", "--json").stdout)["run"]["cloud"] == "simulator"
    done = harness("check", "plan.yaml", "--online", "--cloud", "nowhere", code=2)
    assert "nowhere" in done.stdout


def test_a_plans_own_rate_and_cloud_win_over_the_file(harness: Harness) -> None:
    harness.cloud(volumes=1)
    harness.write_plan(limits={"rate": "200/s"})
    write(harness, "cloud: nowhere\nrate: 7/s\n")
    done = harness("check", "plan.yaml")
    assert "1 volume, 200/s" in done.stdout
    assert "in cloud simulator" in done.stderr


def test_the_screen_takes_theme_mouse_and_keys(named: Path) -> None:
    assert screen_settings(load_config_of(named, "")) == ScreenSettings()
    text = 'theme: light\nmouse: false\nkeys: {retry: "f5, R", help: "H,?", retry-code: z}'
    found = screen_settings(load_config_of(named, text))
    assert (found.theme, found.mouse) == ("light", False)
    assert found.keys == {"retry": "f5,R", "help": "H,question_mark", "retry-code": "z"}


def load_config_of(path: Path, text: str) -> Config:
    path.write_text(text)
    return load_config()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("keys: {retri: a}", "1:15: keys: no action is called 'retri'; did you mean 'retry'?"),
        ("keys: {retry: ctl+r}", "1:15: keys: 'retry': no key is called 'ctl+r'"),
        ("keys: {retry: p}", "1:15: keys: 'p' cannot be"),
        ("keys: {retry: z, rate: z}", "1:7: keys: 'z' cannot be"),
    ],
)
def test_wrong_keys_are_refused_with_the_place(named: Path, text: str, words: str) -> None:
    named.write_text(text)
    with pytest.raises(ConfigError) as caught:
        screen_settings()
    assert str(caught.value).startswith(f"{named}:{words}")


def test_the_example_in_the_docs_is_valid(named: Path) -> None:
    docs = (Path(__file__).parents[2] / "docs" / "config.md").read_text()
    named.write_text(docs.partition("```yaml\n")[2].partition("```")[0])
    named.chmod(0o600)
    found = screen_settings()
    assert (found.theme, found.mouse) == ("contrast", False)
    assert found.keys == {"retry": "f5,r", "pause": "ctrl+p", "more": "colon"}


def test_the_channels_in_the_docs_are_valid(named: Path) -> None:
    docs = (Path(__file__).parents[2] / "docs" / "notifications.md").read_text()
    examples = re.findall(r"^```yaml\n(.*?)^```", docs, re.M | re.S)
    named.write_text("".join(each for each in examples if each.startswith(("notify:\n", "ping:"))))
    named.chmod(0o600)
    found = load_config()
    assert [each.name for each in found.channels] == ["ops", "mail", "pager"]
    assert [each.default for each in found.channels] == [True, True, False]
    assert list(found.pings) == ["nightly"]
