"""The command metrics: what the runs of the store are at, for Prometheus."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from vbsbatch.cli.options import db_option

USUAL_PORT = 9464


class ListenAddress(click.ParamType):  # type: ignore[type-arg]  # generic only in a newer click
    """`ADDRESS:PORT`, `[ADDRESS]:PORT` for IPv6, or a port of 127.0.0.1."""

    name = "address"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, int]:
        """Parse it; a missing address is an error, since it may mean all of them."""
        if isinstance(value, tuple):
            return value
        host, _, port = str(value).rpartition(":")
        if host.startswith("[") and host.endswith("]"):
            host = host[1:-1]
        elif ":" in host:
            self.fail(f"{value!r}: write an IPv6 address in brackets: [::1]:9464", param, ctx)
        if ":" in str(value) and not host:
            self.fail(f"{value!r} names no address: 127.0.0.1{value}, 0.0.0.0{value}", param, ctx)
        if not (port.isascii() and port.isdigit() and int(port[:6]) <= 65535):
            self.fail(f"{value!r} is not ADDRESS:PORT, such as 127.0.0.1:9464", param, ctx)
        return host or "127.0.0.1", int(port)


class Interval(click.ParamType):  # type: ignore[type-arg]  # generic only in a newer click
    """A duration of at least a second: `15s`, `1m`."""

    name = "duration"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Parse it."""
        from vbsbatch.plan.units import parse_duration

        if isinstance(value, float):
            return value
        try:
            seconds = parse_duration(str(value))
        except ValueError as error:
            self.fail(f"{value!r} {error}", param, ctx)
        if not 1 <= seconds <= 86400:
            self.fail(f"{value!r} is not within 1s and 24h", param, ctx)
        return seconds


@click.command(
    epilog="""\
Only reads the store: engines do not notice it. Without an option it prints the metrics once.

\b
Examples:
  vbsbatch metrics --listen 127.0.0.1:9464
  vbsbatch metrics --textfile /var/lib/node_exporter/vbsbatch.prom --every 15s
  vbsbatch metrics | promtool check metrics
"""
)
@click.option(
    "--listen",
    type=ListenAddress(),
    metavar="ADDRESS:PORT",
    help="Serve them at /metrics until a signal; a port alone is one of 127.0.0.1.",
)
@click.option(
    "--textfile",
    metavar="FILE",
    help="Write them to FILE (*.prom) for node_exporter's textfile collector.",
)
@click.option(
    "--every",
    type=Interval(),
    metavar="TIME",
    help="With --textfile: write again and again, such as every 15s, until a signal.",
)
@db_option
def metrics(
    listen: tuple[str, int] | None, textfile: str | None, every: float | None, db: Path | None
) -> int:
    """Serve or write what the runs of the store are at, for Prometheus."""
    if listen is not None and textfile is not None:
        raise click.UsageError("--listen and --textfile exclude each other: start two of them")
    if every is not None and textfile is None:
        raise click.UsageError("--every needs --textfile")
    from vbsbatch.cli import metrics_output
    from vbsbatch.store import default_path

    name = str(db or default_path())
    if listen is not None:
        from vbsbatch.cli.metrics_server import serve

        return serve(name, *listen)
    if textfile is not None:
        return metrics_output.write_textfile(name, textfile, every)
    return metrics_output.print_once(name)
