"""The commands by name; each is imported when it is called or asked for help."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import click

from vbsbatch.cli.options import db_option
from vbsbatch.cli.user_config import use_config
from vbsbatch.version import __version__

COMMANDS = {
    "run": ("run_commands", "Submit and follow the backups of a plan."),
    "resume": ("run_commands", "Continue an unfinished run."),
    "retry": ("run_commands", "Try failed jobs again, then resume."),
    "attach": ("attach_command", "Watch a run from any terminal."),
    "runs": ("inspect_commands", "List the runs of the store."),
    "status": ("inspect_commands", "Show the state of a run."),
    "jobs": ("inspect_commands", "List the jobs of a run."),
    "compare": ("inspect_commands", "Compare two runs."),
    "report": ("inspect_commands", "Write a report of a run."),
    "verify": ("verify_command", "Compare a run with the cloud."),
    "restore": ("restore_commands", "Overwrite volumes with a run's backups."),
    "prune": ("prune_commands", "Delete a run's backups, or old ones of a plan."),
    "keep": ("keep_command", "Pin backups, so that nothing deletes them."),
    "metrics": ("metrics_command", "Serve or write metrics of the store for Prometheus."),
    "pause": ("steering_commands", "Pause a run: send no new creates."),
    "unpause": ("steering_commands", "Continue a paused run."),
    "stop": ("steering_commands", "Stop a run; it can be resumed later."),
    "cancel": ("steering_commands", "Cancel jobs that have not been sent."),
    "take-over": ("steering_commands", "Take over volumes that stopped runs hold."),
    "rate": ("steering_commands", "Change how fast a run sends."),
    "in-flight": ("steering_commands", "Change how many backups of a run may run at once."),
    "plan": ("plan_commands", "Write a plan of a cloud's volumes, or compare one with the cloud."),
    "vaults": ("vaults_command", "List the vaults of a cloud, with their room and disks."),
    "coverage": ("coverage_command", "List the volumes without a recent good backup."),
    "watch": ("notify_commands", "Tell channels of runs whose engines are gone."),
    "notify": ("notify_commands", "Test the channels of the config file, or list them."),
    "check": ("plan_loading", "Check a plan, with --online also against the cloud."),
    "schema": ("plan_loading", "Print the JSON Schema of plan files, for editors."),
    "demo": ("simulate_command", "Back up a simulated fleet."),
    "simulate": ("simulate_command", "Serve a simulated cloud on this machine."),
    "schedule": ("schedule_commands", "Start plans by the clock."),
    "store": ("store_commands", "Look after the store: make it smaller."),
    "config": ("user_config", "Show the settings of the config file."),
    "completion": ("completion", "Print the shell completion script."),
}
"""Command -> (module of this package, what it does in one line)."""

_INNER = ("add", "list", "remove", "compact")
"""Commands of `schedule` and `store`, which have a store of their own."""

_HELP_OPTIONS = ("-h", "--help")
_HELP = "vbsbatch.help"


class LazyGroup(click.Group):
    """A group that imports a command's module only when the command is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Every command, in the order of `COMMANDS`."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command, or None when there is none of this name."""
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"vbsbatch.cli.{COMMANDS[cmd_name][0]}")
        command = getattr(module, cmd_name.replace("-", "_"))
        assert isinstance(command, click.Command)
        return command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse, and note whether help is wanted: a wrong config file must not prevent it."""
        ctx.meta[_HELP] = any(option in args for option in _HELP_OPTIONS)
        return super().parse_args(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; a wrong name gets the nearest right one."""
        from difflib import get_close_matches

        name = args[0]
        if name not in COMMANDS and not name.startswith("-"):
            close = get_close_matches(name, COMMANDS, n=1)
            hint = f" Did you mean {close[0]}?" if close else ""
            raise click.UsageError(f"No such command {name!r}.{hint}", ctx)
        return super().resolve_command(ctx, args)


@click.group(
    cls=LazyGroup,
    invoke_without_command=True,
    context_settings={"help_option_names": _HELP_OPTIONS, "max_content_width": 100},
    epilog="""\b
Examples:
  vbsbatch demo
  vbsbatch plan new --cloud otc -o nightly.yaml
  vbsbatch check nightly.yaml --online
  vbsbatch run nightly.yaml
  vbsbatch retry latest --all-failed
""",
)
@click.version_option(__version__, "-V", "--version", prog_name="vbsbatch")
@db_option
@click.pass_context
def app(ctx: click.Context, db: Path | None) -> int | None:
    """Back up hundreds of cloud disks: resumable, rate-limited, nothing twice, nothing lost.

    Alone on a terminal it shows the runs of the store.
    """
    if ctx.invoked_subcommand is not None:
        if ctx.invoked_subcommand != "config" and not ctx.meta[_HELP]:
            use_config()
        if db is not None:
            store = {"db": str(db)}
            ctx.default_map = dict.fromkeys(COMMANDS, store | dict.fromkeys(_INNER, store))
        return None
    from vbsbatch.cli.screen_launcher import show_runs_or_help

    use_config()
    return show_runs_or_help(ctx, db)
