"""Simulated clouds in this process and in processes of their own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.simulator.harness import Desk, DeskMaker, Running, StartSimulator
from vbsbatch.simulator import Scenario, SimulatedCloud, sample_volumes
from vbsbatch.simulator.virtual import VirtualClock


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def open_desk() -> DeskMaker:
    def make(scenario: Scenario | None = None, volumes: int = 30, seed: int = 1) -> Desk:
        clock = VirtualClock()
        cloud = SimulatedCloud(
            scenario or Scenario(), clock, seed, volumes=sample_volumes(volumes, seed)
        )
        desk = Desk(cloud, clock, volumes=list(cloud.project.volumes))
        desk.sign_in()
        return desk

    return make


@pytest.fixture
def start_simulator(tmp_path: Path) -> Iterator[StartSimulator]:
    started: list[subprocess.Popen[str]] = []

    def start(faults: str | None = None, *options: str) -> Running:
        clouds_file = tmp_path / "clouds.yaml"
        command = [sys.executable, "-W", "error", "-m", "vbsbatch.simulator", "--port", "0"]
        command += ["--clouds-file", os.fspath(clouds_file), "--access-key", *options]
        if faults is not None:
            (tmp_path / "faults.yaml").write_text(faults)
            command += ["--faults", os.fspath(tmp_path / "faults.yaml")]
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        started.append(process)
        text = ""
        assert process.stdout is not None
        while "volume_api_version" not in text:
            line = process.stdout.readline()
            assert line, "the simulator ended before it was ready"
            text += line
        url = re.search(r"auth_url: (\S+)/identity/v3", text)
        password = re.search(r"password: (\S+)", text)
        assert url
        assert password
        return Running(process, url[1], password[1], clouds_file)

    yield start
    for process in started:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            _, noise = process.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise
        assert noise == ""
