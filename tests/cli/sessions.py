"""Sessions of commands that look, ask or refuse: none leaves this process."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import click

from tests.cli.harness import FAST, Harness
from tests.cli.transcript import ORDER, Player, Session, rows_of, schema_of
from vbsbatch.cli.app import app

MISSING = "11111111-2222-3333-4444-555555555555"

SESSIONS: dict[str, Player] = {}
"""Name of the golden file -> what is done."""


def session(player: Player) -> Player:
    """Have a function recorded under its own name."""
    SESSIONS[player.__name__.replace("_", "-")] = player
    return player


@session
def help(play: Session) -> None:
    play.exact = True
    for words in ((), *_commands(app)):
        play(*words, "--help")


def _commands(group: click.Group, *before: str) -> list[tuple[str, ...]]:
    """The words of every command there is, and of every command of those."""
    context = click.Context(group)
    found: list[tuple[str, ...]] = []
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        found.append((*before, name))
        if isinstance(command, click.Group):
            found += _commands(command, *before, name)
    return found


@session
def static(play: Session) -> None:
    play.exact = True
    play()
    play("--version")
    play("schema")
    for shell in ("bash", "zsh", "fish"):
        play("completion", shell)


@session
def usage_errors(play: Session) -> None:
    play.exact = True
    for line in (
        "nope",
        "statsu",
        "--nope",
        "run",
        "run plan.yaml --rate fast",
        "run plan.yaml --in-flight 0",
        "run plan.yaml --progress loud",
        "jobs --state broken",
        "jobs --json --csv",
        "report --format pdf",
        "rate latest",
        "attach --port 80",
        "plan nope",
        "completion tcsh",
        "check missing.yaml",
        "simulate --faults missing.yaml",
        "simulate --port 70000",
        "demo --volumes 0",
    ):
        play(*line.split())


@session
def no_store(play: Session) -> None:
    play.exact = True
    for line in (
        "runs",
        "runs --json",
        "status",
        "jobs latest",
        "report",
        "resume",
        "retry latest --all-failed",
        "attach",
        "verify",
        "restore latest",
        "prune latest",
        "pause latest",
        "unpause latest",
        "stop latest",
        "cancel latest",
        "rate latest 1/s",
        "in-flight latest 3",
        "take-over latest",
    ):
        play(*line.split())
    (play.harness.folder / "text.db").write_text("not a store\n" * 100)
    play("status", "--db", "text.db")
    play("--db", "text.db", "runs")


@session
def check_plans(play: Session) -> None:
    play.exact = True
    folder = play.harness.folder
    for name, text in {
        "problems.yaml": "name: x\nlimts: {rate: 5/s}\nretry: {attempts: 0}\n"
        "volumes:\n  - {id: 5}\n",
        "broken.yaml": "name: [x\n",
        "empty.yaml": "",
        "twice.yaml": f"volumes:\n  - id: {MISSING}\n  - id: {MISSING}\n",
        "waves.yaml": f"cloud: c\nwaves: [{{name: a}}, {{name: b}}]\nlimits: {{per_group: 1}}\n"
        f"window: {{from: '22:00', to: '06:00', timezone: UTC}}\nvolumes:\n"
        f"  - {{id: {MISSING}, wave: a, group: g}}\n  - {{id: {MISSING[:-1]}6, wave: c}}\n",
        "nolist.yaml": "volumes_from: nowhere.csv\n",
    }.items():
        (folder / name).write_text(text)
        play("check", name)
    play("run", "problems.yaml", "--yes")
    play("plan", "diff", "problems.yaml")
    play("check", "-", given=f"volumes:\n  - id: {MISSING}\n  - name: z\n")
    play("check", "-", given=f"name: x\nvolumes:\n  - id: {MISSING}\n")
    play("check", "waves.yaml", "--json")
    (folder / "list.csv").write_text(f"ID,Name\n{MISSING},one\nx,\n")
    play("check", "empty.yaml", "--volumes", "list.csv")
    (folder / "named.yaml").write_text("name: x\n")
    play("check", "named.yaml", "--volumes", "-", given=f"{MISSING}\n")


@session
def check_example_plans(play: Session) -> None:
    examples = Path(__file__).parents[2] / "plans"
    shutil.copytree(examples, play.harness.folder / "plans")
    for plan in sorted((play.harness.folder / "plans").glob("*.yaml")):
        play("check", f"plans/{plan.name}")


@session
def sign_in_refusals(play: Session) -> None:
    play.cloud(volumes=1)
    play.plan()
    kept = play.harness.clouds.read_text()
    for pattern, by in (
        (r"password: \S+", "password: wrong-secret"),
        (r"127\.0\.0\.1:\d+", "127.0.0.1:1"),
        (r"\bsimulator:", "other:"),
        (r"clouds:", "clouds: ["),
    ):
        play.harness.edit_clouds(pattern, by)
        play("run", "plan.yaml")
        play.harness.clouds.write_text(kept)
    play("check", "plan.yaml", "--online", "--cloud", "nope")
    play("check", "plan.yaml", "--online", "--cloud", "simulator-aksk")
    play("plan", "new")


@session
def preflight(play: Session) -> None:
    (volume,) = play.cloud(volumes=1).volumes()
    volumes = [{"id": MISSING, "name": "ghost"}, {"id": volume["ID"], "name": "other"}]
    play.plan(volumes=volumes, volumes_from=None)
    play("check", "plan.yaml", "--online")
    play("check", "plan.yaml", "--online", "--json")
    play("plan", "diff", "plan.yaml")
    play("plan", "diff", "plan.yaml", "--json")
    play("run", "plan.yaml")


def prepare_ended(folder: Path) -> Harness:
    """A run of which one volume failed at once and one in the cloud, and an older one of one."""
    play = Session(folder)
    play.plan()
    cloud = play.cloud(volumes=4)
    ids = [volume["ID"] for volume in cloud.volumes()]
    (folder / "one.txt").write_text(ids[3])
    play.harness("run", "plan.yaml", "--volumes", "one.txt")
    cloud.behave(
        f"{FAST}faults:\n"
        "  - {on: create, do: status, status: 400, code: VolumeBackup.0040,"
        f" message: '=1+1 [b] <script>', volumes: [{ids[0]}]}}\n"
        f"  - {{on: create, do: fail, code: VolumeBackup.0017, volumes: [{ids[1]}]}}\n"
    )
    play.harness("run", "plan.yaml", "--yes", code=1)
    return play.harness


def borrow(play: Session, harness: Harness) -> None:
    """Have the session work on a copy of the ended runs' store and files, and with their cloud."""
    for name in ("clouds.yaml", "fleet.json", "plan.yaml", "one.txt"):
        shutil.copy(harness.folder / name, play.harness.folder / name)
    shutil.copytree(harness.folder / "state", play.harness.folder / "state")


