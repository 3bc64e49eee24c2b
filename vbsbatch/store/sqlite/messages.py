"""Messages in the store file, written beside the journals of engines."""

# ruff: noqa: S608 - every part of these statements is a constant of this package

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from sqlite3 import Connection
from typing import Any

from vbsbatch.model import Message, Pace, RunNoted, Wall
from vbsbatch.store.message_ports import MessageStore
from vbsbatch.store.records import ms
from vbsbatch.store.sqlite import journal_sql
from vbsbatch.store.sqlite.codec import storable, whole_number
from vbsbatch.store.sqlite.rows import MESSAGE, event_row

_COLUMNS = ", ".join(f"m.{name}" for name in MESSAGE.names)

OF_RUN = f"""
SELECT r.id, {_COLUMNS} FROM messages m JOIN runs r ON r.no = m.run
WHERE m.run = ? ORDER BY m.first_at, m.fact, m.channel"""

UNSENT = f"""
SELECT r.id, {_COLUMNS} FROM messages m INDEXED BY messages_unsent JOIN runs r ON r.no = m.run
WHERE m.sent_at IS NULL ORDER BY m.first_at, r.no, m.fact, m.channel"""

POST = f"""
INSERT INTO messages (run, {", ".join(MESSAGE.names)})
VALUES ({", ".join("?" * (1 + len(MESSAGE.names)))}) ON CONFLICT DO NOTHING"""

CLAIM = """
UPDATE messages SET tries = tries + 1, due_at = ?, error = NULL
WHERE run = ? AND fact = ? AND channel = ? AND tries = ? AND sent_at IS NULL"""

SENT = "UPDATE messages SET sent_at = ?, error = NULL WHERE run = ? AND fact = ? AND channel = ?"

FAILED = """
UPDATE messages SET error = ?, due_at = ?
WHERE run = ? AND fact = ? AND channel = ? AND sent_at IS NULL"""

PACE = """
SELECT max(ended_at), max(iif(state = 4, ended_at - first_sent_at, NULL)) FROM jobs WHERE run = ?"""
"""Run: its newest end, and the longest time that a job took which has succeeded."""

LAST_NOTE = """
SELECT e.at FROM events e
WHERE e.run = :run AND e.job IS NULL AND e.id > (SELECT first_event FROM runs WHERE no = :run)
  AND e.kind IN (SELECT value FROM json_each(:kinds)) ORDER BY e.id DESC LIMIT 1"""


class SqliteMessages:
    """See `MessageStore`; made by `SqliteStore`, of whose queries it is a part."""

    def __init__(
        self,
        rows: Callable[..., Iterator[Any]],
        number: Callable[[str], int],
        writing: Callable[[], AbstractContextManager[tuple[Connection, int]]],
    ) -> None:
        self._rows = rows
        self._number = number
        self._writing = writing

    def of_run(self, run_id: str) -> list[Message]:
        """See `MessageStore.of_run`."""
        return [_message(row) for row in self._rows(OF_RUN, (self._number(run_id),))]

    def unsent(self) -> list[Message]:
        """See `MessageStore.unsent`."""
        return [_message(row) for row in self._rows(UNSENT)]

    def post(self, message: Message) -> bool:
        """See `MessageStore.post`."""
        return bool(self._write(POST, (self._number(message.run_id), *MESSAGE.encode(message))))

    def claim(self, message: Message, until: Wall) -> bool:
        """See `MessageStore.claim`."""
        return bool(self._write(CLAIM, (ms(until), *self._key(message), message.tries)))

    def sent(self, message: Message, at: Wall) -> None:
        """See `MessageStore.sent`."""
        self._write(SENT, (ms(at), *self._key(message)))

    def failed(self, message: Message, error: str, due_at: Wall) -> None:
        """See `MessageStore.failed`."""
        self._write(FAILED, (storable(error), ms(due_at), *self._key(message)))

    def pace(self, run_id: str) -> Pace:
        """See `MessageStore.pace`."""
        last, longest = next(self._rows(PACE, (self._number(run_id),)))
        return Pace(
            last_end=None if last is None else Wall(whole_number(last) / 1000),
            longest=None if longest is None else whole_number(longest) / 1000,
        )

    def last_note(self, run_id: str, kinds: Iterable[str]) -> Wall | None:
        """See `MessageStore.last_note`."""
        values = {"run": self._number(run_id), "kinds": json.dumps(list(kinds))}
        for (at,) in self._rows(LAST_NOTE, values):
            return Wall(whole_number(at) / 1000)
        return None

    def note(self, run_id: str, event: RunNoted) -> None:
        """See `MessageStore.note`."""
        number = self._number(run_id)
        with self._writing() as (db, rev):
            journal_sql.insert_events(db, number, [event_row(event)])
            db.execute(journal_sql.SET_REV, (rev, number))

    def _key(self, message: Message) -> tuple[int, str, str]:
        return self._number(message.run_id), storable(message.fact), storable(message.channel)

    def _write(self, statement: str, values: tuple[Any, ...]) -> int:
        with self._writing() as (db, _):
            return db.execute(statement, values).rowcount


def _message(row: Any) -> Message:
    return Message(run_id=str(row[0]), **MESSAGE.decode(row[1:]))


def _(messages: SqliteMessages) -> MessageStore:  # mypy compares the two
    return messages
