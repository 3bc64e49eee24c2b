from __future__ import annotations

import os
from pathlib import Path

import pytest

from vbsbatch.config import Config, config_path, load_config
from vbsbatch.config.schema import THEMES
from vbsbatch.errors import ConfigError
from vbsbatch.plan import parse_rate
from vbsbatch.tui import themes


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's own file, which is not there yet."""
    monkeypatch.delenv("VBSBATCH_CONFIG", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    found = tmp_path / "vbsbatch" / "config.yaml"
    found.parent.mkdir()
    return found


def refused(file: Path) -> list[str]:
    """The problems of the file, without its name."""
    with pytest.raises(ConfigError) as caught:
        load_config()
    assert all(problem.file == str(file) for problem in caught.value.problems)
    return [f"{each.line}:{each.column}: {each.text}" for each in caught.value.problems]


def test_without_a_file_nothing_is_said(file: Path) -> None:
    assert load_config() == Config(path=file)


@pytest.mark.parametrize("text", ["", "# nothing yet\n\n", "  \n"])
def test_a_file_of_comments_says_nothing(file: Path, text: str) -> None:
    file.write_text(text)
    assert load_config() == Config(path=file, exists=True)


def test_every_key_is_read_with_its_place(file: Path) -> None:
    file.write_text(
        "cloud: otc\ndb: ~/runs.db\nrate: 100/min\ntheme: light\nascii: true\nmouse: false\n"
        "keys:\n  retry: f5,R\ncompact:\n  older_than: 12w\n"
    )
    found = load_config()
    assert found.compact == 12 * 7 * 86_400
    assert found.places[("compact", "older_than")] == (10, 15)
    assert (found.cloud, found.db) == ("otc", str(file.parents[1] / "runs.db"))
    assert found.rate == parse_rate("100/min")
    assert (found.theme, found.ascii, found.mouse) == ("light", True, False)
    assert found.keys == {"retry": "f5,R"}
    assert found.places[("rate",)] == (3, 7)
    assert found.places[("keys", "retry")] == (8, 10)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("clout: otc", '1:1: unknown key "clout": did you mean "cloud"?'),
        ("a: 1\nrate: fast", '1:1: unknown key "a": known here are cloud, db, rate'),
        ("\nrate: fast", "2:7: rate: "),
        ("theme: drak", "1:8: theme: must be one of dark, light, contrast, colour-blind"),
        ("db: runs.db", "1:5: db: must be a path that begins with / or ~, or a URL"),
        ("mouse: 7", "1:8: mouse: must be true or false"),
        ("cloud:", "1:7: cloud: has no value"),
        ("keys: [a]", "1:7: keys: must be a map"),
        ("keys: {retry: [f5]}", "1:15: keys.retry: must be text"),
        ("compact: {older_than: 90}", "1:23: compact.older_than: must have a unit: 90d, 90w or"),
        ("compact: {}", '1:10: compact: "older_than" is missing'),
        ("- dark", "1:1: a config file is a map of keys such as cloud, not a list"),
        ("keys: {retry: ", "2:1: not valid YAML"),
        ("theme: !!python/object:os.system x", "1:8: tags are not accepted"),
        ("a: &a [*a]", "1:"),
        ("\x00", "1:1: contains a NUL byte"),
        ("x" * 70_000, "1:1: is larger than 65536 bytes"),
    ],
)
def test_a_wrong_file_is_refused_with_the_place(file: Path, text: str, problem: str) -> None:
    file.write_text(text)
    assert refused(file)[0].startswith(problem)


def test_all_problems_are_reported_at_once(file: Path) -> None:
    file.write_text("rate: 5/s\nrte: 1\nmouse: 3\n")
    assert len(refused(file)) == 2


def test_a_file_that_others_can_change_is_refused(file: Path) -> None:
    file.write_text("cloud: otc")
    file.chmod(0o620)
    assert refused(file) == ["1:1: can be changed by other users: run chmod go-w on it"]


def test_a_pipe_is_refused_and_never_waited_for(file: Path) -> None:
    os.mkfifo(file)
    assert refused(file) == ["1:1: is a pipe, not a plain file"]


def test_another_file_can_be_named_and_must_exist(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "mine.yaml"
    monkeypatch.setenv("VBSBATCH_CONFIG", str(other))
    assert refused(other)[0].startswith("1:1: there is no such file")
    other.write_text("theme: contrast")
    assert load_config().theme == "contrast"
    assert config_path() == other


def test_the_themes_are_those_of_the_screen() -> None:
    assert tuple(themes.THEMES) == THEMES
