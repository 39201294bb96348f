"""The judge notices a planted hole in recorded answers, and finds nothing in good ones."""

import json

import pytest

from tests.attack.judge import MAX_RSS_GROWTH, Answer, Judge, errors_of

NOTHING = {"status_500": 0, "let_in": 0, "lost_writes": 0, "rss_growth_mib": 0.0, "probe_failures": 0}
OK = Answer("GET /api/watchlist", 200, text='{"watchlist": []}')
REFUSED = Answer("GET /api/watchlist", 401, text='{"code": "invalid_token"}')
BROKEN = Answer("GET /api/watchlist", 500, text='{"code": "internal"}')
SILENT = Answer("GET /api/watchlist", 0, why="TimeoutError()")
ASKED_ON = Answer("POST /api/auth/login", 100)
ERROR = json.dumps({"event": "request_failed", "level": "error", "exception": "a traceback"})
INFO = json.dumps({"event": "request", "level": "info", "status": 400, "why": "Traceback in a client's text"})


def test_good_answers_hold() -> None:
    judge = Judge()
    judge.must_serve(judge.count(OK))
    judge.must_refuse(judge.count(REFUSED))
    judge.must_answer(REFUSED)
    judge.must_keep({"AAPL"}, {"AAPL", "IBM"}, "a list")
    judge.must_bound(20, 20, "streams")
    judge.read_log("api", [INFO])

    assert judge.holds
    assert {"requests": 2, **NOTHING} == judge.as_json()


@pytest.mark.parametrize(
    ("plant", "kind", "number"),
    [
        (lambda judge: judge.count(BROKEN), "status_500", 1),
        (lambda judge: judge.must_answer(SILENT), "status_500", 1),
        (lambda judge: judge.read_log("api", [INFO, ERROR]), "status_500", 1),
        (lambda judge: judge.must_refuse(OK), "let_in", 1),
        (lambda judge: judge.must_refuse(ASKED_ON), "let_in", 1),
        (lambda judge: judge.must_bound(23, 20, "streams"), "let_in", 3),
        (lambda judge: judge.must_keep({"AAPL", "IBM"}, {"IBM"}, "a list"), "lost_writes", 1),
        (lambda judge: judge.must_serve(REFUSED), "probe_failures", 1),
        (lambda judge: judge.must_serve(SILENT), "probe_failures", 1),
    ],
)
def test_a_planted_hole_is_noticed(plant: object, kind: str, number: int) -> None:
    judge = Judge(requests=1)
    plant(judge)  # type: ignore[operator]

    assert not judge.holds
    assert number == judge.as_json()[kind]
    assert f"  {kind}: " in "\n".join(judge.report())


def test_memory_that_grows_does_not_hold() -> None:
    judge = Judge(requests=1, growth={"api": MAX_RSS_GROWTH + 1, "generated": 1.0})

    assert not judge.holds
    assert MAX_RSS_GROWTH + 1 == judge.as_json()["rss_growth_mib"]


def test_an_attack_that_sent_nothing_does_not_hold() -> None:
    assert not Judge().holds


def test_a_failure_names_its_request_and_its_answer() -> None:
    judge = Judge()
    judge.count(BROKEN)

    assert ["  status_500: 'GET /api/watchlist' -> '500 {\"code\": \"internal\"}'"] == list(judge.report())


def test_tracebacks_outside_of_events_are_errors_and_plain_lines_are_not() -> None:
    lines = ["Traceback (most recent call last):", "ready to accept connections", "OSError: Too many open files", ""]

    assert [lines[0], lines[2]] == list(errors_of(lines))
