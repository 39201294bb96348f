"""How a process starts: settings or a plain refusal, then logs that know which strings are secret."""

import os
import sys

from common.errors import InvalidSettings
from common.process.logs import open_logs
from common.process.settings import Settings


def read_settings(*, serves_tokens: bool = False) -> Settings:
    """The settings of this process; a wrong one ends it with exit code 2 and one sentence."""
    try:
        return Settings.from_env(os.environ, serves_tokens=serves_tokens)
    except InvalidSettings as error:
        print(f"quotewell: {error}", file=sys.stderr)
        raise SystemExit(2) from None


def open_process_logs(settings: Settings) -> None:
    """Readable lines in development, one JSON object a line elsewhere."""
    open_logs(
        settings.log_level,
        readable=settings.environment == "development",
        secrets=[
            settings.jwt_secret,
            settings.jwt_previous_secret,
            *([] if settings.simulated else [settings.provider_key]),
        ],
    )
