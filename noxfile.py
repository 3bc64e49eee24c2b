"""The tests and the checks on every supported version of Python: `nox`, `nox -s check-3.12`."""

from __future__ import annotations

from pathlib import Path

import nox

VERSIONS = ["3.11", "3.12", "3.13"]

nox.needs_version = ">=2024.10"
nox.options.default_venv_backend = "venv"
# A version that is not installed is skipped, and nox names it. Nothing is downloaded.
nox.options.error_on_missing_interpreters = False
nox.options.download_python = "never"
nox.options.reuse_existing_virtualenvs = True


@nox.session(python=VERSIONS)
def tests(session: nox.Session) -> None:
    """Run `make test`."""
    _make(session, "test")


@nox.session(python=VERSIONS)
def check(session: nox.Session) -> None:
    """Run `make check`."""
    _make(session, "check")


def _make(session: nox.Session, target: str) -> None:
    """Install what the lock file pins, and run a target of the Makefile with that environment."""
    session.install("--require-hashes", "-r", "requirements-dev.lock")
    session.install("--no-deps", "--no-build-isolation", "-e", ".")
    environment = Path(session.virtualenv.location)
    for stamp in (".runtime", ".ready"):  # the Makefile has nothing left to install
        (environment / stamp).touch()
    session.run("make", target, f"VENV={environment}", *session.posargs, external=True)
