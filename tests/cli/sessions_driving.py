"""Sessions of commands that drive runs, and steer them: the runs are processes of their own.

Left out, because no two times are alike or because it needs a terminal:
- progress lines, with their rate and ETA: they come after seconds, and are left out of all outputs;
- `demo`: many volumes at once, with faults among them (`test_front_door.py` runs it);
- `attach` to a run that goes on: what it tells begins at the moment at which it looks first;
- a volume that waits for another run until `later_for` is over: how often it is tried until then
  depends on the machine; here the other run's backups have ended before;
- two volumes whose creates fail at once: which of them is tried again first is drawn at random, so
  a refused create and a lost answer are sessions of one volume each;
- the screen, `attach --web`, and questions that a person is asked: see `tests/tui`,
  `tests/screen` and `test_asking.py`.
"""

from __future__ import annotations

import signal

from tests.cli.clouds import GlassCloud
from tests.cli.harness import FAST, until
from tests.cli.transcript import Player, Session, rows_of

SESSIONS: dict[str, Player] = {}
MISSING = "11111111-2222-3333-4444-555555555555"

ENDLESS = "backups: {duration: 100h, visible_after: 20ms}\n"
"""A cloud in which nothing ends, and nothing gets to its first ten percent."""

REFUSED = "do: status, status: 400, code: VolumeBackup.0040, message: 'no good'"


def session(player: Player) -> Player:
    """Have a function recorded under its own name."""
    SESSIONS[player.__name__.replace("_", "-")] = player
    return player


def failing(cloud: GlassCloud, fault: str) -> None:
    """Let the create for the first volume fail like this."""
    volume = cloud.volumes()[0]["ID"]
    cloud.behave(f"{FAST}faults:\n  - {{on: create, {fault}, volumes: [{volume}]}}\n")


def end_backups(cloud: GlassCloud) -> None:
    """Have every backup end well that the cloud is making."""
    now = cloud.world.clock.now()
    project = cloud.world.project
    for backup in project.backups.values():
        backup.ends_at = min(backup.ends_at, now)
    for job in project.jobs.values():
        job.ends_at = min(job.ends_at, now)


@session
def run_plain_then_retry(play: Session) -> None:
    cloud = play.cloud(volumes=2)
    play.plan()
    failing(cloud, REFUSED)
    play.process("run", "plan.yaml", "--progress", "plain")
    cloud.behave(FAST)
    play.process("retry", "latest", "--code", "VolumeBackup.0040", "--progress", "plain", "-v")
    play("retry", "latest", "--all-failed")
    play("status")
    play("attach", "--progress", "plain")
    play("verify")
    # One backup goes, and another comes, that the run knows nothing of.
    project = cloud.project()
    newest, oldest = project.backups()
    project.delete(oldest["id"])
    project.create(newest["volume_id"], newest["name"])
    until(lambda: [made["status"] for made in project.backups()] == ["available"] * 2)
    play("verify")
    play("verify", "--json")


@session
def run_with_a_retry(play: Session) -> None:
    cloud = play.cloud(volumes=1)
    play.plan(retry={"attempts": 3})
    failing(cloud, "do: status, status: 503, first: 1")
    play.process("run", "plan.yaml", "-v", "--no-preflight")
    play("jobs", "--json")
    play("status")


@session
def run_with_a_lost_answer(play: Session) -> None:
    cloud = play.cloud(volumes=1)
    play.plan(retry={"attempts": 3})
    failing(cloud, "do: drop_after, first: 1")
    play.process("run", "plan.yaml", "-v", "--no-preflight")
    play("jobs", "--json")
    play("verify")


@session
def run_json(play: Session) -> None:
    cloud = play.cloud(volumes=2)
    play.plan()
    failing(cloud, REFUSED)
    play.process("run", "plan.yaml", "--progress", "json", "--yes")


@session
def run_quiet_then_as_a_lost_run(play: Session) -> None:
    play.cloud(volumes=1)
    play.plan()
    play.process("run", "plan.yaml", "--progress", "quiet", "-v", "--rate", "100/min")
    run = play.harness.run_id()
    play("run", "plan.yaml", "--as", run)
    play.process("run", "plan.yaml", "--as", run, "--db", "new.db", "-v")
    play("status", "--db", "new.db")


@session
def run_on_cinder(play: Session) -> None:
    play.cloud(volumes=2, faults=f"services: cinder\n{FAST}")
    play.plan()
    play("check", "plan.yaml", "--online")
    play.process("run", "plan.yaml", "-v", "--yes")
    play("report", "--all")
    play("verify")


