from __future__ import annotations

import csv
from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vbsbatch.model import Answer, Rule, Verdict
from vbsbatch.policy import documented, judge, judge_cloud_job, meaning
from vbsbatch.policy.codes import table
from vbsbatch.policy.verdicts import OURS

from .reference import ALIASES, FACTS, ONLY_ELSEWHERE, Fact

CREATES = [fact for fact in FACTS if fact.verdict != "query"]
UNPROVEN = [None, 408, 500, 502, 503, 504, 507, 520, 599]
CODES = [fact.code for fact in FACTS]

statuses = st.none() | st.integers(-1, 700) | st.sampled_from([200, 202, 400, 401, 404, 408, 429])
codes = st.none() | st.sampled_from(CODES) | st.text(max_size=30)
ids = st.none() | st.text(min_size=1, max_size=5)
answers = st.builds(
    Answer,
    status=statuses,
    code=codes,
    message=st.none() | st.text(max_size=5),
    retry_after=st.none() | st.floats(0, 1e6),
    cloud_job_id=ids,
    backup_id=ids,
    readable=st.booleans(),
    json=st.booleans(),
)
rules = st.lists(
    st.builds(
        Rule,
        verdict=st.sampled_from(["retry", "later", "unknown", "throttle", "fail", "stop"]).map(
            Verdict
        ),
        status=st.none() | st.integers(300, 599),
        code=st.none() | st.sampled_from(["*", "VolumeBackup.*", "*.0013", *CODES]) | st.text(),
    ),
    max_size=3,
)

# The shipped table ------------------------------------------------------------------------------


@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: fact.code)
def test_the_shipped_table_says_what_the_reference_says(fact: Fact) -> None:
    entry = table()[fact.code]
    assert entry.meaning == fact.meaning
    assert entry.where == ONLY_ELSEWHERE.get(fact.code, "")
    assert entry.verdict == ("retry" if fact.verdict == "query" else fact.verdict)
    assert entry.stop_after == (2 if fact.code == "VolumeBackup.0009" else None)


def test_the_shipped_table_lists_the_status_of_the_reference_and_no_code_beyond_it() -> None:
    text = files("vbsbatch.policy").joinpath("codes.csv").read_text(encoding="utf-8")
    shipped = {row["code"]: row["status"] for row in csv.DictReader(text.splitlines())}
    expected = {fact.code: str(fact.status or "") for fact in FACTS}
    assert shipped == expected | {alias: expected[code] for alias, code in ALIASES.items()}


@pytest.mark.parametrize("alias", ALIASES)
def test_the_gateway_means_the_same_in_either_spelling(alias: str) -> None:
    one, other = table()[alias], table()[ALIASES[alias]]
    assert (one.verdict, one.meaning) == (other.verdict, other.meaning)


# A code with a 4xx ------------------------------------------------------------------------------


@pytest.mark.parametrize("fact", CREATES, ids=lambda fact: fact.code)
@pytest.mark.parametrize("listed", [True, False])
def test_a_refusal_means_what_its_code_says_whatever_its_status(fact: Fact, listed: bool) -> None:
    status = fact.status if listed and fact.status else 400
    judgement = judge(Answer(status=status, code=fact.code))
    assert judgement.verdict == fact.verdict
    assert judgement.meaning == fact.meaning


def test_a_code_of_failed_queries_proves_nothing_about_a_create() -> None:
    assert judge(Answer(status=404, code="common.0011")).verdict is Verdict.FAIL
    assert judge(Answer(status=400, code="common.0011")).verdict is Verdict.FAIL


def test_a_previous_task_of_the_disk_may_be_ours() -> None:
    assert judge(Answer(status=400, code="VolumeBackup.0013")).conflict
    assert judge(Answer(status=409)).conflict
    assert not judge(Answer(status=400, code="VolumeBackup.0012")).conflict


def test_an_unavailable_service_counts_for_the_breaker_even_as_a_400() -> None:
    assert judge(Answer(status=400, code="VolumeBackup.0900")).outage
    assert not judge(Answer(status=400, code="VolumeBackup.0014")).outage


def test_a_key_that_cannot_be_obtained_stops_the_run_the_second_time() -> None:
    assert judge(Answer(status=400, code="VolumeBackup.0009")).stop_after == 2


def test_a_429_is_a_throttle_whatever_its_code() -> None:
    for code in (None, "APIG.0308", "VolumeBackup.0040", "never.seen"):
        assert judge(Answer(status=429, code=code)).verdict is Verdict.THROTTLE


# A status alone ---------------------------------------------------------------------------------

