"""All output is cleaned and masked in one place, and suggested commands can be pasted."""

from __future__ import annotations

import ast
import html
import io
import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

import vbsbatch
from tests.cli.harness import FAST, Harness
from tests.inventory.samples import ALL, uuid
from tests.report.samples import T0, Terminal, hostile_job, hostile_report, run
from tests.report.schema_check import problems
from tests.store.fixtures import a_run
from vbsbatch import masking
from vbsbatch.cli import fit
from vbsbatch.cli.app import COMMANDS
from vbsbatch.cloud.endpoints import shown, without_user
from vbsbatch.cloud.response_parser import read_refusal
from vbsbatch.cloud.response_values import clean
from vbsbatch.inventory.plan_writer import Heading, plan_text
from vbsbatch.inventory.volumes_by_server import VolumesByServer
from vbsbatch.masking import HIDDEN, keep_secret, masked, masked_start
from vbsbatch.model import CloudServer, CloudVolume, JobMoved, JobState, RunNoted, RunState, Wall
from vbsbatch.report import FORMATS, End, Progress, ReportData, as_json, jsonlines, plain
from vbsbatch.report import write as write_report
from vbsbatch.report.data import next_commands
from vbsbatch.simulator.wire import SimReply, SimRequest

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


@pytest.mark.parametrize("spaced", [TOKEN, " ".join(TOKEN)])
@pytest.mark.parametrize("shown_before_the_cut", range(1, len(TOKEN) + 1, 3))
def test_a_token_across_the_cut_is_masked_too(spaced: str, shown_before_the_cut: int) -> None:
    keep_secret(TOKEN)
    begin = "x." * 50
    rest = (" " + spaced) * 100
    for text in (begin + spaced + rest, begin + spaced[:-1] + "-" + spaced[-1], begin + spaced):
        shown_text = clean(text, 100 + shown_before_the_cut) or ""
        assert TOKEN[:2] not in re.sub(r"[\W_]", "", shown_text)
    assert TOKEN[:6] not in shown("https://login.test/" + "x" * 175 + TOKEN)


def test_a_token_on_a_page_that_is_cut_short_is_masked_too() -> None:
    keep_secret(TOKEN)
    page = ("<html>" + "<br/>" * 2000)[: 8192 - 12] + TOKEN + "<br/>" * 2000
    assert TOKEN[:6] not in (read_refusal({}, page.encode(), 0.0).message or "")


@given(st.text(max_size=200), st.integers(0, 200))
def test_the_beginning_of_a_text_without_secrets_stays_as_it_is(text: str, most: int) -> None:
    assert masked_start(text, most) == text[:most]
    keep_secret("\N{LATIN SMALL LETTER SHARP S}" * 3 + "-no-text-has-this")
    assert masked_start(text, most) == text[:most]


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


@pytest.mark.parametrize("ahead", [0, 100, 199, 240, 254])
def test_a_token_is_masked_before_its_text_is_cut(ahead: int) -> None:
    keep_secret(TOKEN)
    shown_text = clean("x" * ahead + TOKEN, 255) or ""
    assert TOKEN[:3] not in shown_text
    assert len(shown_text) <= 255


# What is written to files and to standard output

SPACED = " ".join(TOKEN)


def letters(text: str) -> str:
    """What is left of a text without all that may stand between the letters of a secret."""
    return re.sub(r"\\u[0-9a-f]{4}|[\W_]", "", html.unescape(text))


def hidden_in(text: str) -> bool:
    return letters(TOKEN)[:12] not in letters(text)


@pytest.mark.parametrize("echo", [TOKEN, f"your token is {TOKEN}", SPACED, '"'.join(TOKEN)])
@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("stream_of", [io.StringIO, Terminal])
def test_no_report_shows_a_secret_in_any_text(
    form: str, echo: str, stream_of: type[io.StringIO]
) -> None:
    data = hostile_report(echo)
    stream = stream_of()
    write_report(data, form, stream, all_jobs=True)
    assert not hidden_in(stream.getvalue())
    keep_secret(TOKEN)
    stream = stream_of()
    write_report(data, form, stream, all_jobs=True)
    assert hidden_in(stream.getvalue())
    if form == "json":
        assert problems(json.loads(stream.getvalue()), "report") == []


