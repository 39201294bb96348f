"""How a process starts: it reads its settings, then opens logs that hide the secret ones."""

import os
import sys

from common.errors import InvalidSettings
from common.process.environment import mail_password
from common.process.logs import open_logs
from common.process.settings import Settings


def read_settings(*, serves_tokens: bool = False) -> Settings:
    """Read the settings; on a wrong one print one sentence and exit with code 2."""
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
            mail_password(settings.smtp_url),
            *([] if settings.simulated else [settings.provider_key]),
        ],
    )
