"""The texts of a schedule: systemd's units, and lines for cron. Writes nothing.

A unit's line has two layers: specifiers (`%`), and words in quotes with C escapes; the arguments of
a command may also name variables (`$`). What goes into a unit passes through `argument`, `plain` or
`whole`.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import time
from hashlib import sha256
from typing import Any

from vbsbatch.errors import UsageError
from vbsbatch.policy.timetable import Scheduled, Timetable, parse_days

MARK = "# Written by `vbsbatch schedule add`, which also changes it; `schedule remove` removes it."
"""The first line of each file that is ours."""

_KEY = "Schedule="
_PLAIN = re.compile(r"[A-Za-z0-9_.-]{1,60}", re.ASCII)

# What a user's service manager can do without namespaces, in containers too.
_HARDENING = """\
UMask=0077
NoNewPrivileges=yes
LockPersonality=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
SystemCallArchitectures=native"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Schedule:
    """A plan that is started by the clock."""

    name: str
    """The schedule's own name: usually that of the plan."""
    plan: str
    """The plan's name."""
    path: str
    """The plan's file, absolute."""
    timetable: Timetable
    since: float
    """When it was made, in epoch seconds."""
    if_running: str = "skip"
    python: str = ""
    """The interpreter, absolute."""
    folder: str = "/"
    """Where commands run."""
    options: tuple[str, ...] = ()
    """Options of `run` and `resume`: store, cloud, endpoints."""
    environment: Mapping[str, str] = field(default_factory=dict)
    environment_file: str | None = None
    stop_within: int = 180
    """Seconds for a clean stop."""

    @property
    def unit(self) -> str:
        """The name that its units have in common."""
        return f"vbsbatch-{slug(self.name)}"

    @property
    def timer(self) -> str:
        """The unit that starts it."""
        return f"{self.unit}.timer"

    @property
    def files(self) -> tuple[str, str, str]:
        """The names of its unit files."""
        return f"{self.unit}.service", self.timer, f"{self.unit}-resume@.service"

    @property
    def resume_at_boot(self) -> str:
        """The unit that continues a run after a reboot."""
        return f"{self.unit}-resume@reboot.service"

    @property
    def scheduled(self) -> Scheduled:
        """What its commands know of it."""
        return Scheduled(timetable=self.timetable, since=self.since, plan=self.plan)

    def run_command(self) -> list[str]:
        """The command that makes a run."""
        how = ["--yes", "--progress", "plain", "--if-running", self.if_running]
        known = ["--scheduled", str(self.scheduled)]
        return [*self._program(), "run", *self.options, *how, *known, "--", self.path]

    def resume_command(self, by: str, *, persistent: bool = True) -> list[str]:
        """The command that continues an interrupted run."""
        how = ["--yes", "--progress", "plain", "--plan", self.plan]
        known = ["--scheduled", str(self.scheduled)] if persistent else []
        return [*self._program(), "resume", *self.options, *how, *known, "--interrupted-by", by]

    def _program(self) -> list[str]:
        return [self.python, "-P", "-m", "vbsbatch"]


def slug(name: str) -> str:
    """A part of unit names that stands for any name."""
    if _PLAIN.fullmatch(name) and not name.startswith("."):
        return name
    kept = re.sub(r"[^A-Za-z0-9_-]+", "_", name, flags=re.ASCII)[:40]
    return f"{kept}.{sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"


def plain(value: str) -> str:
    """A part of a line that systemd takes as it is: only specifiers mean something there."""
    _check(value)
    return value.replace("%", "%%")


def whole(value: str) -> str:
    """The same for all of a line's value, such as a path."""
    if value != value.strip() or value.endswith("\\"):
        raise UsageError(f"{value!r} ends as no value of a unit can: rename it")
    return plain(value)


def argument(value: str, *, of_command: bool = True) -> str:
    """One word in quotes; `of_command`: as an argument of a command, where `$` means something."""
    _check(value)
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{escaped.replace("$", "$$") if of_command else escaped}"'


def command_line(words: list[str]) -> str:
    """A command as `ExecStart=` takes it; no variable is replaced in the program's path."""
    first, *rest = words
    return " ".join([argument(first, of_command=False), *map(argument, rest)])


def _check(value: str) -> None:
    if not value.isprintable():  # lone halves of characters, as in names that are not UTF-8, too
        shown = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in value)
        raise UsageError(f"'{shown}' has characters that no unit can hold: rename it")


