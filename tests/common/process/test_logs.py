"""What logs look like, and what they must never contain."""

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from yarl import URL

from common.process.logs import QUIET, Health, open_logs

CANARY = "CANARY-0123456789"
SECRETS = [CANARY, "known+secret/with(regex)", "tiny"]


@pytest.fixture(autouse=True)
def restored_logging() -> Iterator[None]:
    """Logging is the process's own: what a test opens is put back."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    levels = {name: logging.getLogger(name).level for name in QUIET}
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def written(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def fail_beside_a_secret() -> None:
    local = "CANARY-IN-A-LOCAL"  # its name alone would not have it struck out
    raise ValueError(f"a text of {len(local)} characters")


def test_an_event_is_one_json_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    open_logs("INFO", readable=False)
    structlog.contextvars.bind_contextvars(request_id="r1")
    structlog.get_logger("tests").info("quote_refreshed", symbol="IBM", slots_left=3, note="two\nlines")
    [line] = written(capsys)

    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "quote_refreshed",
        "level": "info",
        "symbol": "IBM",
        "slots_left": 3,
        "note": "two\nlines",
        "request_id": "r1",
    }


def test_the_standard_librarys_records_become_events_too(capsys: pytest.CaptureFixture[str]) -> None:
    open_logs("INFO", readable=False)
    logging.getLogger("tests.other").warning("%s of %d", "three", 5)
    [line] = written(capsys)

    assert ("three of 5", "warning") == (line["event"], line["level"])


def test_what_lies_below_the_level_is_not_written(capsys: pytest.CaptureFixture[str]) -> None:
    open_logs("WARNING", readable=False)
    structlog.get_logger("tests").info("quiet")
    logging.getLogger("tests.other").info("quiet")
    structlog.get_logger("tests").warning("loud")

    assert ["loud"] == [line["event"] for line in written(capsys)]


@pytest.mark.parametrize("name", sorted(QUIET))
def test_noisy_libraries_are_quiet_even_at_debug(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    open_logs("DEBUG", readable=False)
    logging.getLogger(name).info("a line a tick")

    assert [] == written(capsys)


# The text that is logged, and what of it must be left.
TEXTS = [
    (f"GET /query?function=X&apikey={CANARY}&symbol=IBM", "GET /query?function=X&apikey=***&symbol=IBM"),
    ("GET /query?apikey=UNKNOWN-KEY&symbol=IBM", "GET /query?apikey=***&symbol=IBM"),
    ("APIKEY=unknown 'api_key=unknown'", "APIKEY=*** 'api_key=***'"),
    ("?token=abc&password=def secret=ghi", "?token=***&password=*** secret=***"),
    ("postgresql://user:hidden@db:5432/q", "postgresql://***@db:5432/q"),  # pragma: allowlist secret
    ("postgresql+psycopg://user:hidden@db/q", "postgresql+psycopg://***@db/q"),  # pragma: allowlist secret
    ("redis://:hidden@cache:6379/0 and more", "redis://***@cache:6379/0 and more"),  # pragma: allowlist secret
    ("postgresql://user:hid@den@db/q", "postgresql://***@db/q"),  # pragma: allowlist secret
    ("http://db.test/a@b", "http://db.test/a@b"),
    ("Authorization: Bearer eyJhbGciOi.J9.x-y_z=", "Bearer ***"),
    ("bearer eyJhbGciOi.J9.x-y_z", "Bearer ***"),
    ("We have detected your API key as UNKNOWNKEY1 and our", "We have detected your API key as *** and our"),
    (f"a key qw_{'0a' * 32} of ours", "a key qw_*** of ours"),
    ("smtp://user:hidden@mail:587", "smtp://***@mail:587"),  # pragma: allowlist secret
    (f"{CANARY}{CANARY}", "******"),
    ("known+secret/with(regex)!", "***!"),
    ("a tiny word of four letters stays", "a tiny word of four letters stays"),
    ("quote_refreshed", "quote_refreshed"),
]


@pytest.mark.parametrize(("text", "left"), TEXTS)
def test_secrets_are_struck_out_of_texts_wherever_they_stand(
    text: str, left: str, capsys: pytest.CaptureFixture[str]
) -> None:
    open_logs("INFO", readable=False, secrets=SECRETS)
    log = structlog.get_logger("tests")
    log.info(text)
    log.info("event", field=text, nested={"deep": [{"deeper": (text,)}]})
    logging.getLogger("tests.other").info("%s", text)
    first, second, third = written(capsys)

    assert (left, left) == (first["event"], third["event"])
    assert left == second["field"]
    assert {"deep": [{"deeper": [left]}]} == second["nested"]


@pytest.mark.parametrize(("text", "left"), TEXTS)
def test_readable_lines_are_struck_out_as_well(text: str, left: str, capsys: pytest.CaptureFixture[str]) -> None:
    open_logs("INFO", readable=True, secrets=SECRETS)
    structlog.get_logger("tests").info(text)

    assert left in capsys.readouterr().out


@pytest.mark.parametrize(
    "name", ["apikey", "api_key", "API_KEY", "token", "access_token", "password", "jwt_secret", "Authorization"]
)
def test_a_field_with_a_secrets_name_is_struck_out_whatever_it_holds(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    open_logs("INFO", readable=False)
    structlog.get_logger("tests").info("event", headers={name: ["anything"]}, **{name: "anything"})
    [line] = written(capsys)

    assert ("***", {name: "***"}) == (line[name], line["headers"])


class Holder:
    """Something that shows a secret when it is turned into a text."""

    def __repr__(self) -> str:
        return f"Holder(apikey={CANARY})"


@pytest.mark.parametrize(
    "value",
    [
        ValueError(f"GET /query?apikey={CANARY}"),
        URL(f"http://provider.test/query?apikey={CANARY}"),
        Holder(),
        CANARY.encode(),
        {CANARY},
        {"deep": [Holder()]},
        {CANARY: 1},
    ],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.parametrize("readable", [False, True])
def test_what_only_becomes_a_text_when_it_is_written_is_struck_out_too(
    readable: bool, value: object, capsys: pytest.CaptureFixture[str]
) -> None:
    open_logs("INFO", readable=readable, secrets=SECRETS)
    structlog.get_logger("tests").info("event", value=value)
    line = capsys.readouterr().out

    assert "event" in line
    assert CANARY not in line


@pytest.mark.parametrize("readable", [False, True])
@pytest.mark.parametrize("foreign", [False, True])
def test_a_traceback_names_the_error_but_no_local_variable(
    readable: bool, foreign: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    open_logs("INFO", readable=readable)
    try:
        fail_beside_a_secret()
    except ValueError:
        (logging.getLogger("tests.other") if foreign else structlog.get_logger("tests")).exception("job_failed")
    text = capsys.readouterr().out

    assert "a text of 17 characters" in text
    assert "fail_beside_a_secret" in text
    # the source line holds the name and the length, never the value
    assert "CANARY-IN-A-LOCAL" not in text


@pytest.mark.parametrize("readable", [False, True])
def test_a_secret_in_an_errors_text_is_struck_out_of_the_traceback(
    readable: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    open_logs("INFO", readable=readable, secrets=SECRETS)
    try:
        try:
            raise OSError(f"while asking {CANARY}")
        except OSError as error:
            raise ValueError("postgresql://user:hidden@db/q") from error  # pragma: allowlist secret
    except ValueError:
        structlog.get_logger("tests").exception("job_failed")
    text = capsys.readouterr().out

    assert "while asking ***" in text
    assert "postgresql://***@db/q" in text
    assert CANARY not in text


def test_without_secrets_nothing_else_is_struck_out(capsys: pytest.CaptureFixture[str]) -> None:
    open_logs("INFO", readable=False, secrets=["", "short"])
    structlog.get_logger("tests").info("a short text", number=1.5, nothing=None, yes=True)
    [line] = written(capsys)

    assert ("a short text", 1.5, None, True) == (line["event"], line["number"], line["nothing"], line["yes"])


def test_a_secret_that_begins_like_another_leaves_nothing_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    open_logs("INFO", readable=False, secrets=["canary", "canary-and-more"])
    structlog.get_logger("tests").info("event", text="canary-and-more canary")
    [line] = written(capsys)

    assert line["text"] == "*** ***"


def test_health_logs_a_change_once(capsys: pytest.CaptureFixture[str]) -> None:
    open_logs("INFO", readable=False)
    health = Health()
    for up in (True, False, False, False, True, True, False):
        health.note("redis", up=up, reason="ConnectionError" if not up else "")
    lines = [(line["event"], line["level"], line["what"], line.get("reason")) for line in written(capsys)]

    assert lines == [
        ("lost", "warning", "redis", "ConnectionError"),
        ("recovered", "info", "redis", None),
        ("lost", "warning", "redis", "ConnectionError"),
    ]


def test_health_keeps_each_thing_apart_and_takes_the_unseen_to_be_up(capsys: pytest.CaptureFixture[str]) -> None:
    open_logs("INFO", readable=False)
    health = Health()
    health.note("redis", up=False)
    health.note("postgres", up=True)

    assert (False, True, True) == (health.is_up("redis"), health.is_up("postgres"), health.is_up("provider"))
    assert ["redis"] == [line["what"] for line in written(capsys)]
