"""What Compose, Kubernetes and platforms put into the environment: each name is a setting, each value is taken by the settings."""

import json
import re
from collections.abc import Mapping
from typing import Any

import pytest
from honcho.environ import parse_procfile

from common.process.settings import Settings
from simulator.config import from_env as simulator_from_env
from tests.deploy.composition import ROOT, environment, ours
from tests.deploy.overlays import OVERLAYS, of_kind, processes, read
from tests.test_readme import named_in, product

SIMULATOR = named_in("simulator/config.py")
ENTRYPOINTS = {"NOT_WANTED"}  # what docker-compose.yml's own script asks
# Compose brings its own stores, and says who listens where.
FIXED = {"DATABASE_URL", "REDIS_URL", "REDIS_HOST", "REDIS_PORT", "REDIS_TLS_VERIFY", "QUOTEWELL_HOME"}
SECRETS = {
    "DATABASE_URL": "postgresql://u:p@h/d",
    "REDIS_URL": "rediss://h",
    "JWT_SECRET_KEY": "a secret of this test alone, 32 bytes",
    "JWT_PREVIOUS_SECRET_KEY": "another secret of this test, 32 bytes",
    "ALPHA_VANTAGE_API_KEY": "key",
    "SMTP_URL": "",
}


def example() -> dict[str, str]:
    """`.env.example` with every line in force, and a secret of one's own."""
    lines = re.findall(r"^#?([A-Z_]+)=(.*)$", (ROOT / ".env.example").read_text(), re.M)
    return dict(lines) | {"JWT_SECRET_KEY": SECRETS["JWT_SECRET_KEY"]}


def given(overlay: str) -> dict[str, dict[str, str]]:
    """What each container of ours is given by Kubernetes."""
    [config] = of_kind(read(overlay), "ConfigMap")
    found = {}
    for name, container in processes(overlay).items():
        own = {each["name"]: each.get("value", SECRETS.get(each["name"], "")) for each in container.get("env", [])}
        found[name] = (config["data"] if "envFrom" in container else {}) | own
    return found


def accept(process: str, env: Mapping[str, str]) -> Any:
    """The settings of a process; raises for what it would refuse."""
    return simulator_from_env(env) if process == "simulator" else Settings.from_env(env, serves_tokens=process == "api")


def test_compose_sets_nothing_but_settings() -> None:
    for name, service in ours().items():
        declared = set(service["environment"])
        assert set() == declared - (SIMULATOR | ENTRYPOINTS if name == "simulator" else product()), name


def test_compose_hands_every_setting_on() -> None:
    declared = {name for service in ours().values() for name in service["environment"]}

    assert set() == (product() | SIMULATOR) - declared - FIXED


def test_compose_hands_a_setting_to_each_process_that_reads_it_alone() -> None:
    api, worker, beat = (set(ours()[name]["environment"]) for name in ("api", "worker", "beat"))

    assert beat < api
    assert beat < worker
    assert not {"JWT_SECRET_KEY", "JWT_PREVIOUS_SECRET_KEY"} & (worker | beat)
    assert "ALPHA_VANTAGE_API_KEY" not in beat


@pytest.mark.parametrize("shell", [{}, example()], ids=["nothing", "the example"])
@pytest.mark.parametrize("process", sorted(ours()))
def test_what_compose_gives_is_taken(process: str, shell: dict[str, str]) -> None:
    entered = {"DATABASE_URL": SECRETS["DATABASE_URL"], "JWT_SECRET_KEY": SECRETS["JWT_SECRET_KEY"]}

    accept(process, entered | environment(ours()[process], shell))


def test_compose_takes_no_store_and_no_host_of_the_example() -> None:
    found = Settings.from_env(SECRETS | environment(ours()["worker"], example() | {"HOST": "127.0.0.1"}))

    assert ("redis://redis:6379/0", "0.0.0.0") == (found.redis_url, found.host)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_kubernetes_sets_nothing_but_settings_and_all_are_taken(overlay: str) -> None:
    for process, env in given(overlay).items():
        assert set() == set(env) - product() - (SIMULATOR if process == "simulator" else set()), process
        accept(process, env)


def test_in_kubernetes_the_overlay_says_whose_prices_are_served() -> None:
    sources = {overlay: {name: given(overlay)[name] for name in ("api", "worker")} for overlay in OVERLAYS}
    without = {name: {**env, "ALPHA_VANTAGE_API_KEY": ""} for name, env in sources["development"].items()}

    assert ["http://simulator:5002"] * 2 == [accept(name, env).provider_base_url for name, env in without.items()]
    assert ["alphavantage"] * 2 == [accept(name, env).source for name, env in sources["production"].items()]


def test_what_the_base_sets_for_everybody_is_set_alike_by_compose() -> None:
    ports = {"METRICS_PORT", "WORKER_METRICS_PORT"}
    declared = {name: text for service in ours().values() for name, text in service["environment"].items()}

    for overlay in OVERLAYS:
        [config] = of_kind(read(overlay), "ConfigMap")
        assert {name: declared[name] for name in ports} == {name: config["data"][name] for name in ports}


def test_the_manifest_of_platforms_sets_nothing_but_settings() -> None:
    manifest = json.loads((ROOT / "app.json").read_text())["env"]
    values = {name: each["value"] for name, each in manifest.items() if "value" in each}

    assert set() == set(manifest) - product()
    accept("api", SECRETS | values)


@pytest.mark.parametrize("name", ["Procfile", "Procfile.dev"])
def test_a_procfile_sets_nothing(name: str) -> None:
    entries: dict[str, str] = parse_procfile((ROOT / name).read_text()).processes

    assert [] == [entry for entry in entries.values() if re.search(r"(^|\s)[A-Z_]+=", entry)]
