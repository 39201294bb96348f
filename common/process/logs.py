"""Logs as events: one JSON object a line, or readable lines in development. Secrets are redacted here."""

import logging
import re
import sys
from collections.abc import Iterable
from typing import Any

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from common.errors import StoreBusy

SECRET_NAMES = re.compile(r"(?i)(apikey|api_key|token|ticket|password|secret|authorization)")
SECRET_TEXT = (
    (re.compile(r"(?i)(apikey|api_key|token|ticket|password|secret)=[^&\s'\"]+"), r"\1=***"),
    (re.compile(r"(?i)(API key as )\S+"), r"\1***"),
    (re.compile(r"(?i)(authorization: *)?bearer +[\w.~+/=-]+"), "Bearer ***"),
    (re.compile(r"\bqw_[0-9a-f]{8,}"), "qw_***"),  # an API key of ours
    (re.compile(r"(\w+://)[^/\s]*@"), r"\1***@"),
    (re.compile(r"(Failing row contains )[^\n]*"), r"\1***"),  # PostgreSQL repeats the rejected row
)
TRACEBACKS = structlog.processors.ExceptionRenderer(structlog.tracebacks.ExceptionDictTransformer(show_locals=False))
QUIET = {
    "celery.worker.strategy": logging.WARNING,  # "Task ... received", one line a tick
    "celery.app.trace": logging.WARNING,  # "Task ... succeeded"
    "celery.worker.request": logging.WARNING,  # logs every expired tick
    "celery.beat": logging.WARNING,
    "aiohttp.access": logging.WARNING,
    "aiohttp_jwt.middleware": logging.CRITICAL,  # a traceback for each bad token
}


def open_logs(level: str, *, readable: bool, secrets: Iterable[str] = ()) -> None:
    """Route structlog and the standard library to stdout; `secrets` (of six characters or more) are replaced wherever they occur."""
    redact = _redactor([secret for secret in secrets if len(secret) >= 6])
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    last: list[Processor] = [
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        structlog.processors.format_exc_info if readable else TRACEBACKS,
        redact,
        structlog.dev.ConsoleRenderer(colors=sys.stdout.isatty()) if readable else structlog.processors.JSONRenderer(),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=last))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name, quiet in QUIET.items():
        logging.getLogger(name).setLevel(max(quiet, logging.getLevelName(level)))


class Health:
    """Which of a process's dependencies are up. Each change is logged once."""

    def __init__(self) -> None:
        self._up: dict[str, bool] = {}

    def note(self, name: str, *, up: bool, reason: str = "") -> None:
        before = self._up.get(name, True)
        self._up[name] = up
        if up and not before:
            structlog.get_logger(__name__).info("recovered", what=name)
        if before and not up:
            structlog.get_logger(__name__).warning("lost", what=name, reason=reason)

    def note_failure(self, name: str, error: Exception) -> None:
        """Note that it is down, unless all connections to it were in use: then it is as up as before."""
        if not isinstance(error, StoreBusy):
            self.note(name, up=False, reason=str(error))

    def is_up(self, name: str) -> bool:
        """Whether it was up when last noted; True if it never was."""
        return self._up.get(name, True)


def _redactor(secrets: list[str]) -> Processor:
    known = (
        re.compile("|".join(re.escape(secret) for secret in sorted(secrets, key=len, reverse=True)))
        if secrets
        else None
    )

    def clean(value: Any) -> Any:
        if isinstance(value, str):
            text = known.sub("***", value) if known else value
            for pattern, replacement in SECRET_TEXT:
                text = pattern.sub(replacement, text)
            return text
        if isinstance(value, dict):
            return {
                clean(str(key)): "***" if SECRET_NAMES.search(str(key)) else clean(item) for key, item in value.items()
            }
        if isinstance(value, list | tuple):
            return [clean(item) for item in value]
        # other objects would be turned into text later, unredacted
        return value if value is None or isinstance(value, bool | int | float) else clean(repr(value))

    def redact(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
        cleaned: EventDict = clean(event)
        return cleaned

    return redact