def progress_lines(form: Any, echo: str) -> list[str]:
    moves = [
        JobMoved(
            job=hostile_job(no, echo, state), came_from=JobState.RUNNING, at=Wall(T0), note=echo
        )
        for no, state in enumerate(JobState, 1)
    ]
    now: dict[str, Any] = {"at": T0, "counts": {}}
    end = End(**now, run=run(plan=echo), exit_code=3, next=echo)
    progress = Progress(**now, retry=0, rate=1.0, eta=None, waits_for="x" * 290 + echo)
    note = RunNoted(at=Wall(T0), kind="run", text=echo)
    events = [*moves, note]
    told = [form.line(event, attempts=5) for event in events]
    return [*told, form.progress(progress), form.end(end)]


@pytest.mark.parametrize("echo", [TOKEN, SPACED, f"x{TOKEN}"])
@pytest.mark.parametrize("form", [plain, jsonlines])
def test_no_progress_line_shows_a_secret_in_any_text(form: Any, echo: str) -> None:
    keep_secret(TOKEN)
    lines = progress_lines(form, echo)
    assert [line for line in lines if not hidden_in(line)] == []
    assert [line for line in lines if TOKEN[:3] in line] == []


@pytest.mark.parametrize(
    "password", ["attempts", "schema", 'state": "failed', "null, ", "http_status", "]\n}", "u00e9é"]
)
def test_a_password_that_looks_like_a_part_of_json_breaks_no_document(password: str) -> None:
    keep_secret(password)
    stream = io.StringIO()
    as_json.write(hostile_report(f"é {password} é"), stream)
    assert problems(json.loads(stream.getvalue()), "report") == []
    for line in progress_lines(jsonlines, password):
        assert problems(json.loads(line), "line") == []


def test_a_plan_of_volumes_named_like_a_secret_does_not_contain_it() -> None:
    keep_secret(TOKEN)
    told: dict[str, Any] = {"size": 1, "status": TOKEN, "volume_type": TOKEN, "zone": SPACED}
    volumes = {
        uuid(1): CloudVolume(id=uuid(1), name=TOKEN, server_ids=("s",), **told),
        uuid(2): CloudVolume(id=uuid(2), name="x" * 240 + TOKEN, server_ids=(TOKEN,), **told),
        TOKEN: CloudVolume(id=TOKEN, name=SPACED, **told),
    }
    fleet = VolumesByServer.of(list(volumes.values()), [CloudServer(id="s", name=f"web {TOKEN}")])
    heading = Heading(name="fleet", cloud="sim", selection=ALL)
    text = "\n".join(plan_text(fleet, volumes, heading, left_out=volumes))
    assert TOKEN[:3] not in text
    assert hidden_in(text)
    assert sorted(each["id"] for each in yaml.safe_load(text)["volumes"]) == [
        HIDDEN,
        uuid(1),
        uuid(2),
    ]


def echoing(harness: Harness) -> None:
    """A cloud that gives every volume the name, and every server, of the token that was sent."""
    cloud = harness.cloud(volumes=3)
    broken, *others = cloud.world.project.volumes.values()
    broken.status, broken.name = "error", "ECHO"
    others[0].name = "x" * 200 + "ECHO"
    others[1].server_name, others[1].server_id = "ECHO", "s1"
    honest = cloud.world.handle

    def handle(request: SimRequest) -> SimReply:
        reply = honest(request)
        token = request.headers.get("x-auth-token", "").encode()
        return replace(reply, body=reply.body.replace(b"ECHO", token))

    cloud.world.handle = handle  # type: ignore[method-assign]
    harness.write_plan(
        volumes=[{"id": volume.id} for volume in (broken, *others)], volumes_from=None
    )


