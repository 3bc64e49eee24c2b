"""What README and docs say exists: commands, options, files, links, dependencies, arrows."""

from __future__ import annotations

import ast
import re
import shlex
import tomllib
from functools import cache
from itertools import chain
from pathlib import Path

import pytest
from click import Context, Group
from click.testing import CliRunner

from vbsbatch.cli.app import COMMANDS, app

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
INSTALL = ROOT / "docs" / "install.md"
ARCHITECTURE = ROOT / "docs" / "architecture.md"
DECISIONS = ROOT / "docs" / "decisions"
DOCUMENTS = [
    README,
    ROOT / "CHANGELOG.md",
    ROOT / "SECURITY.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").glob("*.md")),
    DECISIONS / "README.md",
]
RECORDS = sorted(DECISIONS.glob("[0-9]*.md"))

every_document = pytest.mark.parametrize(
    "document", [*DOCUMENTS, *RECORDS], ids=lambda path: str(path.relative_to(ROOT))
)


def _code(text: str) -> list[str]:
    """Lines of fenced blocks but those of JSON, and inline code."""
    blocks = re.findall(r"^ *```(.*?)\n(.*?)^ *```", text, re.M | re.S)
    fences = [block for kind, block in blocks if not kind.startswith("json")]
    rest = re.sub(r"^ *```.*?^ *```", "", text, flags=re.M | re.S)
    joined = (re.sub(r"\\\n\s*", "", fence).splitlines() for fence in fences)
    return [*chain.from_iterable(joined), *re.findall(r"`([^`]+)`", rest)]


def _commands(text: str) -> list[tuple[str, str]]:
    """Every `vbsbatch COMMAND words ...` as (command, words)."""
    found = []
    for line in _code(text):
        for words in re.split(r"(?:^|[\s/\"(])vbsbatch +(?=[-\w])", line)[1:]:
            command, *rest = re.split(r"\s(?:[#|>&;]|2>)", words)[0].split()
            found.append((command.strip("`\"',;"), " ".join(rest)))
    return found


@cache
def _help(command: str, verb: str = "") -> str:
    words = [word for word in (command, verb) if word]
    shown = CliRunner().invoke(app, [*words, "--help"])
    assert shown.exit_code == 0
    return shown.output


def _options(text: str) -> list[str]:
    return re.findall(r"(?<![\w-])--[a-z][a-z-]*", text)


def _documented_commands(text: str) -> list[tuple[str, str]]:
    """Those of a person's hand: an output that names a run says `vbsbatch run <id>` too."""
    return [pair for pair in _commands(text) if not re.match(r"\d{8}-", pair[1])]


@every_document
def test_every_command_and_option_that_is_printed_exists(document: Path) -> None:
    for command, words in _documented_commands(document.read_text("utf-8")):
        if command.startswith("-"):
            assert command in _help("")
            continue
        assert command in COMMANDS, f"vbsbatch {command} {words}"
        verb = (
            words.split(" ")[0] if isinstance(app.get_command(Context(app), command), Group) else ""
        )
        for option in _options(words):
            assert re.search(rf"{option}\b", _help(command, verb)), f"vbsbatch {command} {words}"


def test_the_check_of_commands_finds_what_is_there() -> None:
    text = "```sh\nvbsbatch rnu a.yaml --rat 5/s | cat --foo\n```\nand `.venv/bin/vbsbatch jobs -v`"
    assert _commands(text) == [("rnu", "a.yaml --rat 5/s"), ("jobs", "-v")]


def test_every_command_is_told_of_somewhere() -> None:
    told = {command for path in DOCUMENTS for command, _ in _commands(path.read_text("utf-8"))}
    listed = " ".join(path.read_text("utf-8") for path in DOCUMENTS)
    assert all(command in told or f"`{command}`" in listed for command in COMMANDS)


@every_document
def test_every_file_that_is_named_exists(document: Path) -> None:
    for word in _code(document.read_text("utf-8")):
        if re.fullmatch(r"(vbsbatch|tests|docs|plans|benchmarks)/[\w./-]*", word) and not (
            word.endswith(".db")
        ):
            assert (ROOT / word).exists(), word


