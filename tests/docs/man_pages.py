"""Writes the man pages in `man/`, one a command, from the help of the commands (`make man`)."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path

import click

from vbsbatch.cli.app import app

FOLDER = Path(__file__).parents[2] / "man"


def pages() -> dict[str, str]:
    """Every page by its file's name."""
    return {f"{name.replace(' ', '-')}.1": text for name, text in _of(app, None, "vbsbatch")}


def _of(
    command: click.Command, parent: click.Context | None, name: str
) -> Iterator[tuple[str, str]]:
    """The page of a command, then those of its subcommands."""
    settings = command.context_settings
    context = click.Context(command, parent, name.rpartition(" ")[2], **settings)
    yield name, "\n".join(_page(command, context, name)) + "\n"
    if isinstance(command, click.Group):
        for verb in command.list_commands(context):
            found = command.get_command(context, verb)
            assert found is not None
            yield from _of(found, context, f"{name} {verb}")


def _page(command: click.Command, context: click.Context, name: str) -> Iterator[str]:
    title = name.replace(" ", "-")
    text = inspect.cleandoc(command.help or "")
    first, _, _ = text.partition("\n\n")
    about = " ".join(first.split()).rstrip(".")
    yield f'.TH "{title.upper()}" 1 "" "vbsbatch" "vbsbatch"'
    yield from (".SH NAME", f"{_escaped(title)} \\- {_escaped(about)}")
    usage = " ".join(command.collect_usage_pieces(context))
    yield from (".SH SYNOPSIS", f".B {_escaped(name)}", _escaped(usage))
    yield ".SH DESCRIPTION"
    yield from _paragraphs(text)
    yield ".SH OPTIONS"
    for param in command.get_params(context):
        record = param.get_help_record(context) if isinstance(param, click.Option) else None
        if record is not None:
            yield from (".TP", f"\\fB{_escaped(record[0])}\\fR", _escaped(record[1]))
    if isinstance(command, click.Group):
        yield from _subcommands(command, context, title)
    yield from _paragraphs(inspect.cleandoc(command.epilog or ""))
    yield from _see_also(title)


def _subcommands(group: click.Group, context: click.Context, title: str) -> Iterator[str]:
    yield ".SH COMMANDS"
    for verb in group.list_commands(context):
        found = group.get_command(context, verb)
        assert found is not None
        about = found.get_short_help_str(limit=200)
        yield from (".TP", f"\\fB{_escaped(title)}\\-{_escaped(verb)}\\fR(1)", _escaped(about))


def _paragraphs(text: str) -> Iterator[str]:
    """Paragraphs as they are filled; those that click leaves as they are, line by line."""
    for paragraph in filter(None, text.split("\n\n")):
        if not paragraph.startswith("\b\n"):
            yield from (".PP", *map(_escaped, paragraph.splitlines()))
            continue
        heading, *lines = paragraph.splitlines()[1:]
        yield from (f".SH {_escaped(heading.rstrip(':').upper())}", ".nf")
        yield from (*map(_escaped, lines), ".fi")


def _see_also(title: str) -> Iterator[str]:
    if title != "vbsbatch":
        yield from (".SH SEE ALSO", ".BR vbsbatch (1)")


def _escaped(text: str) -> str:
    """The text without a meaning for troff."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{escaped}" if escaped.startswith((".", "'")) else escaped


def main() -> None:
    """Write all pages, and remove those of commands that are gone."""
    FOLDER.mkdir(exist_ok=True)
    written = pages()
    for path in FOLDER.glob("*.1"):
        if path.name not in written:
            path.unlink()
    for name, text in written.items():
        (FOLDER / name).write_text(text, "utf-8")


if __name__ == "__main__":
    main()
