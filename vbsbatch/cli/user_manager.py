"""The user's systemd: unit files that are ours, and what `systemctl --user` does with them."""

from __future__ import annotations

import getpass
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from vbsbatch.cli.timer_units import MARK, Schedule, schedule_of
from vbsbatch.errors import UsageError
from vbsbatch.private_files import make_folders, open_private

PATIENCE = 30.0
"""Seconds that systemctl may take."""

LINGERING = Path("/var/lib/systemd/linger")

_LARGEST = 262_144


def unit_folder() -> Path:
    """Where the user's own units are."""
    named = os.environ.get("XDG_CONFIG_HOME", "")
    try:
        base = Path(named) if named.startswith("/") else Path("~/.config").expanduser()
    except RuntimeError:
        raise UsageError("no home folder is known (HOME), so there is none for units") from None
    return base / "systemd" / "user"


def why_no_manager() -> str | None:
    """Why no systemd of this user can be asked; None if it can."""
    if shutil.which("systemctl") is None:
        return "there is no systemctl"
    done = _systemctl("show", "--property=Version")
    if done.returncode == 0:
        return None
    lines = done.stderr.strip().splitlines() or [f"systemctl --user ends with {done.returncode}"]
    return lines[-1]


def lingers() -> bool:
    """Whether the user's services go on without a session."""
    return (LINGERING / user_name()).exists()


def user_name() -> str:
    """The user's name, or number."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def schedules() -> Iterator[Schedule]:
    """Every schedule that there is, by name."""
    for path in sorted(unit_folder().glob("vbsbatch-*.timer")):
        found = schedule_of(_text(path) or "")
        if found is not None:
            yield found


def written(files: Mapping[str, str]) -> dict[str, str | None]:
    """Write unit files; returns what was there before. Refuses files that are not ours."""
    folder = unit_folder()
    before = {}
    for name in files:
        path = folder / name
        before[name] = _text(path)
        if os.path.lexists(path) and not (before[name] or "").startswith(MARK):
            raise UsageError(f"{path} is not of vbsbatch: choose another --name, or remove it")
    try:
        make_folders(folder)
        for name, text in files.items():
            _write(folder / name, text)
    except OSError as error:
        restore(before)
        reason = error.strerror or error
        raise UsageError(f"cannot write {error.filename or folder}: {reason}") from error
    return before


def restore(before: Mapping[str, str | None]) -> None:
    """Put unit files back as they were; those that were not there are removed."""
    for name, text in before.items():
        path = unit_folder() / name
        if text is not None:
            _write(path, text)
        elif (_text(path) or "").startswith(MARK):
            path.unlink()


def remove_empty_folders() -> None:
    """Remove the folders of units that nothing is left in."""
    folder = unit_folder()
    for each in (*folder.glob("*.wants"), folder, folder.parent):
        with suppress(OSError):  # something is left in it
            each.rmdir()


def remove_links(name: str) -> None:
    """Remove links by which other units want this one, where systemctl could not."""
    for folder in unit_folder().glob("*.wants"):
        link = folder / name
        if link.is_symlink():
            link.unlink()


def control(*words: str, may_fail: bool = False) -> None:
    """Ask the user's systemd for something; raises `UsageError` with its own message."""
    done = _systemctl(*words)
    if done.returncode and not may_fail:
        said = done.stderr.strip().splitlines()
        raise UsageError(f"systemctl --user {' '.join(words)}: {(said or ['failed'])[-1]}")


def is_enabled(unit: str) -> bool | None:
    """Whether a unit is enabled; None where nobody can be asked."""
    said = _systemctl("is-enabled", unit).stdout.strip()
    if said:
        return said in ("enabled", "enabled-runtime")
    return None


def _systemctl(*words: str) -> subprocess.CompletedProcess[str]:
    command = [shutil.which("systemctl") or "/bin/false", "--user", "--no-pager", *words]
    try:
        return subprocess.run(  # noqa: S603 - our own arguments
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=PATIENCE,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return subprocess.CompletedProcess(command, 1, "", f"systemctl: {error}")


def _text(path: Path) -> str | None:
    """What a file of ours says; None where there is none, or none that we may read."""
    try:
        with open(open_private(path, os.O_RDONLY), encoding="utf-8", errors="replace") as file:
            return file.read(_LARGEST)
    except OSError:
        return None


def _write(path: Path, text: str) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    with open(open_private(path, flags), "w", encoding="utf-8") as file:
        file.write(text)
