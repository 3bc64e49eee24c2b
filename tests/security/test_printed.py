"""Everything printed goes through one door, and everything advised can be pasted into a shell."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import vbsbatch
from tests.cli.stage import FAST, Stage
from tests.store.ground import a_run
from vbsbatch import masking
from vbsbatch.cli import fit
from vbsbatch.cli.app import COMMANDS
from vbsbatch.cloud.answers import clean
from vbsbatch.cloud.endpoints import shown, without_user
from vbsbatch.masking import HIDDEN, keep_secret, masked
from vbsbatch.model import RunState
from vbsbatch.report import ReportData
from vbsbatch.report.data import next_commands

PACKAGE = Path(vbsbatch.__file__).parent
TOKEN = "gAAAAABmYz1234-abcdef_GHIJKL"
HOSTILE = "x\x1b]0;owned\x07$(touch owned); `id`"


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(masking, "_known", ())


# The mask


@pytest.mark.parametrize(
    "echo",
    [
        TOKEN,
        f"your token {TOKEN} is bad",
        " ".join(TOKEN),
        ", ".join(TOKEN),
        "\n".join(TOKEN),
        '","'.join(TOKEN),
        "x" + TOKEN + "y",
        TOKEN.replace("-", " ").replace("_", ""),
    ],
)
def test_a_token_that_an_answer_echoes_is_masked_however_it_is_spaced(echo: str) -> None:
    keep_secret(TOKEN)
    for shown_text in (masked(echo), fit(echo), clean(echo) or ""):
        assert HIDDEN in shown_text
        assert TOKEN[:12] not in re.sub(r"[\W_]", "", shown_text)


@given(st.text(max_size=200))
def test_a_text_without_secrets_stays_as_it_is(text: str) -> None:
    assert masked(text) == text
    keep_secret("\N{LATIN SMALL LETTER SHARP S}" * 3 + "-no-text-has-this")
    assert masked(text) == text


class Renewing(str):
    """A text during whose look another thread signs in anew."""

    __slots__ = ()

    def __contains__(self, secret: object) -> bool:
        keep_secret(f"{TOKEN}-{len(masking._known)}")
        return super().__contains__(str(secret))


def test_a_text_is_masked_while_a_sign_in_in_another_thread_brings_new_secrets() -> None:
    for number in range(masking._MOST):
        keep_secret(f"older-secret-{number:02}")
    keep_secret(TOKEN)
    assert masked(Renewing(f"{TOKEN} was renewed")) == f"{HIDDEN} was renewed"


def test_only_the_newest_secrets_are_remembered() -> None:
    for number in range(masking._MOST + 1):
        keep_secret(f"secret-number-{number:02}")
        keep_secret(f"secret-number-{number:02}")
    assert masked("secret-number-00") == "secret-number-00"
    assert masked("secret-number-01") == HIDDEN
    assert masked(f"secret-number-{masking._MOST}") == HIDDEN


def test_a_password_in_a_url_is_not_shown_whatever_it_holds() -> None:
    for secret in ("pw", "p/w", "p@w", "p?w#w", "pw:80", "//x"):
        url = f"https://me:{secret}@cloud.test/v3?token=x"
        assert secret not in shown(url).replace("https://", "", 1)
        assert without_user(url) == "https://cloud.test/v3?token=x"
        assert f"me:{secret}" not in without_user(f"cannot connect to {url}: refused")


def test_a_password_in_an_endpoint_is_neither_shown_nor_advised_nor_handed_on(stage: Stage) -> None:
    not_allowed = "{on: create, do: status, status: 403, code: VolumeBackup.0042}"
    cloud = stage.cloud(FAST + f"faults: [{not_allowed}]", volumes=2)
    endpoint = cloud.url.replace("//", "//me:s3cr3t/word@")
    done = stage("run", "plan.yaml", "--yes", "--vbs-endpoint", endpoint, code=3)
    assert f"--vbs-endpoint {cloud.url}" in done.stderr, done.stderr
    for text in stage.heard:
        assert "s3cr3t" not in text


# The door


@pytest.mark.parametrize(
    "words",
    [
        ["runs", "--db", f"{HOSTILE}/x.db"],
        ["check", f"{HOSTILE}.yaml"],
        ["run", f"{HOSTILE}.yaml"],
        ["status", HOSTILE],
        [HOSTILE],
        ["status", f"--{HOSTILE}"],
        ["run", "plan.yaml", "--rate", HOSTILE],
        ["report", "latest", "--output", f"{HOSTILE}/x"],
        ["plan", "new", "-o", f"{HOSTILE}/x"],
        ["simulate", "--faults", HOSTILE],
        ["check", "plan.yaml", "--volumes", HOSTILE],
    ],
)
def test_escape_characters_of_arguments_do_not_reach_the_terminal(
    stage: Stage, words: list[str]
) -> None:
    stage.write_plan()
    done = stage(*words, code=2)  # the stage looks for control characters in what is said
    assert "\x1b" not in done.stderr + done.stdout


def test_escape_characters_of_paths_do_not_reach_the_terminal(stage: Stage) -> None:
    stage.cloud(volumes=1)
    store = stage.folder / "a\x1b]0;owned\x07b" / "c.db"
    stage("run", "plan.yaml", "--yes", "--db", str(store))
    stage("runs", "--db", str(store))
    stage("resume", "--db", str(store), code=2)


def modules() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        yield path.relative_to(PACKAGE).as_posix(), ast.parse(path.read_text("utf-8"))


DOORS = {
    "cli/__init__.py": "the door itself",
    "cli/scribe.py": "progress lines, masked, made by vbsbatch.report",
    "cli/completing.py": "the program's own completion script",
    "cli/showing.py": "the program's own help",
    "simulator/server.py": "clouds.yaml of the simulated cloud, which is what it was asked for",
    "tui/app.py": "one line, cleaned and masked where it stands",
}
_PRINTS = {"print", "echo", "secho"}


def test_nothing_is_printed_but_through_the_door() -> None:
    found = set()
    for name, tree in modules():
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call):
                continue
            called = node.func.id if isinstance(node.func, ast.Name) else ""
            if isinstance(node.func, ast.Attribute):
                owner = ast.unparse(node.func.value)
                if owner in ("click", "sys.stdout", "sys.stderr", "sys.__stderr__"):
                    called = "print" if node.func.attr in (*_PRINTS, "write") else ""
            if called in _PRINTS:
                found.add(name)
    assert found <= set(DOORS)


def test_every_question_goes_through_the_door() -> None:
    for name, tree in modules():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in (
                "click.confirm",
                "click.prompt",
            ):
                assert ast.unparse(node.args[0]).startswith("fit("), name


# What is advised

SAFE = re.compile(
    r"(shlex\.)?(quote|join)\(.*\)|db_option\(.*\)|option|verb|which|run_id|command|name"
)
"""Quoted where it stands, or made of words that are: see `test_what_is_advised_can_be_pasted`."""
HEADINGS = ("report/as_table.py", "cli/__init__.py", "cli/browsing.py", "tui/app.py")
"""Where the program's name stands before something that is no command."""


