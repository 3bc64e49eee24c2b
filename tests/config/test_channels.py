"""`notify` and `ping` of the config file: what is taken, refused, and never said."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from vbsbatch.config import load_config
from vbsbatch.errors import ConfigError
from vbsbatch.masking import masked
from vbsbatch.model import Address, Notice, Pings
from vbsbatch.model.channels import chosen

SECRET = "T0KEN-that-nobody-may-see"
URL = f"https://hooks.example.com/{SECRET}"


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "config.yaml"
    monkeypatch.setenv("VBSBATCH_CONFIG", str(path))
    path.touch(0o600)
    return path


def test_every_key_of_a_channel_is_read(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPS_URL", " ntfys://ntfy.example.com/x \n")
    monkeypatch.delenv("NO_URL", raising=False)
    monkeypatch.setenv("NO_SCHEME", SECRET)
    file.write_text(
        f"notify:\n  hook:\n    url: [json://a.example.com/1, '{URL}']\n"
        "    events: [end, silent, failures, stuck, engine_gone]\n    failures: {over: 5}\n"
        "    silent: {after: 2h}\n    stuck: {after: 6h}\n    engine_gone: {after: 30s}\n"
        "  ops: {env: OPS_URL}\n  no: {env: NO_URL, default: false}\n  odd: {env: NO_SCHEME}\n"
    )
    one, two, ops, missing, odd = load_config().channels
    assert odd.kind == "-"
    assert (one.name, two.name, one.group, two.group) == ("hook/1", "hook/2", "hook", "hook")
    assert (one.kind, two.kind, two.address.url) == ("json", "https", URL)
    assert one.notices == frozenset(Notice) - {Notice.STOPPED, Notice.GATE}
    assert (one.failures_over, one.silent_after, one.stuck_after) == (5, 7200.0, 21600.0)
    assert one.gone_after == 30.0
    assert (ops.address.url, ops.kind) == ("ntfys://ntfy.example.com/x", "ntfys")
    assert (ops.notices, ops.stuck_after, ops.default) == (frozenset(Notice), None, True)
    assert missing.address == Address(variable="NO_URL")
    assert (missing.kind, missing.default) == ("-", False)


def test_pings_are_read_by_plan(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAIL_URL", URL)
    file.write_text("ping:\n  my plan: {start: 'http://h:8/s', failure: {env: FAIL_URL}}\n")
    start, failure = Address(url="http://h:8/s"), Address(url=URL, variable="FAIL_URL")
    assert load_config().pings == {"my plan": Pings(start=start, failure=failure)}


def test_a_plan_that_names_no_channels_has_those_for_every_plan(file: Path) -> None:
    file.write_text("notify: {a: {url: 'x://1'}, b: {url: 'x://2', default: false}}\n")
    channels = load_config().channels
    names = {
        said: [each.name for each in chosen(channels, said)] for said in (None, (), ("b", "gone"))
    }
    assert names == {None: ["a"], (): [], ("b", "gone"): ["b"]}


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604])
def test_a_file_with_urls_that_others_can_read_is_refused(file: Path, mode: int) -> None:
    file.write_text(f"notify:\n  ops:\n    url: {URL}\n")
    file.chmod(mode)
    with pytest.raises(ConfigError) as caught:
        load_config()
    words = f"others can read it ({mode:04o}): run chmod 600 {file}"
    assert str(caught.value) == f"{file}:3:5: holds URLs, which are secrets, and {words}"


def test_a_file_that_only_names_variables_may_be_read_by_others(file: Path) -> None:
    file.write_text("notify: {ops: {env: OPS_URL}}\nping: {p: {start: {env: START_URL}}}\n")
    file.chmod(0o644)
    assert [each.name for each in load_config().channels] == ["ops"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_file_with_urls_of_another_user_is_refused(file: Path) -> None:
    file.write_text(f"notify: {{ops: {{url: '{URL}'}}}}\n")
    os.chown(file, 4242, -1)
    with pytest.raises(ConfigError, match="belongs to another user: it must be yours"):
        load_config()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"notify: {URL}", "1:9: notify: a URL does not belong here: write it after url:"),
        (f"notify: [{URL}]", "1:10: notify: a URL does not belong here"),
        (f"notify: {{ops: {URL}}}", "1:15: notify: a URL does not belong here"),
        (f"notify:\n  ops:\n    {URL}", "3:5: notify: a URL does not belong here"),
        (f"notify: {{ops: {{uri: '{URL}'}}}}", "1:21: notify: a URL does not belong here"),
        (f"notify: {{ops: {{'{URL}': 1}}}}", "1:15: notify: a URL does not belong here"),
        (f"notify: {{'{URL}': {{url: x}}}}", "1:10: notify: a channel's name has letters"),
        (f"notify: {{ops: {{events: ['{URL}'], url: 'x://y'}}}}", "1:25: notify: a URL does"),
        (f"notify: {{ops: {{env: '{URL}'}}}}", "1:21: notify: a URL does not belong here"),
        (f"notify: {{ops: {{url: hooks/{SECRET}}}}}", "1:21: notify.ops.url: must be a URL such"),
        (f"notify: {{ops: hooks/{SECRET}}}", "1:15: notify.ops: must be a map of keys and values"),
        (f"notify: hooks/{SECRET}", "1:9: notify: must be a map of keys and values, not text"),
        (f"notify: {{ops: {{url: &{SECRET} x}}}}", "1:21: anchors are not accepted"),
        (f"notify: {{ops: {{{SECRET}: x, {SECRET}: y}}}}", "unknown key: known here are url, env"),
        (f"ping: {{night: '{URL}'}}", "1:15: ping: a URL does not belong here: write it after st"),
        (f"ping: {{'{URL}': {{start: 'http://h/'}}}}", "1:8: ping: must have names of plans"),
        (f"ping: {{n: {{start: {SECRET}}}}}", "1:19: ping.n.start: must be an http or https URL"),
        (f"ping: {{n: {{start: 'ftp://{SECRET}'}}}}", "1:19: ping.n.start: must be an http or h"),
        (f"ping: {{n: {{start: {{env: '{URL}'}}}}}}", "1:19: ping.n.start: must be the name of"),
        ("notify: {ops: {}}", "1:15: notify.ops: needs a url, or an env"),
        ("notify: {ops: {url: 'x://y', env: A}}", "1:15: notify.ops: needs a url, or an env"),
        ("notify: {ops: {env: A, events: [ende]}}", 'not "ende": did you mean "end"?'),
        ("notify: {ops: {env: A, events: []}}", "1:32: notify.ops.events: "),
        ("notify: {ops: {env: A, evnts: [end]}}", 'unknown key "evnts": did you mean "events"?'),
        ("notify: {ops: {env: A, silent: {after: 1}}}", "1:40: notify.ops.silent.after: must have"),
        ("notify: {ops: {env: A, events: [end], silent: {after: 1h}}}", "has silent, which is not"),
        ("ping: {night: {}}", "1:15: ping.night: needs a start, success or failure"),
    ],
)
def test_a_wrong_file_is_refused_and_no_secret_repeated(file: Path, text: str, words: str) -> None:
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_config()
    assert words in str(caught.value)
    assert SECRET not in str(caught.value)


def test_urls_are_masked_wherever_this_process_prints(file: Path) -> None:
    file.write_text(f"notify: {{ops: {{url: '{URL}'}}}}\n")
    (channel,) = load_config().channels
    assert SECRET not in repr(channel)
    assert masked(f"GET {URL}?x and hooks.example.com/{SECRET}") == "GET https://***?x and ***"
