"""The commands of README and docs: all of them are complete, and those of a first run work."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from tests.cli.harness import FAST, Harness
from tests.docs.test_docs import DOCUMENTS, ROOT, every_document
from vbsbatch.cli.app import app

QUICK = "retry: {attempts: 2, base: 20ms, settle: 300ms}\nlimits: {rate: 100/s, in_flight: 50}"
"""What a plan says here in place of its limits, so that nobody waits."""


def blocks(path: Path, kind: str = "sh") -> list[str]:
    """The fenced blocks of this kind, without the indentation of a list."""
    found = re.findall(rf"^( *)```{kind}\n(.*?)^ *```", path.read_text("utf-8"), re.M | re.S)
    return [re.sub(rf"^{indent}", "", text, flags=re.M) for indent, text in found]


def commands(text: str) -> Iterator[str]:
    """The lines of a block that call vbsbatch."""
    for line in re.sub(r"\\\n\s*", "", text).splitlines():
        if line.startswith("vbsbatch "):
            yield line


def parse(line: str) -> None:
    """Parse a command line as click does, without carrying it out."""
    words = shlex.split(re.split(r"\s[|>]\s", line)[0], comments=True)[1:]
    command: click.Command = app
    context = click.Context(app, **app.context_settings)
    while isinstance(command, click.Group) and words:
        found = command.get_command(context, words[0])
        assert found is not None, line
        command, name = found, words.pop(0)
    command.make_context(name, words, parent=context)


@every_document
def test_every_command_of_a_block_is_complete(document: Path) -> None:
    for text in blocks(document):
        for line in commands(text):
            parse(line)


def test_the_check_finds_what_is_wrong() -> None:
    for line in ("vbsbatch retry", "vbsbatch run a b", "vbsbatch rate latest fast"):
        with pytest.raises(click.UsageError):
            parse(line)
    assert any(list(commands(text)) for path in DOCUMENTS for text in blocks(path))


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[Harness]:
    """A cloud `otc` of three volumes, of which one is refused at first."""
    made = Harness(tmp_path)
    cloud = made.cloud(volumes=3)
    first = cloud.volumes()[0]["ID"]
    refused = f"{{on: create, do: status, status: 400, code: VolumeBackup.0040, volumes: [{first}]"
    cloud.behave(FAST + f"faults: [{refused}, first: 1}}]")
    made.edit_clouds(r"\bsimulator:", "otc:")
    yield made
    made.close()


def type_in(harness: Harness, line: str, code: int = 0) -> str:
    done = harness.finish(harness.shell(line), code)
    for plan in harness.folder.glob("nightly.yaml"):
        plan.write_text(re.sub(r"^limits: {rate: 5/s.*$", QUICK, plan.read_text(), flags=re.M))
    return done.stdout


def test_the_first_real_run_of_the_readme_works_as_it_stands(harness: Harness) -> None:
    text = (ROOT / "README.md").read_text("utf-8").partition("## The first real run")[2]
    path = harness.folder / "first.md"
    path.write_text(text)
    lines = [line for block in blocks(path) for line in commands(block)]
    failed = {"vbsbatch run nightly.yaml": 1, "vbsbatch attach": 1}
    said = {line: type_in(harness, line, failed.get(line, 0)) for line in lines}
    assert failed.keys() < said.keys()
    assert "VolumeBackup.0040" in said["vbsbatch jobs latest --state failed"]
    assert "the cloud has what the store says" in said["vbsbatch verify latest"]
    assert "3 of 3" in (harness.folder / "nightly.html").read_text("utf-8")


def test_the_three_ways_to_name_volumes_lead_to_the_same_plan(harness: Harness) -> None:
    cloud = harness.cloud(volumes=3)
    harness.edit_clouds(r"\bsimulator:", "otc:")
    ids = [volume["ID"] for volume in cloud.volumes()]
    (harness.folder / "fleet.csv").write_text("ID,Name\n" + "".join(f"{one},x\n" for one in ids))
    (harness.folder / "ids.txt").write_text("\n".join(ids))
    for way in (
        "vbsbatch plan new --cloud otc -o nightly.yaml; vbsbatch check nightly.yaml",
        "vbsbatch plan example from-list > list.yaml; vbsbatch check list.yaml",
        "vbsbatch plan example minimal > ids.yaml; vbsbatch check ids.yaml --volumes ids.txt",
    ):
        assert "fine: 3 volumes" in type_in(harness, way)


def test_the_commands_of_operations_work_on_a_run_of_ones_own(harness: Harness) -> None:
    harness.cloud(volumes=3).behave(FAST)
    harness.edit_clouds(r"\bsimulator:", "otc:")
    lines = [line for block in blocks(ROOT / "docs" / "operations.md") for line in commands(block)]
    first = lines.index("vbsbatch verify latest")
    plan_new, check, pilot = lines[:first]
    assert "pilot.yaml" in pilot
    type_in(harness, plan_new)
    type_in(harness, check)
    (harness.folder / "pilot.yaml").write_text((harness.folder / "nightly.yaml").read_text())
    type_in(harness, pilot)
    assert "the cloud has what the store says" in type_in(harness, lines[first])

    run_id, ours = harness.run_id(), harness.jobs()[0]["name"]
    (harness.folder / "vbsbatch-copy.db").write_bytes(harness.store.read_bytes())
    for line in lines[first + 1 :]:
        line = re.sub(r"20261123-0715", run_id, line).replace("db01-log", ours)
        if "--to" in line or "take-over" in line:
            continue  # another volume, and another run, which are not here
        line = line.replace("db01-data", ours)
        if "restore" in line:  # the volumes are in use, of which the document warns
            done = harness.finish(harness.shell(f"{line} --yes"), 2)
            assert "detach it first" in done.stderr
        else:
            type_in(harness, f"{line} --yes" if "--delete" in line else line)
    assert not any(job["state"] == "failed" for job in harness.jobs())


def test_the_completion_scripts_are_written_as_the_docs_say(harness: Harness) -> None:
    for line in commands(blocks(ROOT / "docs" / "install.md")[0]):
        folder = Path(line.rpartition("> ")[2].replace("~", str(harness.folder / "home"))).parent
        folder.mkdir(parents=True)
        type_in(harness, line)
        assert any(folder.iterdir())


def test_every_message_of_troubleshooting_is_one_of_ours() -> None:
    """Each part between `…` stands in the source, whose strings may be broken over lines."""
    source = "".join(path.read_text("utf-8") for path in (ROOT / "vbsbatch").rglob("*.py"))
    joined = re.sub(r'"\s*\n\s*f?"', "", source)
    text = (ROOT / "docs" / "troubleshooting.md").read_text("utf-8").partition("## A run that")[0]
    messages = re.findall(r"^\| `([^`]+)` \|", text, re.M)
    assert len(messages) > 20
    for part in (part for message in messages for part in message.split("…")):
        assert part.strip(" :") in joined, part
