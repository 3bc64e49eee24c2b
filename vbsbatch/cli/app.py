"""The commands by name; each is imported when it is called or asked for help."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import click

from vbsbatch.cli.options import db_option
from vbsbatch.version import __version__

COMMANDS = {
    "run": ("run_commands", "Submit and follow the backups of a plan."),
    "resume": ("run_commands", "Continue an unfinished run."),
    "retry": ("run_commands", "Try failed jobs again, then resume."),
    "attach": ("attach_command", "Watch a run from any terminal."),
    "runs": ("inspect_commands", "List the runs of the store."),
    "status": ("inspect_commands", "Show how a run stands."),
    "jobs": ("inspect_commands", "List the jobs of a run."),
    "report": ("inspect_commands", "Write a report of a run."),
    "verify": ("verify_command", "Hold a run against the cloud."),
    "restore": ("restore_commands", "Overwrite volumes with a run's backups."),
    "prune": ("prune_commands", "Delete a run's backups."),
    "pause": ("steering_commands", "Send no new create for now."),
    "unpause": ("steering_commands", "Go on sending."),
    "stop": ("steering_commands", "Stop a run, to be resumed later."),
    "cancel": ("steering_commands", "Take back jobs that were not sent yet."),
    "take-over": ("steering_commands", "Take over volumes that stopped runs hold."),
    "rate": ("steering_commands", "Change how fast a run sends."),
    "in-flight": ("steering_commands", "Change how many backups of a run may be under way."),
    "plan": ("plan_commands", "Write a plan of what a cloud has, or compare one with it."),
    "vaults": ("vaults_command", "List the vaults of a cloud, with room and disks."),
    "check": ("plan_loading", "Check a plan without touching any cloud."),
    "schema": ("plan_loading", "Print the JSON Schema of plan files, for editors."),
    "demo": ("simulate_command", "Back up a simulated fleet."),
    "simulate": ("simulate_command", "Serve a simulated cloud on this machine."),
    "completion": ("completion", "Print the shell completion script."),
}
"""Command -> (module of this package, what it does in one line)."""


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
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="""\b
Examples:
  vbsbatch check plans/pre-migration.yaml
  vbsbatch run plans/pre-migration.yaml --cloud otc
  vbsbatch status latest
  vbsbatch retry latest --status 503
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
        if db is not None:
            ctx.default_map = {command: {"db": str(db)} for command in COMMANDS}
        return None
    from vbsbatch.cli.screen_launcher import show_runs_or_help

    return show_runs_or_help(ctx, db)