def test_a_token_used_as_a_volume_name_gets_into_no_file(harness: Harness) -> None:
    echoing(harness)
    harness("plan", "new", "--cloud", "simulator", "-o", "new.yaml")
    harness("plan", "new", "--cloud", "simulator", "--status", "error", "-o", "broken.yaml")
    json.loads(harness("check", "plan.yaml", "--online", "--json", code=2).stdout)
    json.loads(harness("plan", "diff", "plan.yaml", "--json", code=1).stdout)
    harness("plan", "diff", "new.yaml")
    for path in harness.folder.glob("*.yaml"):
        harness.heard.append(path.read_text())
    assert (
        yaml.safe_load((harness.folder / "broken.yaml").read_text())["volumes"][0]["name"] == "***"
    )
    assert [text for text in harness.heard if "gAAAA" in text] == []


def test_a_password_in_a_url_is_never_shown() -> None:
    for secret in ("pw", "p/w", "p@w", "p?w#w", "pw:80", "//x"):
        url = f"https://me:{secret}@cloud.test/v3?token=x"
        assert secret not in shown(url).replace("https://", "", 1)
        assert without_user(url) == "https://cloud.test/v3?token=x"
        assert f"me:{secret}" not in without_user(f"cannot connect to {url}: refused")


def test_a_password_in_an_endpoint_is_neither_shown_nor_suggested_nor_passed_on(
    harness: Harness,
) -> None:
    not_allowed = "{on: create, do: status, status: 403, code: VolumeBackup.0042}"
    cloud = harness.cloud(FAST + f"faults: [{not_allowed}]", volumes=2)
    endpoint = cloud.url.replace("//", "//me:s3cr3t/word@")
    done = harness("run", "plan.yaml", "--yes", "--vbs-endpoint", endpoint, code=3)
    assert f"--vbs-endpoint {cloud.url}" in done.stderr, done.stderr
    for text in harness.heard:
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
    harness: Harness, words: list[str]
) -> None:
    harness.write_plan()
    done = harness(*words, code=2)  # the harness looks for control characters in what is said
    assert "\x1b" not in done.stderr + done.stdout


def test_escape_characters_of_paths_do_not_reach_the_terminal(harness: Harness) -> None:
    harness.cloud(volumes=1)
    store = harness.folder / "a\x1b]0;owned\x07b" / "c.db"
    harness("run", "plan.yaml", "--yes", "--db", str(store))
    harness("runs", "--db", str(store))
    harness("resume", "--db", str(store), code=2)


def modules() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        yield path.relative_to(PACKAGE).as_posix(), ast.parse(path.read_text("utf-8"))


DOORS = {
    "cli/__init__.py": "the door itself",
    "observers/apprise_process.py": "known words, for the process that started it, by a pipe",
    "observers/nonblocking_writer.py": "progress lines, masked, made by vbsbatch.report",
    "cli/completion.py": "the program's own completion script",
    "cli/screen_launcher.py": "the program's own help",
    "simulator/server.py": "clouds.yaml of the simulated cloud, which is what it was asked for",
    "tui/app.py": "one line, cleaned and masked where it stands",
}
_PRINTS = {"print", "echo", "secho"}


def test_everything_is_printed_by_say_or_mention() -> None:
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


def test_every_question_is_cleaned_and_masked() -> None:
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
"""Quoted here, or made of quoted words: see `test_suggested_commands_can_be_pasted`."""
HEADINGS = ("report/as_table.py", "cli/__init__.py", "cli/browsing.py", "tui/app.py")
"""Files in which the name of the program precedes something that is no command."""


def test_every_suggested_command_is_quoted_where_it_is_written() -> None:
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
def test_suggested_commands_can_be_pasted(state: RunState, live: bool) -> None:
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
