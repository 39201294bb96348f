import pytest

from common.core.limits import parse_limits
from common.errors import InvalidSettings
from simulator.config import Config, from_env


def limits_of(env: dict[str, str]) -> str:
    return ",".join(map(str, from_env(env).limits))


def test_an_empty_environment_is_the_free_plan_of_old_on_port_5002() -> None:
    config = from_env({})

    assert "1/1s,5/1min" == limits_of({})
    assert (config.host, config.port, config.latency, config.entitled) == ("127.0.0.1", 5002, (0.05, 0.05), False)


@pytest.mark.parametrize(
    ("env", "limits"),
    [
        ({"PROVIDER_LIMITS": "25/1d"}, "25/1d"),
        ({"PROVIDER_LIMITS": "25/1d", "SIMULATOR_LIMITS": "5/min"}, "5/1min"),
        ({"PROVIDER_LIMITS": "", "SIMULATOR_LIMITS": ""}, "1/1s,5/1min"),
    ],
)
def test_the_simulators_limits_win_over_the_providers(env: dict[str, str], limits: str) -> None:
    assert limits_of(env) == limits


def test_every_setting_is_read() -> None:
    env = {
        "SIMULATOR_PORT": "6000",
        "HOST": "0.0.0.0",
        "SIMULATOR_LIMITS": "7/1s",
        "SIMULATOR_LATENCY": "0.05-0.3",
        "SIMULATOR_SEED": "9",
        "SIMULATOR_ENTITLED": "1",
        "SIMULATOR_UNKNOWN": "error_message",
        "SIMULATOR_EXTRA_SYMBOLS": "1000",
        "SIMULATOR_DEAD_SYMBOLS": "gone, IBM",
    }
    expected = Config(
        limits=parse_limits("7/1s", "limits"),
        latency=(0.05, 0.3),
        seed=9,
        entitled=True,
        unknown="error_message",
        extra_symbols=1000,
        dead_symbols=frozenset({"GONE", "IBM"}),
        host="0.0.0.0",
        port=6000,
    )

    assert from_env(env) == expected


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SIMULATOR_PORT", "70000"),
        ("SIMULATOR_PORT", "-1"),
        ("SIMULATOR_LIMITS", "five a minute"),
        ("PROVIDER_LIMITS", "5/parsec"),
        ("SIMULATOR_LATENCY", "fast"),
        ("SIMULATOR_LATENCY", "0.3-0.05"),
        ("SIMULATOR_LATENCY", "nan"),
        ("SIMULATOR_SEED", "x"),
        ("SIMULATOR_ENTITLED", "maybe"),
        ("SIMULATOR_UNKNOWN", "silence"),
        ("SIMULATOR_EXTRA_SYMBOLS", "many"),
        ("SIMULATOR_DEAD_SYMBOLS", "A B"),
    ],
)
def test_a_wrong_setting_is_refused_by_name_and_with_what_was_expected(name: str, value: str) -> None:
    with pytest.raises(InvalidSettings, match=f"^{name}: expected .*not '{value}'"):
        from_env({name: value})