def test_every_command_that_is_advised_is_quoted_where_it_is_written() -> None:
    advised = 0
    for name, tree in modules():
        for node in ast.walk(tree):
            if not isinstance(node, ast.JoinedStr):
                continue
            command = False
            for part in node.values:
                if isinstance(part, ast.Constant):
                    text = str(part.value)
                    if "vbsbatch " in text:
                        last = text.rpartition("vbsbatch ")[2]
                        begun = not last or last.split(" ")[0] in COMMANDS
                        command = begun and not re.search(r"[:;)]", last)
                    elif command:
                        command = not re.match(r"`|\)|[:;,]", text)
                elif command and isinstance(part, ast.FormattedValue):
                    if name in (
                        "report/as_table.py",
                        "cli/__init__.py",
                        "cli/browsing.py",
                        "tui/app.py",
                    ):
                        continue  # headings
                    advised += 1
                    assert SAFE.fullmatch(ast.unparse(part.value)), (name, ast.unparse(node))
    assert advised >= 10


@pytest.mark.parametrize("state", list(RunState))
@pytest.mark.parametrize("live", [True, False])
def test_what_is_advised_can_be_pasted(state: RunState, live: bool) -> None:
    data = ReportData(
        run=a_run("x; touch owned #", state=state, reason="gate"),
        counts={},
        meaning=lambda code, status: None,
        now=0.0,
        failures=[(400, "$(touch owned)", 3), (None, "A.1", 2), (503, None, 1)],
        live=live,
        db_option=f" --db {shlex.quote('a b;c')}",
    )
    for command in next_commands(data):
        words = shlex.split(command)
        assert words[0] == "vbsbatch"
        assert "x; touch owned #" in words
        assert words[-2:] == ["--db", "a b;c"]
        assert not [word for word in words if word.startswith("$(")]
