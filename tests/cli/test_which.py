"""Every command shows its cloud, and misspelt names get the nearest existing ones."""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import httpx
import pytest
import yaml

from tests.cli.clouds import GlassCloud
from tests.cli.harness import Harness, told

PLACE = (
    r"cloud simulator, region sim-1, project simulator \([0-9a-f]{32}\), http://127\.0\.0\.1:\d+"
)


def test_every_command_prints_its_cloud(harness: Harness) -> None:
    cloud = harness.cloud(volumes=2)
    done = harness("plan", "new", "--cloud", "simulator", "-o", "new.yaml")
    assert re.search(rf"^in {PLACE}$", done.stderr, re.M)
    assert re.search(rf"^# In {PLACE}$", (harness.folder / "new.yaml").read_text(), re.M)
    assert re.search(rf"^in {PLACE}$", harness("plan", "diff", "plan.yaml").stderr, re.M)
    assert re.search(PLACE, harness("check", "plan.yaml", "--online").stdout)
    assert re.search(rf"^in {PLACE}$", harness("run", "plan.yaml").stderr, re.M)
    assert re.search(rf"^in {PLACE}$", harness("verify").stderr, re.M)
    assert re.search(rf"^in {PLACE}$", harness("prune", "latest").stderr, re.M)
    assert "region     sim-1" in harness.look("status")
    run = harness.json("status")["run"]
    assert (run["region"], run["project_name"]) == ("sim-1", "simulator")
    assert run["project_id"] == cloud.world.project.id


def test_a_run_cannot_be_resumed_in_another_region(harness: Harness) -> None:
    """The regions of a cloud share their projects: nothing of it would be found there."""
    cloud = harness.cloud(volumes=2)
    harness("run", "plan.yaml")
    with closing(sqlite3.connect(harness.store)) as db:
        db.execute("UPDATE runs SET region = 'sim-2', state = 'stopped'")
        db.execute("UPDATE jobs SET state = 0")
        db.commit()
    line = harness.refused("resume")
    assert "belongs to region sim-2, but this sign-in is for sim-1" in line
    assert "OS_REGION_NAME=sim-2" in line
    assert cloud.summary()["creates"] == 2


def test_an_unknown_region_sends_nothing(harness: Harness) -> None:
    harness.cloud(volumes=1)
    harness.edit_clouds(r"region_name: *\S+", "region_name: sim-l")
    line = harness.refused("run", "plan.yaml")
    assert "nothing in region 'sim-l', only in sim-1; did you mean 'sim-1'?" in line


def test_a_sign_in_that_cannot_be_renewed_is_shown_at_the_start_with_its_expiry(
    harness: Harness,
) -> None:
    harness.cloud(volumes=1)
    token, signs = a_token(harness)
    project = {"project_name": signs["project_name"], "project_domain_name": "Default"}
    auth = {"auth_url": signs["auth_url"], "token": token, **project}
    entry = {"auth_type": "v3token", "region_name": "sim-1", "auth": auth}
    harness.clouds.write_text(json.dumps({"clouds": {"simulator": entry}}))
    known = r"signed in with a plain token, which cannot be renewed: a run stops at \S+ \S+Z, \S+"
    assert re.search(known, harness("run", "plan.yaml").stderr)
    checked = harness.ask("check", str(harness.plan), "--online")
    assert re.search(rf"warning  credentials  {known}", checked)


def a_token(harness: Harness) -> tuple[str, dict[str, str]]:
    """A token of the harness's cloud, and what its entry signs in with."""
    auth = yaml.safe_load(harness.clouds.read_text())["clouds"]["simulator"]["auth"]
    domain = {"name": auth["user_domain_name"]}
    user = {"name": auth["username"], "password": auth["password"], "domain": domain}
    project = {"name": auth["project_name"], "domain": domain}
    identity = {"methods": ["password"], "password": {"user": user}}
    request = {"auth": {"identity": identity, "scope": {"project": project}}}
    answer = httpx.post(f"{auth['auth_url']}/auth/tokens", json=request, trust_env=False)
    return answer.headers["x-subject-token"], auth


# People