@session
def run_without_what_would_fail(play: Session) -> None:
    (volume,) = play.cloud(volumes=1).volumes()
    volumes = [{"id": MISSING, "name": "ghost"}, {"id": volume["ID"], "name": "other"}]
    play.plan(volumes=volumes, volumes_from=None)
    play.process("run", "plan.yaml", "--on-preflight", "skip")
    play("report", "--all")


@session
def waves(play: Session) -> None:
    cloud = play.cloud(volumes=2)
    ids = [volume["ID"] for volume in cloud.volumes()]
    play.plan(
        waves=[{"name": "canary"}, {"name": "rest"}],
        volumes=[{"id": MISSING, "name": "ghost", "wave": "canary"}, *({"id": n} for n in ids)],
        volumes_from=None,
    )
    words = ("run", "plan.yaml", "--no-preflight")
    engine = play.begin(*words)
    until(lambda: any(run["state"] == "paused" for run in play.harness.runs()))
    play.until_created(1)
    play("status")
    play("status", "--json")
    play("unpause", "latest")
    play.end(engine, *words)
    play("status")


@session
def steering_a_live_run(play: Session) -> None:
    cloud = play.cloud(volumes=6, faults=ENDLESS)
    play.plan(limits={"in_flight": 2})
    words = ("run", "plan.yaml", "--no-preflight", "-v")
    engine = play.begin(*words)
    play.until_running(2)
    play.until_created(2)
    for line in ("status", "jobs", "runs", "resume", "run plan.yaml --no-preflight --as nonsense"):
        play(*line.split())
    last = cloud.volumes()[-1]["ID"]
    for line in ("pause latest", "status", "status --json", "rate latest 100/s", "unpause latest"):
        play(*line.split())
    play("in-flight", "latest", "3")
    play.until_running(3)
    for line in (
        f"cancel latest --volume {last}",
        "cancel latest --volume nope",
        "retry latest --all-failed",
        "retry latest --all-failed --rate 1/s",
        "take-over latest",
        "cancel latest",
        "stop latest",
    ):
        play(*line.split())
    play.end(engine, *words)
    play("status")
    play("status", "--json")
    play("jobs")
    play.note("commands", rows_of(play.harness.store, "commands"))


@session
def a_stopped_run_and_its_volumes(play: Session) -> None:
    cloud = play.cloud(volumes=2, faults=ENDLESS)
    play.plan(limits={"in_flight": 2})
    words = ("run", "plan.yaml", "--no-preflight")
    engine = play.begin(*words)
    play.until_running(2)
    engine.send_signal(signal.SIGINT)
    play.end(engine, *words)
    first = play.harness.run_id()
    for line in (
        "runs",
        "pause latest",
        "stop latest",
        "rate latest 100/s",
        "in-flight latest 1",
        "cancel latest",
        "take-over latest",
    ):
        play(*line.split())
    end_backups(cloud)
    cloud.behave(FAST)
    play.process("run", "plan.yaml", "--no-preflight", "--in-flight", "1", "--take-over")
    for line in ("runs", f"status {first}", f"jobs {first}"):
        play(*line.split())


@session
def stop_and_resume(play: Session) -> None:
    cloud = play.cloud(volumes=2, faults=ENDLESS)
    play.plan()
    words = ("run", "plan.yaml", "--no-preflight")
    engine = play.begin(*words)
    play.until_running(1)
    play("stop", "latest")
    play.end(engine, *words)
    end_backups(cloud)
    cloud.behave(FAST)
    play.process("resume", "-v", "--rate", "100/min", "--in-flight", "1")
    play("status")


@session
def restore_and_prune(play: Session) -> None:
    cloud = play.cloud(volumes=2)
    play.plan()
    play.harness("run", "plan.yaml", "--progress", "quiet")
    source = play.harness.run_id()
    play("restore", source, "--yes")
    cloud.detach()
    play("restore", source)
    play.process("restore", source, "--yes", "-v")
    for line in ("status", "report --format json", "verify", "verify --json", "prune latest"):
        play(*line.split())
    play.process("prune", source, "--even-last", "--delete", "--yes", "--progress", "json")
    for line in ("status", "report --format md", "verify", f"verify {source}", "runs"):
        play(*line.split())
    play("verify", source, "--json")
    play("prune", source)


@session
def simulate(play: Session) -> None:
    words = ("simulate", "--volumes", "3", "--clouds-file", "made.yaml", "--access-key")
    cloud = play.begin(*words)
    assert cloud.stdout is not None
    lines = [cloud.stdout.readline()]
    while lines[-1] and lines.count(b"    region_name: sim-1\n") < 2:
        lines.append(cloud.stdout.readline())
    cloud.send_signal(signal.SIGTERM)
    play.end(cloud, *words, before=b"".join(lines))
    play.file("made.yaml")
