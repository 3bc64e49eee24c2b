from __future__ import annotations

from pathlib import Path

import pytest

from vbsbatch.cli.screen_config import ScreenFile, screen_file
from vbsbatch.errors import UsageError


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's own file, which is not there yet."""
    monkeypatch.delenv("VBSBATCH_SCREEN", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    found = tmp_path / "vbsbatch" / "screen.yaml"
    found.parent.mkdir()
    return found


def test_without_a_file_the_defaults_apply(file: Path) -> None:
    assert screen_file() == ScreenFile()
    file.write_text("# nothing yet\n")
    assert screen_file() == ScreenFile()


def test_the_file_sets_theme_mouse_and_keys(file: Path) -> None:
    file.write_text(
        'theme: light\nmouse: false\nkeys: {retry: "f5, R", help: "H,?", retry-code: z}'
    )
    found = screen_file()
    assert (found.theme, found.mouse) == ("light", False)
    assert found.keys == {"retry": "f5,R", "help": "H,question_mark", "retry-code": "z"}


def test_the_example_in_the_docs_is_valid(file: Path) -> None:
    docs = (Path(__file__).parents[2] / "docs" / "screen.md").read_text()
    file.write_text(docs.partition("```yaml\n")[2].partition("```")[0])
    found = screen_file()
    assert (found.theme, found.mouse, found.ascii) == ("contrast", False, True)
    assert found.keys == {"retry": "f5,r", "pause": "ctrl+p", "more": "colon"}


def test_another_file_can_be_named_and_must_exist(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VBSBATCH_SCREEN", str(tmp_path / "mine.yaml"))
    with pytest.raises(UsageError, match=r"mine\.yaml: cannot be read: No such file"):
        screen_file()
    (tmp_path / "mine.yaml").write_text("theme: contrast")
    assert screen_file().theme == "contrast"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("theme: pink", "theme is one of dark, light, contrast, colour-blind"),
        ("theme: [dark]", "theme is one of"),
        ("mouse: 7", "mouse is true or false"),
        ("colour: red", "'colour' is unknown: it may say theme, mouse, ascii, keys"),
        ("ascii: maybe", "ascii is true or false"),
        ("- dark", "it must be a map from names to values"),
        ("keys: [a]", "keys must be a map"),
        ("keys: {1: a}", "keys must be a map"),
        ("keys: {retri: a}", "no action is called 'retri'"),
        ("keys: {retry: ctl+r}", "no key is called 'ctl\\+r'"),
        ("keys: {retry: p}", "'p' cannot be"),
        ("keys: {retry: [f5]}", "needs a key"),
        ("keys: {retry: ", "line 1, column 15: "),
        ("theme: !!python/object:os.system x", "could not determine a constructor"),
        ("\x00", "not YAML"),
        ("x" * 70_000, "too large"),
    ],
)
def test_a_wrong_file_is_refused_by_name(file: Path, text: str, words: str) -> None:
    file.write_text(text)
    with pytest.raises(UsageError, match=words) as caught:
        screen_file()
    assert str(caught.value).startswith(f"{file}: ")
    assert "\n" not in str(caught.value)
