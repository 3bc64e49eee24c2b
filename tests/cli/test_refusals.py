"""Exit code 2: one line that says what to do, and nothing submitted, no run stored."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TypeAlias

import pytest

from tests.cli.clouds import Cloud, Process, write_fleet
from tests.cli.harness import Harness

Try: TypeAlias = tuple[Harness, Process]

WAYS_IN = {
    "a wrong password": (r"password: \S+", "password: wrong-secret", "refused the credentials"),
    "nobody there": (r"127\.0\.0\.1:\d+", "127.0.0.1:1", "connection refused"),
    "no such host": (r"127\.0\.0\.1:\d+", "cloud.invalid", "cannot be resolved"),
    "no project": (r"\n *project_name: \S+", "", "project_name"),
    "another region": (r"region_name: \S+", "region_name: mars", "no volume backup service"),
    "no TLS there": ("http:", "https:", "TLS"),
    "an unknown plugin": ("auth_type: password", "auth_type: magic", "auth_type 'magic'"),
    "no YAML": ("clouds:", "clouds: [", "not valid YAML"),
    "another entry": (r"\bsimulator:", "other:", "no cloud named 'simulator'"),
}


@pytest.fixture(scope="module")
def tries(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Cloud, dict[str, Try]]]:
    """A run by every wrong way into one cloud, all begun at once: each is mostly imports."""
    host = Harness(tmp_path_factory.mktemp("host"))
    cloud = host.cloud(volumes=2)
    begun: dict[str, Try] = {}
    for way, (pattern, by, _) in WAYS_IN.items():
        harness = Harness(tmp_path_factory.mktemp("way"))
        harness.write_plan()
        harness.clouds.write_bytes(host.clouds.read_bytes())
        harness.edit_clouds(pattern, by)
        write_fleet(harness.folder / "fleet.json", cloud)
        begun[way] = harness, harness.start("run", "plan.yaml")
    yield cloud, begun
    for harness, _ in begun.values():
        harness.close()
    host.close()


@pytest.mark.parametrize("way", WAYS_IN)
def test_a_failed_sign_in_is_one_line_and_no_run(
    tries: tuple[Cloud, dict[str, Try]], way: str
) -> None:
    cloud, begun = tries
    harness, process = begun[way]
    line = harness.refusal(process)
    assert WAYS_IN[way][2] in line
    assert "secret" not in line
    assert cloud.password not in line
    assert harness.runs() == []
    assert cloud.ledger("create") == []


def test_an_unreachable_backup_service_starts_no_run(harness: Harness) -> None:
    harness.cloud(volumes=2)
    line = harness.refused("run", "plan.yaml", "--vbs-endpoint", "http://127.0.0.1:1/")
    assert "cannot reach the backup service: connection refused" in line
    assert "not an http:// or https:// URL" in harness.refused(
        "run", "plan.yaml", "--vbs-endpoint", "nonsense"
    )
    assert harness.runs() == []


def test_without_any_configuration_the_message_says_so(harness: Harness) -> None:
    harness.cloud(volumes=1)
    harness.clouds.unlink()
    assert str(harness.clouds) in harness.refused("run", "plan.yaml")


def test_all_problems_of_a_plan_are_listed_with_their_places(harness: Harness) -> None:
    harness.plan.write_text(
        "name: x\nlimts: {rate: 5/s}\nretry: {attempts: 0}\nvolumes:\n  - {id: 5}\n"
    )
    for words in (("check",), ("run", "--yes")):
        done = harness(*words, "plan.yaml", code=2)
        places = [line.split(": ")[1].split(":")[1] for line in done.stderr.splitlines()]
        assert places == ["2", "3", "5"]
        assert "limits" in done.stderr, "did you mean"
    assert not harness.store.exists()


@pytest.mark.parametrize("kind", ["missing", "folder", "fifo", "binary", "bomb", "tag", "empty"])
def test_a_hostile_plan_is_one_line(harness: Harness, kind: str) -> None:
    path = harness.folder / "bad.yaml"
    match kind:
        case "folder":
            path.mkdir()
        case "fifo":
            os.mkfifo(path)
        case "binary":
            path.write_bytes(b"\x00\xff\xfe" * 99)
        case "bomb":
            path.write_text("a: &a [x, x]\nb: &b [*a, *a]\nvolumes: [*b, *b]\n")
        case "tag":
            path.write_text("name: !!python/object/apply:os.system ['touch pwned']\n")
        case "empty":
            path.write_text("")
    done = harness("run", "bad.yaml", code=2)
    assert 1 <= len(done.stderr.splitlines()) <= 10
    assert all(line.startswith("vbsbatch: bad.yaml:") for line in done.stderr.splitlines())
    assert not (harness.folder / "pwned").exists()


def test_a_file_that_is_no_store_is_refused_and_left_unchanged(harness: Harness) -> None:
    cloud = harness.cloud(volumes=1)
    other = harness.folder / "notes.txt"
    other.write_text("precious\n" * 50)
    assert "not a store of vbsbatch" in harness.refused("run", "plan.yaml", "--db", "notes.txt")
    assert other.read_text() == "precious\n" * 50
    assert "`vbsbatch run` makes one" in harness.refused("status", "--db", "nowhere.db")
    unwritable = harness.refused("run", "plan.yaml", "--db", "/proc/no/x.db")
    assert "cannot open the store" in unwritable
    assert "name another with --db" in unwritable
    assert harness("run", "plan.yaml", "--db", str(harness.folder), code=2)
    assert cloud.ledger("create") == []


def test_a_damaged_store_is_refused(harness: Harness, ended: tuple[Harness, Cloud]) -> None:
    harness.cloud(volumes=1)
    (harness.folder / "cut.db").write_bytes(ended[0].store.read_bytes()[:5000])
    assert "cut.db" in harness.refused("status", "--db", "cut.db")
    assert "cut.db" in harness.refused("resume", "--db", "cut.db")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("rnu",), "Did you mean run?"),
        (("run",), "Missing argument 'PLAN'"),
        (("run", "plan.yaml", "--rate", "fast"), "must be a rate such as 5/s"),
        (("run", "plan.yaml", "--in-flight", "0"), "--in-flight"),
        (("in-flight", "latest", "99999999999999999999"), "1<=x<=100000"),
        (("run", "plan.yaml", "--progress", "loud"), "--progress"),
        (("run", "plan.yaml", "--progress", "tui"), "--progress plain"),
        (("jobs", "--state", "FINE"), "'failed'"),
        (("jobs", "--json", "--csv"), "exclude each other"),
        (("report", "--format", "pdf"), "'junit'"),
        (("status", "--what"), "No such option"),
        (("simulate", "--port", "99999"), "--port"),
        (("simulate", "--faults", "none.yaml"), "none.yaml"),
    ],
)
def test_wrong_usage_is_refused_with_the_right_form(
    harness: Harness, words: tuple[str, ...], says: str
) -> None:
    done = harness(*words, code=2)
    assert says in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("verb", ["pause", "unpause", "stop"])
def test_steering_needs_a_live_engine(ended: tuple[Harness, Cloud], verb: str) -> None:
    harness, _ = ended
    assert "has ended" in harness.refused(verb, "latest")
