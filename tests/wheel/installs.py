"""The wheel as users install it: with pip, pipx and `uv tool install` (`make test-wheel`).

Each installs the dependencies too, from wherever this machine's pip gets them.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def command(*words: str | Path, environment: Mapping[str, str] | None = None) -> str:
    """Run a command, which must succeed; its output."""
    done = subprocess.run(
        [*map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **(environment or {})},
    )
    assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
    return done.stdout


def venv(folder: Path, *packages: str | Path) -> Path:
    """A new virtual environment with these packages; its folder of programs."""
    command(sys.executable, "-m", "venv", folder)
    programs = folder / "bin"
    command(programs / "python", "-m", "pip", "install", "--quiet", "--no-compile", *packages)
    return programs


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    flags = ("--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir")
    command(sys.executable, "-m", "pip", "wheel", *flags, folder, ROOT)
    (built,) = folder.glob("vbsbatch-*.whl")
    return built


@pytest.fixture(scope="session")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the programs pipx and uv; without them their tests are skipped."""
    try:
        return venv(tmp_path_factory.mktemp("tools") / "env", "pipx", "uv")
    except AssertionError as error:
        pytest.skip(f"NOT TESTED: pipx and uv cannot be installed here: {error}")


@pytest.fixture
def by_pip(tmp_path: Path, wheel: Path) -> Path:
    programs = venv(tmp_path / "env", wheel)
    assert (tmp_path / "env" / "share" / "man" / "man1" / "vbsbatch-run.1").exists()
    modules = "vbsbatch.tui.app, vbsbatch.simulator.server, vbsbatch.cloud.connection"
    command(programs / "python", "-c", f"import {modules}")
    return programs / "vbsbatch"


@pytest.fixture
def by_pipx(tmp_path: Path, wheel: Path, tools: Path) -> Path:
    home = {f"PIPX_{what}": str(tmp_path / what) for what in ("HOME", "BIN_DIR", "MAN_DIR")}
    command(tools / "pipx", "install", wheel, environment={**home, "PIP_NO_COMPILE": "1"})
    assert (tmp_path / "MAN_DIR" / "man1" / "vbsbatch-run.1").exists()
    return tmp_path / "BIN_DIR" / "vbsbatch"


@pytest.fixture
def by_uv(tmp_path: Path, wheel: Path, tools: Path) -> Path:
    home = {"UV_TOOL_DIR": str(tmp_path / "home"), "UV_TOOL_BIN_DIR": str(tmp_path / "bin")}
    words = ("tool", "install", "--python", sys.executable, wheel)
    command(tools / "uv", *words, environment=home)
    return tmp_path / "bin" / "vbsbatch"


@pytest.mark.parametrize("installed", ["by_pip", "by_pipx", "by_uv"])
def test_an_installed_wheel_has_all_that_the_help_names(
    installed: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    vbsbatch: Path = request.getfixturevalue(installed)
    plan = tmp_path / "nightly.yaml"
    plan.write_text(command(vbsbatch, "plan", "example", "minimal"))
    schema = Path(plan.read_text().partition("file://")[2].splitlines()[0])
    assert schema.read_text("utf-8").startswith("{")
    assert "fine: 2 volumes" in command(vbsbatch, "check", plan)
