"""Where no real cloud can be had this is said, and what is started can be found and ended again."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.harness import until
from tests.debian import DebianPackage
from tests.openstack import hosting
from tests.openstack.cloud import RealCloud
from tests.openstack.hosting import CannotHost, check_machine
from tests.openstack.processes import Processes, Service
from tests.openstack.settings import write_settings

ROOT = Path(__file__).parents[2]


def on_a_bare_machine(**environment: str) -> subprocess.CompletedProcess[str]:
    """`python -m tests.openstack` where there is no apt-get and no unshare."""
    known = {key: value for key, value in os.environ.items() if not key.startswith("VBSBATCH_")}
    return subprocess.run(
        [sys.executable, "-m", "tests.openstack"],
        cwd=ROOT,
        env={**known, "PATH": "/nowhere", **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_machine_that_cannot_host_it_is_skipped_loudly() -> None:
    done = on_a_bare_machine()
    assert done.returncode == 0
    assert "*  TESTS AGAINST THE REAL CLOUD SKIPPED" in done.stderr
    assert "VBSBATCH_OPENSTACK_REQUIRED=1 makes this a failure" in done.stderr
    (last,) = done.stdout.splitlines()
    assert last.startswith("test-openstack: SKIPPED: ")


def test_a_skip_is_a_failure_where_the_real_cloud_is_required() -> None:
    done = on_a_bare_machine(VBSBATCH_OPENSTACK_REQUIRED="1")
    assert done.returncode == 1
    assert done.stdout.startswith("test-openstack: FAILED: ")


def test_the_reason_names_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CannotHost, match="needs Linux, and this is darwin"):
        check_machine(platform="darwin")
    with pytest.raises(CannotHost, match="needs root"):
        check_machine(platform="linux", user=1000)
    absent = DebianPackage(name="cloud-in-a-box", brings="no-such-program")
    monkeypatch.setattr(hosting, "DEBIAN", (absent,))
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(CannotHost, match="no apt-get to install cloud-in-a-box with"):
        check_machine(platform="linux", user=0)


def test_the_scenarios_are_no_part_of_the_usual_suite() -> None:
    known = {key: value for key, value in os.environ.items() if not key.startswith("VBSBATCH_")}
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "tests/openstack"]
    done = subprocess.run(
        command, cwd=ROOT, env=known, capture_output=True, text=True, timeout=60, check=True
    )
    assert "test_hosting.py" in done.stdout
    assert "scenarios/" not in done.stdout


def test_the_pins_name_versions_and_no_registry() -> None:
    lines = hosting.PINS.read_text().splitlines()
    assert len(lines) > 100
    assert all("==" in line and "://" not in line for line in lines)


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    made = Processes(tmp_path)
    yield made
    made.stop("sleeper")


SLEEPER = Service(name="sleeper", command=["sleep", "600"], environment=dict(os.environ))


def test_a_service_is_found_and_ended_by_another_process_than_its_own(
    processes: Processes, tmp_path: Path
) -> None:
    processes.start(SLEEPER)
    others = Processes(tmp_path)
    assert others.alive("sleeper")
    others.freeze("sleeper")
    others.stop("sleeper")
    assert not processes.alive("sleeper")


def test_a_number_that_was_given_to_somebody_else_is_not_ended(
    processes: Processes, tmp_path: Path
) -> None:
    with subprocess.Popen(["sleep", "600"], start_new_session=True) as stranger:
        (tmp_path / "run" / "sleeper.pid").write_text(f"{stranger.pid} 1")
        processes.stop("sleeper")
        assert stranger.poll() is None
        stranger.kill()


def test_a_service_that_ended_by_itself_is_not_alive(processes: Processes) -> None:
    processes.start(Service(name="sleeper", command=["sh", "-c", "echo bye"], environment={}))
    until(lambda: not processes.alive("sleeper"))
    until(lambda: processes.last_words("sleeper") == "bye")


def test_a_site_is_written_down_and_found_again_and_stays_on_this_machine(tmp_path: Path) -> None:
    environment = tmp_path / "environment"
    (environment / "etc" / "cinder" / "rootwrap.d").mkdir(parents=True)
    for name in ("api-paste.ini", "resource_filters.json"):
        (environment / "etc" / "cinder" / name).touch()
    folder = tmp_path / "site"
    folder.mkdir()
    site = RealCloud.new(folder, environment).site
    assert RealCloud.at(folder).site == site
    write_settings(site)
    assert site.password not in repr(site)
    assert folder.stat().st_mode & 0o077 == 0
    for path in (site.keystone_conf, site.cinder_conf, site.broker_conf):
        addresses = [word for word in path.read_text().split() if "://" in word]
        assert all("127.0.0.1" in word for word in addresses)