ALONE = [
    (Answer(status=200, cloud_job_id="j"), "accepted"),
    (Answer(status=202, cloud_job_id="j"), "accepted"),
    (Answer(status=202, backup_id="b"), "accepted"),
    (Answer(status=200), "unknown"),
    (Answer(status=202), "unknown"),
    (Answer(status=204), "unknown"),
    (Answer(status=200, readable=False, json=False), "unknown"),
    (Answer(status=200, readable=False, cloud_job_id="j"), "unknown"),
    *((Answer(status=status, json=json), "stop") for status in (300, 301, 302, 307, 308, 399)
      for json in (True, False)),
    (Answer(status=400), "fail"),
    (Answer(status=422), "fail"),
    (Answer(status=402), "fail"),
    (Answer(status=410), "stop"),
    (Answer(status=415), "fail"),
    (Answer(status=499), "fail"),
    (Answer(status=401), "reauth"),
    (Answer(status=401, json=False), "reauth"),
    (Answer(status=403), "stop"),
    (Answer(status=403, json=False), "stop"),
    (Answer(status=404), "fail"),
    (Answer(status=404, json=False), "stop"),
    (Answer(status=405), "stop"),
    (Answer(status=406), "stop"),
    (Answer(status=407), "stop"),
    (Answer(status=407, json=False), "stop"),
    (Answer(status=501), "stop"),
    *((Answer(status=status, json=json), "unknown") for status in UNPROVEN
      for json in (True, False)),
    (Answer(status=409), "later"),
    (Answer(status=413, retry_after=0.0), "throttle"),
    (Answer(status=413, message="Maximum number of backups allowed (5) exceeded"), "stop"),
    (Answer(status=498), "throttle"),
    (Answer(status=497), "throttle"),
    (Answer(status=429), "throttle"),
    (Answer(status=429, json=False), "throttle"),
]  # fmt: skip


@pytest.mark.parametrize(("answer", "verdict"), ALONE, ids=lambda value: str(value)[:40])
def test_a_status_alone_means_what_the_api_notes_say(answer: Answer, verdict: str) -> None:
    assert judge(answer).verdict == verdict


@pytest.mark.parametrize("status", [400, 422])
def test_a_refusal_that_is_no_json_did_not_come_from_the_service(status: int) -> None:
    judgement = judge(Answer(status=status, json=False))
    assert judgement.verdict is Verdict.UNKNOWN


@pytest.mark.parametrize("status", UNPROVEN)
@pytest.mark.parametrize("code", CODES)
def test_no_code_makes_a_failing_server_believable(status: int | None, code: str) -> None:
    judgement = judge(Answer(status=status, code=code))
    if status == 503 and table()[code].verdict is Verdict.THROTTLE:
        assert (
            judgement.verdict is Verdict.THROTTLE
        )  # a rate-limiting gateway has forwarded nothing
        return
    assert judgement.verdict is Verdict.UNKNOWN
    assert judgement.outage


@pytest.mark.parametrize("code", CODES)
def test_an_unreadable_2xx_is_unknown_whatever_its_code_and_no_outage(code: str) -> None:
    judgement = judge(Answer(status=200, code=code))
    assert judgement.verdict is Verdict.UNKNOWN
    assert not judgement.outage


@pytest.mark.parametrize("status", [s for s in range(300, 500) if s != 408] + [501])
def test_with_an_unknown_code_the_status_decides(status: int) -> None:
    assert (
        judge(Answer(status=status, code="Never.Seen")).verdict
        is judge(Answer(status=status)).verdict
    )


# The plan's rules -------------------------------------------------------------------------------


def test_the_plans_rules_come_before_the_shipped_table_and_the_first_match_wins() -> None:
    plan = (
        Rule(status=503, code="VolumeBackup.09*", verdict=Verdict.RETRY),
        Rule(code="VolumeBackup.0040", verdict=Verdict.STOP),
        Rule(code="VolumeBackup.*", verdict=Verdict.FAIL),
        Rule(status=503, verdict=Verdict.LATER),
    )
    assert judge(Answer(status=503, code="VolumeBackup.0900"), plan).verdict is Verdict.RETRY
    assert judge(Answer(status=400, code="VolumeBackup.0040"), plan).verdict is Verdict.STOP
    assert judge(Answer(status=400, code="VolumeBackup.0017"), plan).verdict is Verdict.FAIL
    assert judge(Answer(status=503), plan).verdict is Verdict.LATER
    assert judge(Answer(status=502), plan).verdict is Verdict.UNKNOWN


@pytest.mark.parametrize(
    ("glob", "code", "fits"),
    [
        ("VolumeBackup.09*", "VolumeBackup.0900", True),
        ("VolumeBackup.09*", "VolumeBackup.0090", False),
        ("*.0900", "VolumeBackup.0900", True),
        ("Volume*up.*00", "VolumeBackup.0900", True),
        ("VolumeBackup.0900", "VolumeBackup.09000", False),
        ("VolumeBackup.0900", "xVolumeBackup.0900", False),
        ("VolumeBackup?0900", "VolumeBackup.0900", False),
        ("VolumeBackup.[0]900", "VolumeBackup.0900", False),
        (".*", "VolumeBackup.0900", False),
        ("*", "a\nb", True),
    ],
)
def test_in_a_rules_code_only_the_star_is_special(glob: str, code: str, fits: bool) -> None:
    judgement = judge(Answer(status=418, code=code), [Rule(code=glob, verdict=Verdict.THROTTLE)])
    assert (judgement.verdict is Verdict.THROTTLE) == fits