def units(of: Schedule) -> dict[str, str]:
    """The text of each unit file, by its name."""
    return dict(zip(of.files, (_service(of), _timer(of), _resume(of)), strict=True))


def _service(of: Schedule) -> str:
    return f"""{MARK}
[Unit]
Description=Backups of plan {plain(of.plan)} by the clock
Documentation=man:vbsbatch-schedule-add(1)
OnFailure={of.unit}-resume@kill.service
StartLimitIntervalSec=10min
StartLimitBurst=5

[Service]
Type=exec
{_common(of)}
ExecStart={command_line(of.run_command())}
# 2: nothing was sent, perhaps because the network is not up yet. The run itself is never repeated.
RestartForceExitStatus=2
RestartSec=1min
"""


def _resume(of: Schedule) -> str:
    line = command_line(of.resume_command("")[:-1])
    return f"""{MARK}
[Unit]
Description=Continue backups of plan {plain(of.plan)} after a %i
Documentation=man:vbsbatch-schedule-add(1)
StartLimitIntervalSec=10min
StartLimitBurst=5

[Service]
Type=exec
{_common(of)}
ExecStart={line} %i
RestartForceExitStatus=2
RestartSec=1min

[Install]
WantedBy=default.target
"""


def _common(of: Schedule) -> str:
    lines = [f"WorkingDirectory={whole(of.folder)}"]
    for name, value in sorted(of.environment.items()):
        lines.append(f"Environment={argument(f'{name}={value}', of_command=False)}")
    if of.environment_file is not None:
        lines.append(f"EnvironmentFile={whole(of.environment_file)}")
    lines += [
        f"SyslogIdentifier={of.unit}",
        "KillMode=mixed",
        f"TimeoutStopSec={of.stop_within}s",
        _HARDENING,
    ]
    return "\n".join(lines)


def _timer(of: Schedule) -> str:
    return f"""{MARK}
[Unit]
Description=Start backups of plan {plain(of.plan)}, {plain(str(of.timetable))}
Documentation=man:vbsbatch-schedule-add(1)

[Timer]
OnCalendar={of.timetable.calendar}
Persistent=true
AccuracySec=1s

[Install]
WantedBy=timers.target

[X-Vbsbatch]
{_KEY}{json.dumps(_document(of))}
"""


def _document(of: Schedule) -> dict[str, Any]:
    """What `schedule_of` reads."""
    return {
        "name": of.name,
        "plan": of.plan,
        "path": of.path,
        "at": f"{of.timetable.at:%H:%M:%S}",
        "days": of.timetable.days_text,
        "timezone": of.timetable.zone,
        "since": of.since,
        "if_running": of.if_running,
        "options": list(of.options),
    }


def schedule_of(text: str) -> Schedule | None:
    """The schedule that a timer's text describes; None if it is not one of ours."""
    if not text.startswith(MARK):
        return None
    line = next((line for line in text.splitlines() if line.startswith(_KEY)), "")
    try:
        found = json.loads(line.removeprefix(_KEY))
        timetable = Timetable(
            at=time.fromisoformat(found["at"]),
            days=parse_days(found["days"]),
            zone=str(found["timezone"]),
        )
        timetable.next(0.0)
        return Schedule(
            name=str(found["name"]),
            plan=str(found["plan"]),
            path=str(found["path"]),
            timetable=timetable,
            since=float(found["since"]),
            if_running=str(found["if_running"]),
            options=tuple(map(str, found["options"])),
        )
    except (ValueError, KeyError, TypeError, OSError):
        return None


def cron_lines(of: Schedule) -> list[str]:
    """Lines for `crontab -e` that do the same, but start nothing later that was missed."""
    setting = [f"{name}={shlex.quote(value)}" for name, value in sorted(of.environment.items())]
    read = []
    if of.environment_file is not None:
        read = ["set -a", f". {shlex.quote(of.environment_file)}", "set +a"]
    log = f"2>&1 | logger -t {of.unit}"

    def line(when: str, command: list[str]) -> str:
        for word in command:
            _check(word)
        steps = [f"cd {shlex.quote(of.folder)}", *read]
        text = " && ".join([*steps, " ".join([*setting, shlex.join(command), log])])
        return f"{when} {text.replace('%', chr(92) + '%')}"

    return [
        f"# vbsbatch: plan {of.plan}, {of.timetable}",
        f"CRON_TZ={of.timetable.zone}",
        line(of.timetable.cron, of.run_command()),
        line("@reboot", of.resume_command("reboot", persistent=False)),
    ]
