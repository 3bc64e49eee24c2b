"""Commands about messages: notify test, notify list, watch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vbsbatch.cli import FAILED, INTERRUPTED, mention, say
from vbsbatch.cli.completion_values import channel_names
from vbsbatch.cli.options import db_option
from vbsbatch.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vbsbatch.model import Channel, RunNoted

_LEAST = 1.0
"""Seconds between two looks, at least."""


class Every(click.ParamType):  # type: ignore[type-arg]  # generic only in a newer click
    """A duration such as `30s` or `5m`."""

    name = "duration"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Parse the text, or fail with an example."""
        from vbsbatch.plan.units import parse_duration

        try:
            seconds = parse_duration(str(value))
        except ValueError as error:
            self.fail(f"{value!r} {error}", param, ctx)
        if seconds < _LEAST:
            self.fail(f"{value!r} must be at least 1s", param, ctx)
        return seconds


@click.group(
    epilog="""\b
Examples:
  vbsbatch notify list
  vbsbatch notify test ops
"""
)
def notify() -> None:
    """Test or list the channels of the config file, which are told of runs."""


@notify.command(
    epilog="""\
Exit codes: 0 every channel took the message, 1 some did not, 2 there is no such channel.

\b
Examples:
  vbsbatch notify test
  vbsbatch notify test ops
"""
)
@click.argument("channel", nargs=-1, shell_complete=channel_names)
def test(channel: tuple[str, ...]) -> int:
    """Send a test message to each CHANNEL, by default to all, and say what happened."""
    from vbsbatch.api.notices import send_tests

    chosen = _named(channel)
    failed = 0
    for each, error in send_tests(chosen):
        failed += error is not None
        say(f"{each.name}: sent" if error is None else f"{each.name}: not sent: {error}")
    return FAILED if failed else 0


@notify.command(
    name="list",
    epilog="""\b
Examples:
  vbsbatch notify list
  vbsbatch notify list --json
""",
)
@click.option("--json", "as_json", is_flag=True, help="As one JSON document.")
def list_(as_json: bool) -> None:
    """List the channels: name, kind, what they are told, and for which plans. No URL is shown."""
    channels = _named(())
    if as_json:
        import json

        rows = [_row(each) for each in channels]
        say(json.dumps({"schema": 1, "channels": rows}, indent=2))
        return
    for each in channels:
        row = _row(each)
        plans = "every plan" if each.default else "plans that name it"
        from_where = f", from ${each.address.variable}" if each.address.variable else ""
        missing = " (not set)" if each.address.url is None else ""
        events = ", ".join(row["events"])
        say(f"{each.name:<16} {each.kind:<12} {plans}{from_where}{missing}: {events}")


def _row(channel: Channel) -> dict[str, Any]:
    from vbsbatch.model import Notice

    return {
        "name": channel.name,
        "kind": channel.kind,
        "env": channel.address.variable,
        "known": channel.address.url is not None,
        "default": channel.default,
        "events": [str(each) for each in Notice if each in channel.notices],
        "failures_over": channel.failures_over,
        "stuck_after": channel.stuck_after,
        "silent_after": channel.silent_after,
        "engine_gone_after": channel.gone_after,
    }


def _named(names: Sequence[str]) -> list[Channel]:
    """The channels of these names, all without any; raises `UsageError`."""
    from vbsbatch.config import load_config
    from vbsbatch.model import did_you_mean
    from vbsbatch.plan.checks import CHANNEL_NAME

    config = load_config()
    if not config.channels:
        where = config.path or "the config file"
        raise UsageError(f"{where} has no channels: write some below notify")
    known = {each.group for each in config.channels} | {each.name for each in config.channels}
    for name in names:
        if not CHANNEL_NAME.fullmatch(name.partition("/")[0]):
            raise UsageError("give the name of a channel of the config file, not a URL")
        if name not in known:
            raise UsageError(f"there is no channel {name!r}{did_you_mean(name, known)}")
    return [each for each in config.channels if not names or {each.name, each.group} & {*names}]


@click.command(
    epilog="""\
Exit codes of --once: 0 everything that was found has been told, 1 some message could not be sent.

\b
Examples:
  vbsbatch watch
  vbsbatch watch --once --db /srv/backup/runs.db
"""
)
@db_option
@click.option(
    "--every", type=Every(), default="1m", show_default=True, help="Time between two looks."
)
@click.option("--once", is_flag=True, help="Look once, tell, and end: for a timer.")
def watch(db: Path | None, every: float, once: bool) -> int:
    """Watch over the runs of the store, and tell the channels of the config file.

    It tells of a run that has not ended although no engine drives it, which no engine can tell, and
    sends messages that could not be sent before. Any number may watch one store.
    """
    import anyio

    channels = _named(())

    def told(run_id: str, event: RunNoted) -> None:
        say(f"run {run_id}: {event.text}")

    said: set[str] = set()

    def failed(error: Exception) -> None:
        if str(error) not in said:
            mention(f"vbsbatch: {error}; will look again")
        said.add(str(error))

    how = {"store": db, "every": every, "once": once, "told": told, "failed": failed}
    return anyio.run(_until_signal, channels, how)


async def _until_signal(channels: Sequence[Channel], how: Mapping[str, Any]) -> int:
    """Watch until a signal, so that nothing is left half sent; the exit code."""
    import signal

    import anyio

    from vbsbatch.api import notices

    code = 0
    async with anyio.create_task_group() as group:

        async def end_at_signal() -> None:
            nonlocal code
            with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
                async for number in signals:
                    code = INTERRUPTED if number is signal.SIGINT else 0
                    group.cancel_scope.cancel()

        group.start_soon(end_at_signal, name="signals")
        unsent = await notices.watch(channels, **how)
        for each in unsent:
            what, tries = each.fact.partition(":")[0], f"tries so far: {each.tries}"
            say(f"run {each.run_id}: {what}: not sent to {each.channel}: {each.error} ({tries})")
        code = FAILED if unsent else 0
        group.cancel_scope.cancel()
    return code