def test_states_are_written_as_on_the_screen(ended: tuple[Harness, GlassCloud]) -> None:
    harness, _ = ended
    failed = harness.jobs("--state", "failed")
    assert len(failed) == 2
    assert harness.jobs("--state", "fail") == failed
    assert harness.jobs("--state", "fail|retry") == failed
    assert harness.jobs("--state", "FAIL,retry") == failed
    assert harness.jobs("--state", "retry") == []
    assert len(harness.jobs("--state", "fail|ok")) == len(harness.jobs())


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("jobs", "latest", "--state", "fial"), "did you mean 'fail'?"),
        (("jobs", "latest", "--state", "suceeded"), "did you mean 'succeeded'?"),
        (("check", "plam.yaml"), "there is no such file; did you mean plan.yaml?"),
        (("check", "plan.yaml", "--volumes", "fleet.jsn"), "did you mean fleet.json?"),
        (("status", "--db", "state/vbsbatch/vbsbatch.bd"), "did you mean"),
        (("retry", "latest", "--volume", "nothing-like-it"), "has no volume 'nothing-like-it'"),
    ],
)
def test_a_misspelt_name_gets_the_nearest_existing_one(
    ended: tuple[Harness, GlassCloud], words: tuple[str, ...], says: str
) -> None:
    done = ended[0](*words, code=2)
    assert says in done.stderr


def test_a_misspelt_volume_gets_the_nearest_of_the_run(ended: tuple[Harness, GlassCloud]) -> None:
    harness, _ = ended
    name = harness.jobs()[0]["name"]
    assert f"did you mean {name!r}?" in harness.refused("retry", "latest", "--volume", f"{name}x")


def test_an_unused_code_is_reported_and_lists_nothing(
    ended: tuple[Harness, GlassCloud],
) -> None:
    harness, _ = ended
    done = harness("jobs", "latest", "--code", "VolumeBackup.0041")
    assert "had the code 'VolumeBackup.0041'; did you mean 'VolumeBackup.0040'?" in done.stderr
    assert len(done.stdout.splitlines()) == 1


def test_a_restore_without_a_terminal_only_prints_what_it_would_do(harness: Harness) -> None:
    cloud = harness.cloud(volumes=2)
    harness("run", "plan.yaml")
    cloud.detach()
    done = harness("restore", "latest")
    assert len(re.findall(r" <- backup ", done.stdout)) == 2
    assert done.stdout.splitlines()[-1].endswith(": 2 volumes; nothing was restored")
    assert re.search(rf"^in {PLACE}$", done.stderr, re.M)
    assert "add --yes" in done.stderr
    assert cloud.ledger("restore") == []
    assert len(harness.runs()) == 1


# Files


def test_a_plan_may_come_from_standard_input(harness: Harness) -> None:
    cloud = harness.cloud(volumes=2)
    text = harness.plan.read_text()
    process = harness.start("run", "-", stdin=subprocess.PIPE, cwd=harness.folder)
    assert process.stdin is not None
    process.stdin.write(text)
    process.stdin.close()
    process.stdin = None
    assert told(harness.finish(process, 0), "end") == ["done ok=2 fail=0 exit=0"]
    assert cloud.summary()["backed_up"] == 2
    assert (
        "cannot be the plan and its list" in harness("check", "-", "--volumes", "-", code=2).stderr
    )


def test_a_list_given_as_the_plan_is_recognised(harness: Harness) -> None:
    harness.cloud(volumes=2)
    assert "is a list of volumes, not a plan: give it with --volumes" in harness.refused(
        "check", "fleet.json"
    )


# Machines


def test_absolute_paths_need_no_current_folder(harness: Harness, tmp_path: Path) -> None:
    cloud = harness.cloud(volumes=1)
    program = (
        f'mkdir {tmp_path}/gone; cd {tmp_path}/gone; rmdir ../gone; vbsbatch run "$0" --db "$1"'
    )
    text = json.loads(harness.plan.read_text())
    text["volumes_from"] = str(harness.folder / "fleet.json")
    harness.plan.write_text(json.dumps(text))
    command = program.replace("$0", str(harness.plan)).replace("$1", str(harness.store))
    assert "done ok=1" in harness.finish(harness.shell(command), 0).stderr
    assert cloud.summary()["backed_up"] == 1
    done = harness.finish(harness.shell(program.replace("$0", "p.yaml").replace("$1", "s.db")), 2)
    assert "no such file" in done.stderr or "the current folder was deleted" in done.stderr


def test_without_a_home_folder_a_store_must_be_named(harness: Harness) -> None:
    """A user of a container: no HOME, and no entry in passwd."""
    harness.cloud(volumes=1)
    nobody = (
        "import pwd, vbsbatch.cli; pwd.getpwuid = {}.__getitem__; vbsbatch.cli.main()"  # KeyError
    )
    program = f"env -u HOME -u XDG_STATE_HOME -u XDG_CACHE_HOME {sys.executable} -P -c '{nobody}'"
    done = harness.finish(harness.shell(f"{program} runs"), 2)
    assert "name one with --db" in done.stderr
    done = harness.finish(harness.shell(f"{program} run plan.yaml --db named.db"), 0)
    assert told(done, "end") == ["done ok=1 fail=0 exit=0"]
    assert not (harness.folder / "~").exists()
