"""The ports for metrics: off unless set, and never the one that the public reaches."""

import pytest

from common.errors import InvalidSettings
from common.process.settings import Settings

ENV = {"QUOTEWELL_ENV": "testing", "DATABASE_URL": "postgresql:///q", "REDIS_URL": "redis://localhost"}
NAMES = ("METRICS_PORT", "WORKER_METRICS_PORT")


def ports(**env: str) -> tuple[int, int]:
    settings = Settings.from_env({**ENV, **env})
    return settings.metrics_port, settings.worker_metrics_port


def test_metrics_are_off_unless_a_port_is_set() -> None:
    assert (0, 0) == ports()
    assert (9101, 0) == ports(METRICS_PORT="9101")
    assert (0, 9102) == ports(WORKER_METRICS_PORT="9102")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", ["-1", "65536", "port", "9101.5"])
def test_what_is_no_port_is_refused_by_its_name(name: str, value: str) -> None:
    with pytest.raises(InvalidSettings, match=f"^{name}: expected a number from 0 to 65535, not '{value}'$"):
        ports(**{name: value})


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("env", [{}, {"PORT": "9101"}])
def test_the_port_of_the_api_is_refused(name: str, env: dict[str, str]) -> None:
    port = env.get("PORT", "5001")
    with pytest.raises(InvalidSettings, match=f"^{name}: expected another port than that of the API, not {port}$"):
        ports(**env, **{name: port})