def _anchors(path: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", path.read_text("utf-8"), re.M)
    return {
        re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-") for heading in headings
    }


@every_document
def test_every_link_leads_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", document.read_text("utf-8")):
        if target.startswith("https://"):
            continue
        name, _, anchor = target.partition("#")
        path = (document.parent / name) if name else document
        assert path.exists(), target
        assert not anchor or anchor in _anchors(path), target


def test_every_document_is_linked_from_the_readme() -> None:
    text = README.read_text("utf-8")
    for document in DOCUMENTS[1:]:
        assert f"]({document.relative_to(ROOT)})" in text


def test_every_decision_is_listed_and_numbered_in_order() -> None:
    listed = re.findall(r"^(\d+)\. \[(.+)\]\((.+)\)$", (DECISIONS / "README.md").read_text(), re.M)
    assert [name for _, _, name in listed] == [record.name for record in RECORDS]
    for place, (number, title, name) in enumerate(listed, 1):
        assert int(number) == int(name.partition("-")[0]) == place
        assert (DECISIONS / name).read_text("utf-8").startswith(f"# {number}. {title}\n")


def test_every_decision_has_context_decision_and_consequences_on_one_page() -> None:
    for record in RECORDS:
        text = record.read_text("utf-8")
        assert re.findall(r"^## (.+)$", text, re.M) == ["Context", "Decision", "Consequences"]
        assert len(text.splitlines()) <= 60


def test_every_dependency_has_its_row_and_no_other_has() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    wanted = chain(project["dependencies"], *project["optional-dependencies"].values())
    names = {re.split(r"[\[><=~!; ]", requirement)[0] for requirement in wanted} - {"vbsbatch"}
    table = INSTALL.read_text("utf-8").partition("## Dependencies\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| ([\w, -]+?)(?: \(\w+\))? \| \S", table, re.M)
    listed = set(chain.from_iterable(row.split(", ") for row in rows)) - {"package"}
    assert listed == names


def test_every_make_target_that_is_named_exists() -> None:
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text("utf-8"), re.M))
    for document in [*DOCUMENTS, *RECORDS]:
        named = [re.match(r"make (\w+)", line) for line in _code(document.read_text("utf-8"))]
        assert {found.group(1) for found in named if found} <= targets


def _imports(room: str) -> set[str]:
    """The other rooms that the modules of a room import."""
    found = set()
    for path in (ROOT / room).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            found |= {name.split(".")[1] for name in names if name.startswith("vbsbatch.")}
    return found - {room.rpartition("/")[2]}


def test_the_arrows_between_the_rooms_are_those_of_the_code() -> None:
    rows = re.findall(
        r"^\| `(vbsbatch/\w+)` \| .* \| (.+?) \|$", ARCHITECTURE.read_text("utf-8"), re.M
    )
    rooms = {room: set(re.findall(r"`(\w+)`", arrows)) for room, arrows in rows}
    assert len(rooms) >= 8
    for room, arrows in rooms.items():
        assert room == "vbsbatch/cli" or _imports(room) == arrows, room


def test_the_job_states_and_promises_are_told_in_full() -> None:
    from vbsbatch.model import JobState, Verdict

    text = ARCHITECTURE.read_text("utf-8")
    assert all(state.value in text for state in JobState)
    assert all(verdict.value in text for verdict in Verdict)
    assert len(re.findall(r"^\d\. \*\*", text, re.M)) >= 7


def test_no_machine_and_no_registry_is_named() -> None:
    for document in [*DOCUMENTS, *RECORDS]:
        text = document.read_text("utf-8")
        assert not re.search(r"/root/|/home/\w|pypi\.|index-url", text), document


def _installed(text: str) -> list[str]:
    """What each `pip install` of a text installs, without its options."""
    found = []
    for line in re.findall(r"pip install ([^`\n\")]+)", text):
        words = shlex.split(line, comments=True)
        for before, word in zip(["", *words], words, strict=False):
            if before == "-r":
                assert (ROOT / word).exists(), word
            elif not word.startswith("-"):
                found.append(word)
    return found


def test_only_names_that_exist_are_to_be_installed() -> None:
    """A name that nobody has taken on a registry may be taken by anybody: ours is not there."""
    lock = (ROOT / "requirements-dev.lock").read_text("utf-8")
    known = set(re.findall(r"^([A-Za-z0-9._-]+)==", lock, re.M))
    sources = [*DOCUMENTS, *(ROOT / "vbsbatch").rglob("*.py")]
    wanted = [name for path in sources for name in _installed(path.read_text("utf-8"))]
    assert {"textual-serve", ".", ".[web]"} <= set(wanted)
    for name in wanted:
        assert name.partition("[")[0] in known | {"."}, name


def _pinned(name: str) -> dict[str, str]:
    """What a lock file pins."""
    lock = (ROOT / name).read_text("utf-8")
    return dict(re.findall(r"^([A-Za-z0-9._-]+)==(\S+)", lock, re.M))


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-dev.lock"])
def test_a_lock_names_no_registry_and_fits_the_bounds(name: str) -> None:
    assert "://" not in (ROOT / name).read_text("utf-8")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    pinned = _pinned(name)
    bounded = [each for each in project["dependencies"] if "<" in each]
    assert len(bounded) >= 10
    for requirement in bounded:
        package, _, bound = requirement.partition(">=")
        assert int(pinned[package].split(".")[0]) < int(bound.rpartition("<")[2]), requirement


def test_the_lock_of_the_demo_is_a_part_of_the_lock_of_development() -> None:
    demo, all_of_it = _pinned("requirements.lock"), _pinned("requirements-dev.lock")
    assert demo.items() < all_of_it.items()
    assert not {"pytest", "mypy", "ruff"} & demo.keys()