@pytest.mark.parametrize("verdict", [v for v in Verdict if v is not Verdict.ACCEPTED])
def test_no_rule_makes_an_accepted_create_anything_else(verdict: Verdict) -> None:
    for rule in (Rule(code="*", verdict=verdict), Rule(status=200, verdict=verdict)):
        answer = Answer(status=200, cloud_job_id="j", code="VolumeBackup.0013")
        assert judge(answer, [rule]).verdict is Verdict.ACCEPTED


def test_no_rule_takes_away_the_repeat_after_a_refused_token() -> None:
    rule = Rule(status=401, verdict=Verdict.FAIL)
    assert judge(Answer(status=401), [rule]).verdict is Verdict.REAUTH


def test_a_rule_with_a_code_does_not_match_answers_without_one() -> None:
    rule = Rule(code="*", verdict=Verdict.RETRY)
    for status in (None, 200, 503):
        assert judge(Answer(status=status), [rule]).verdict is Verdict.UNKNOWN


def test_an_outage_that_a_rule_calls_retry_still_counts_for_the_breaker() -> None:
    answer = Answer(status=503, code="VolumeBackup.0900")
    assert judge(answer, [Rule(status=503, verdict=Verdict.RETRY)]).outage
    assert not judge(answer, [Rule(status=503, verdict=Verdict.FAIL)]).outage


# Failed cloud jobs ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "verdict"),
    [
        (None, "retry"),
        ("Never.Seen", "retry"),
        ("VolumeBackup.0017", "retry"),
        ("VolumeBackup.0064", "retry"),
        ("VolumeBackup.0013", "retry"),
        ("APIG.0308", "retry"),
        ("VolumeBackup.0044", "retry"),
        ("VolumeBackup.0021", "fail"),
        ("VolumeBackup.0053", "fail"),
        ("VolumeBackup.0080", "stop"),
        ("VolumeBackup.0027", "unknown"),
    ],
)
def test_a_failed_cloud_job_means_what_its_code_says(code: str | None, verdict: str) -> None:
    assert judge_cloud_job(code).verdict == verdict


def test_rules_with_only_a_code_apply_to_cloud_jobs_too() -> None:
    plan = [
        Rule(status=400, code="VolumeBackup.0017", verdict=Verdict.STOP),
        Rule(code="VolumeBackup.0017", verdict=Verdict.FAIL),
        Rule(status=400, verdict=Verdict.STOP),
    ]
    assert judge_cloud_job("VolumeBackup.0017", plan).verdict is Verdict.FAIL
    assert judge_cloud_job("VolumeBackup.0018", plan).verdict is Verdict.RETRY
    assert judge_cloud_job(None, [Rule(code="*", verdict=Verdict.FAIL)]).verdict is Verdict.RETRY


# Words ------------------------------------------------------------------------------------------


def test_a_job_that_failed_with_404_missed_its_disk_and_not_the_api() -> None:
    there = judge(Answer(status=404, json=True, message="no such volume"))
    assert (there.verdict, documented(None, 404)) == (
        Verdict.FAIL,
        "the disk or the backup does not exist",
    )
    assert judge(Answer(status=404, json=False)).meaning == meaning(None, 404)
    assert "API" in meaning(None, 404)
    assert documented(None, 422) == documented(None, 400)


def test_every_code_has_words_and_only_those_never_seen_are_undocumented() -> None:
    for fact in FACTS:
        assert documented(fact.code, 400) == fact.meaning == meaning(fact.code, 400)
    assert all(documented(code, None) for code in OURS)
    assert documented("Never.Seen", 400) is None
    assert documented(None, 418) is None
    assert documented(None, 503)


# Any answer -------------------------------------------------------------------------------------


@given(answers)
def test_nothing_proves_a_refusal_but_an_answer_of_the_service(answer: Answer) -> None:
    verdict = judge(answer).verdict
    status = answer.status
    if status is None or status == 408 or (status >= 500 and status != 501) or status < 200:
        assert verdict is Verdict.UNKNOWN
    elif status < 300:
        assert verdict in (Verdict.ACCEPTED, Verdict.UNKNOWN)


@given(answers, rules)
def test_accepted_means_a_readable_2xx_that_names_what_it_made(
    answer: Answer, plan: list[Rule]
) -> None:
    accepted = (
        answer.status is not None
        and 200 <= answer.status < 300
        and answer.readable
        and (answer.cloud_job_id or answer.backup_id)
    )
    assert (judge(answer, plan).verdict is Verdict.ACCEPTED) == bool(accepted)


@given(answers, rules)
def test_only_a_matching_rule_changes_a_verdict(answer: Answer, plan: list[Rule]) -> None:
    verdict = judge(answer, plan).verdict
    assert verdict in {judge(answer).verdict, *(rule.verdict for rule in plan)}


@given(codes, rules)
def test_judging_a_cloud_job_never_raises_and_gives_only_possible_verdicts(
    code: str | None, plan: list[Rule]
) -> None:
    judgement = judge_cloud_job(code, plan)
    assert judgement.verdict is not Verdict.ACCEPTED
    assert judgement.meaning