def _ended(lines: Sequence[str], play: Session) -> None:
    newest, oldest = (run["id"] for run in play.harness.runs())
    for line in lines:
        play(*(word.format(newest=newest, oldest=oldest) for word in line.split()))


def _reports(form: str) -> tuple[str, ...]:
    return (f"report --format {form}", f"report {{oldest}} --format {form} --all")


ENDED_SESSIONS: dict[str, Player] = {
    name: partial(_ended, lines)
    for name, lines in {
        "ended-runs": ("runs", "runs --json", "runs --progress plain", "runs --progress tui"),
        "ended-status": ("status", "status {oldest}", "status --json", "status 2", "status 1999"),
        "ended-jobs": (
            "jobs",
            "jobs {oldest} --json",
            "jobs --state fail|retry",
            "jobs --status 400 --csv",
            "jobs --code VolumeBackup.0017 --json",
            "jobs --code VolumeBackup.0018",
            "jobs --volume app01-root",
            "jobs --volume app01-rot",
            "jobs --state active",
            "jobs --json",
            "jobs --csv",
        ),
        "ended-report-table": ("report", "report {oldest} --all", "report {newest} --all"),
        "ended-report-json": _reports("json"),
        "ended-report-csv": _reports("csv"),
        "ended-report-md": (*_reports("md"), "report --format md --all"),
        "ended-report-html": (*_reports("html"), "report --format html --all"),
        "ended-report-junit": _reports("junit"),
        "ended-steering": (
            "pause latest",
            "unpause latest",
            "stop latest",
            "stop latest --now",
            "cancel latest",
            "cancel latest --volume nope",
            "rate latest 1/s",
            "in-flight latest 3",
            "take-over latest",
            "resume",
            "resume latest",
            "retry latest",
            "retry latest --status 599",
            "retry latest --code VolumeBackup.18",
            "retry latest --volume nope",
            "attach",
            "attach --progress json",
            "attach --progress quiet --read-only",
            "attach -v --progress plain",
        ),
        "ended-verify": ("verify", "verify --json", "verify 1999"),
        "ended-check-online": ("check plan.yaml --online", "check plan.yaml --online --json"),
        "ended-plan-diff": ("plan diff plan.yaml", "plan diff plan.yaml --volumes one.txt --json"),
        "ended-plan-new": (
            "plan new --cloud simulator",
            "plan new --cloud simulator --name app* --min-size 100 -o new.yaml",
            "plan new --cloud simulator -o new.yaml",
            "plan new --cloud simulator -o new.yaml --force --server app01 --max-size 100",
            "plan new --cloud simulator --status available --az sim-1a --type SAS",
            "plan new --cloud simulator --exclude *-root --exclude file01-*",
            "plan new --cloud simulator --metadata tier=1",
            "plan new --cloud simulator --name nope*",
        ),
        "ended-other-addresses": (
            "check plan.yaml --online --vbs-endpoint http://127.0.0.1:1",
            "verify --vbs-endpoint http://127.0.0.1:1",
            "plan diff plan.yaml --block-storage-endpoint http://127.0.0.1:1",
            "plan diff plan.yaml --cloud simulator-aksk",
            "run plan.yaml --vbs-endpoint http://127.0.0.1:1",
            "run plan.yaml --service cinder",
        ),
        "ended-restore": (
            "restore latest",
            "restore latest --volume file01-root",
            "restore latest --volume nope --volume nor",
            "restore latest --to nope=x --yes",
        ),
        "ended-prune": (
            "prune latest",
            "prune {oldest} --errored",
            "prune latest --volume nope",
            "prune latest --delete",
        ),
    }.items()
}


def ended_session(player: Player) -> Player:
    """Have a function recorded that looks at the ended runs."""
    ENDED_SESSIONS[player.__name__.replace("_", "-")] = player
    return player


@ended_session
def ended_report_output(play: Session) -> None:
    play("report", "--format", "md", "--output", "night.md")
    play("report", "--format", "md", "--output", "night.md")
    play("report", "--format", "md", "--output", "nowhere/night.md")
    play.file("night.md")


@ended_session
def ended_store_schema(play: Session) -> None:
    play.exact = True
    play.note("schema", schema_of(play.harness.store))


@ended_session
def ended_store_rows(play: Session) -> None:
    play.note("rows", rows_of(play.harness.store, *ORDER))
