"""Sessions of commands that look, ask or refuse."""

from __future__ import annotations

import shutil
import tempfile
from functools import cache, partial
from pathlib import Path
from typing import Any

import click

from tests.cli.stage import FAST, Stage
from tests.cli.transcript import Player, Session, rows_of, schema_of
from vbsbatch.cli.app import app

MISSING = "11111111-2222-3333-4444-555555555555"

SESSIONS: dict[str, Player] = {}
"""Name of the golden file -> what is done."""


def session(player: Player) -> Player:
    """Have a function recorded under its own name."""
    SESSIONS[player.__name__.replace("_", "-").strip("-")] = player
    return player


def _help(words: tuple[str, ...], play: Session) -> None:
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


SESSIONS |= {"-".join(("help", *words)): partial(_help, words) for words in ((), *_commands(app))}


@session
def static(play: Session) -> None:
    play()
    play("--version")
    play("schema")
    for shell in ("bash", "zsh", "fish"):
        play("completion", shell)


@session
def usage_errors(play: Session) -> None:
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
        "cancel latest",
        "rate latest 1/s",
        "take-over latest",
    ):
        play(*line.split())
    (play.stage.folder / "text.db").write_text("not a store\n" * 100)
    play("status", "--db", "text.db")
    play("--db", "text.db", "runs")


@session
def check_plans(play: Session) -> None:
    folder = play.stage.folder
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
    play("check", "waves.yaml", "--json")
    (folder / "list.csv").write_text(f"ID,Name\n{MISSING},one\nx,\n")
    play("check", "empty.yaml", "--volumes", "list.csv")
    play("check", "empty.yaml", "--volumes", "-", given=f"{MISSING}\n")


@session
def check_example_plans(play: Session) -> None:
    shutil.copytree(Path(__file__).parents[2] / "plans", play.stage.folder / "plans")
    for plan in sorted((play.stage.folder / "plans").glob("*.yaml")):
        play("check", f"plans/{plan.name}")


@session
def sign_in_refusals(play: Session) -> None:
    play.cloud(volumes=1)
    play.plan()
    kept = play.stage.clouds.read_text()
    for pattern, by in (
        (r"password: \S+", "password: wrong-secret"),
        (r"127\.0\.0\.1:\d+", "127.0.0.1:1"),
        (r"\bsimulator:", "other:"),
        (r"clouds:", "clouds: ["),
    ):
        play.stage.edit_clouds(pattern, by)
        play("run", "plan.yaml")
        play.stage.clouds.write_text(kept)
    play("check", "plan.yaml", "--online", "--cloud", "nope")
    play("plan", "new")


@cache
def ended() -> Stage:
    """A run of which one volume failed at once and one in the cloud, and an older one of one."""
    folder = Path(tempfile.mkdtemp(prefix="golden-"))
    play = Session(folder)
    play.plan()
    cloud = play.cloud(volumes=4)
    ids = [volume["ID"] for volume in cloud.volumes()]
    (folder / "one.txt").write_text(ids[3])
    play.stage("run", "plan.yaml", "--volumes", "one.txt")
    cloud.behave(
        f"{FAST}faults:\n"
        "  - {on: create, do: status, status: 400, code: VolumeBackup.0040,"
        f" message: '=1+1 [b] <script>', volumes: [{ids[0]}]}}\n"
        f"  - {{on: create, do: fail, code: VolumeBackup.0017, volumes: [{ids[1]}]}}\n"
    )
    play.stage("run", "plan.yaml", "--yes", code=1)
    return play.stage


def close_ended() -> None:
    """End the cloud of the ended runs, if any session wanted them, and drop their files."""
    if ended.cache_info().currsize:
        ended().close()
        shutil.rmtree(ended().folder)
        ended.cache_clear()


def borrowed(play: Session) -> Stage:
    """Have the session work where the ended runs are, on a copy of their store and files."""
    stage = ended()
    folder = play.stage.folder
    for name in ("clouds.yaml", "fleet.json", "plan.yaml", "one.txt"):
        shutil.copy(stage.folder / name, folder / name)
    shutil.copytree(stage.folder / "state", folder / "state")
    return stage


def _ended(lines: tuple[str, ...], play: Session, **how: Any) -> None:
    stage = borrowed(play)
    newest, oldest = (run["id"] for run in stage.runs())
    for line in lines:
        play(*(word.format(newest=newest, oldest=oldest) for word in line.split()), **how)


SESSIONS |= {
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
        ),
        "ended-jobs-json": ("jobs --json",),
        "ended-jobs-csv": ("jobs --csv",),
        "ended-report-table": ("report", "report {oldest} --all", "report {newest} --all"),
        "ended-report-json": ("report --format json", "report --format json --all"),
        "ended-report-csv": ("report --format csv", "report --format csv --all"),
        "ended-report-md": ("report --format md", "report --format md --all"),
        "ended-report-html": ("report --format html", "report --format html --all"),
        "ended-report-junit": ("report --format junit", "report --format junit --all"),
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
        ),
        "ended-verify": ("verify", "verify --json", "verify 1999"),
        "ended-check-online": ("check plan.yaml --online", "check plan.yaml --online --json"),
        "ended-plan-diff": ("plan diff plan.yaml", "plan diff plan.yaml --volumes one.txt --json"),
        "ended-plan-new": (
            "plan new --cloud simulator",
            "plan new --cloud simulator --name app* --min-size 100 -o new.yaml",
            "plan new --cloud simulator -o new.yaml",
            "plan new --cloud simulator --name nope*",
        ),
        "ended-restore-refused": (
            "restore latest --yes",
            "restore latest --volume nope --volume nor",
            "restore latest --to nope=x --yes",
        ),
    }.items()
}
SESSIONS["ended-prune"] = partial(
    _ended, ("prune latest", "prune {oldest} --errored", "prune latest --delete"), sort=True
)


@session
def ended_report_output(play: Session) -> None:
    borrowed(play)
    play("report", "--format", "md", "--output", "night.md")
    play("report", "--format", "md", "--output", "night.md")
    play("report", "--format", "md", "--output", "nowhere/night.md")
    play.file("night.md")


@session
def ended_store(play: Session) -> None:
    borrowed(play)
    play.note("schema", schema_of(play.stage.store))
    tables = ("runs", "jobs", "attempts", "events", "commands")
    play.note("rows", rows_of(play.stage.store, *tables))
    views = ("job_list", "failures", "progress", "attempt_list")
    play.note("views", rows_of(play.stage.store, *views))
