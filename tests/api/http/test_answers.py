"""What one process keeps of its answers: bounded in bytes, and not for ever."""

import tracemalloc
from datetime import UTC, datetime

from api.http.answers import FALLBACK_TTL, OVERHEAD, Answer, Answers

NOW = 1_800_000_000.0
AT = datetime.fromtimestamp(NOW, UTC)


def an_answer(size: int, *, good_until: float = NOW + 60, vouched: bytes | None = None) -> Answer:
    return Answer(b"x" * size, AT, NOW + 60, 5, good_until, vouched=vouched)


def kept(answers: Answers, paths: str) -> str:
    return "".join(path for path in paths if answers.last(path))


def test_the_least_recently_used_go_when_the_bytes_are_used_up() -> None:
    answers = Answers(max_bytes=3 * (OVERHEAD + 1000))
    for path in "abc":
        answers.keep(path, an_answer(900))
    answers.find("a", NOW)
    answers.keep("d", an_answer(900))
    small = kept(answers, "abcd")
    answers.keep("e", an_answer(OVERHEAD + 1900))

    assert ("acd", "de") == (small, kept(answers, "abcde"))


def test_an_answer_too_large_to_keep_is_still_given() -> None:
    answers = Answers(max_bytes=OVERHEAD)
    large = an_answer(1)

    assert large is answers.keep("large", large)
    assert (0, None) == (answers.size, answers.last("large"))


def test_an_answer_that_replaces_another_counts_once() -> None:
    answers = Answers()
    for size in (900, 10, 300):
        answers.keep("a", an_answer(size, vouched=b"y" * size))
    size = answers.size
    answers.drop("a")
    answers.drop("a")

    assert (OVERHEAD + 1 + 600, 0) == (size, answers.size)


def test_what_is_past_its_time_goes() -> None:
    answers = Answers()
    for path, until in (("a", NOW), ("b", NOW + 1), ("c", NOW + FALLBACK_TTL)):
        answers.keep(path, an_answer(10, good_until=until))
    answers.sweep(NOW + FALLBACK_TTL - 1)
    before = kept(answers, "abc")
    answers.sweep(NOW + FALLBACK_TTL)
    after = kept(answers, "abc")
    answers.sweep(NOW + 2 * FALLBACK_TTL)

    assert ("abc", "bc", 0) == (before, after, answers.size)


def test_the_size_is_what_the_answers_take_with_the_heads_that_reads_add() -> None:
    answers = Answers()
    tracemalloc.start()
    try:
        begun = tracemalloc.get_traced_memory()[0]
        for number in range(500):
            answer = answers.keep(f"/api/stock/S{number}", an_answer(350 + number, vouched=b"%0300d" % number))
            answer.raw(200, NOW, "0" * 32)
            answer.raw(304, NOW, "0" * 32)
        taken = tracemalloc.get_traced_memory()[0] - begun
    finally:
        tracemalloc.stop()

    assert 0.8 < taken / answers.size < 1.1
