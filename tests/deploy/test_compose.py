"""docker-compose.yml: valid by its published schema, strict, without a secret, ordered, and of one mind with the files that it names."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]
from honcho.environ import parse_procfile

from common.process.broker import open_celery
from common.process.settings import Settings
from tests.deploy.composition import PATH, ROOT, compose, ours, services
from tests.harness.processes import BIN

SERVICES = sorted(services())
STORES = {"postgres", "redis"}
DONE, HEALTHY = "service_completed_successfully", "service_healthy"


def waits(service: str) -> dict[str, str]:
    return {name: wait["condition"] for name, wait in services()[service].get("depends_on", {}).items()}


def volumes(service: str) -> list[list[str]]:
    return [mount.split(":") for mount in services()[service].get("volumes", [])]


def validate(path: Path) -> "subprocess.CompletedProcess[str]":
    checker = [str(BIN / "check-jsonschema"), "--builtin-schema", "vendor.compose-spec", str(path)]
    return subprocess.run(checker, check=False, capture_output=True, text=True, timeout=60)


def test_the_published_schema_takes_it() -> None:
    done = validate(PATH)

    assert 0 == done.returncode, done.stdout + done.stderr


def test_the_published_schema_refuses_a_word_that_compose_does_not_know(tmp_path: Path) -> None:
    (tmp_path / "compose.yml").write_text(PATH.read_text().replace("healthcheck:", "health_check:", 1))

    assert 0 != validate(tmp_path / "compose.yml").returncode


@pytest.mark.parametrize("name", SERVICES)
def test_a_container_may_do_no_more_than_it_must(name: str) -> None:
    service = services()[name]

    assert (["ALL"], ["no-new-privileges:true"], True) == (
        service["cap_drop"],
        service["security_opt"],
        service["read_only"],
    )
    assert not {"cap_add", "privileged", "pid", "ipc", "devices"} & set(service)
    assert {"cpus", "memory", "pids"} == set(service["deploy"]["resources"]["limits"])
    assert "30s" == service["stop_grace_period"]
    assert "10m" == service["logging"]["options"]["max-size"]
    assert re.fullmatch(r"[a-z/]+:v?\d+\.\d+(\.\d+)?(-[a-z]+)?", service["image"]), "pinned to a version"


def test_only_who_draws_the_secrets_is_root_and_has_no_network() -> None:
    users = {name: str(service.get("user", "the image's")) for name, service in services().items()}

    assert ["secrets"] == [name for name, user in users.items() if user.partition(":")[0] in ("0", "root")]
    assert {"10001:10001"} == {users[name] for name in ours()}
    assert "none" == services()["secrets"]["network_mode"]


def test_no_secret_stands_in_the_file() -> None:
    secret = re.compile("PASSWORD|SECRET|KEY|TOKEN|AUTH")
    named = {
        value
        for service in services().values()
        for name, value in service.get("environment", {}).items()
        if secret.search(name)
    }

    assert {None, "/run/database/password", "/run/grafana/password"} == named


def test_each_secret_is_read_only_by_those_who_need_it() -> None:
    held = {
        f"{volume[0]} of {name}": volume[2:] for name in SERVICES for volume in volumes(name) if "secret" in volume[0]
    }
    writes: dict[str, list[str]] = {f"secret-{kind} of secrets": [] for kind in ("database", "jwt", "grafana")}
    reads = [f"secret-database of {name}" for name in ("postgres", "migrate", "api", "worker", "beat")]

    assert writes | {mount: ["ro"] for mount in [*reads, "secret-jwt of api", "secret-grafana of grafana"]} == held


def test_processes_start_in_order() -> None:
    stores = {"secrets": DONE, "postgres": HEALTHY, "redis": HEALTHY}

    assert {"secrets": DONE} == waits("postgres")
    assert stores == waits("migrate")
    assert [{**stores, "migrate": DONE}] * 3 == [waits(name) for name in ("api", "worker", "beat")]
    assert {"secrets": DONE, "prometheus": HEALTHY} == waits("grafana")
    assert {"redis": HEALTHY} == waits("flower")


def test_who_is_waited_for_can_become_what_is_waited_for() -> None:
    for name in SERVICES:
        for other, condition in waits(name).items():
            service = services()[other]
            assert (condition == HEALTHY) == ("test" in service["healthcheck"]), other
            assert (condition == DONE) == (service["restart"] == "no"), other
            assert set(service.get("profiles", [])) <= set(services()[name].get("profiles", [])), other


def test_stores_and_beat_have_no_way_out_and_nobody_outside_a_way_in() -> None:
    alone = {name for name in SERVICES if services()[name].get("networks") == ["inside"]}

    assert STORES | {"migrate", "beat"} == alone
    assert compose()["networks"]["inside"]["internal"]
    assert not [name for name in alone if services()[name].get("ports")]


def test_ports_are_open_to_this_machine_alone_and_the_apis_to_others_where_asked() -> None:
    ports = {name: service["ports"] for name, service in services().items() if "ports" in service}

    assert ["${PUBLISH:-127.0.0.1}:5001:5001"] == ports.pop("api")
    assert {"simulator", "prometheus", "grafana", "flower"} == set(ports)
    assert all(port.startswith("127.0.0.1:") for ports in ports.values() for port in ports)


def test_profiles_add_what_not_everybody_wants() -> None:
    assert {"prometheus": ["monitoring"], "grafana": ["monitoring"], "flower": ["flower"]} == {
        name: service["profiles"] for name, service in services().items() if "profiles" in service
    }


def test_one_image_runs_the_commands_of_the_procfile() -> None:
    entries = parse_procfile((ROOT / "Procfile").read_text()).processes
    # of the Procfile alone: what saves a small Redis connections, and hides workers from Flower
    entries = {name: re.sub("^exec | --without-[a-z]+", "", entry) for name, entry in entries.items()}
    simulator = parse_procfile((ROOT / "Procfile.dev").read_text()).processes["simulator"].removeprefix("exec ")
    commands = {name: " ".join(service["command"]) for name, service in ours().items()}

    assert 1 == len({service["image"] for service in [*ours().values(), services()["secrets"]]})
    assert {"api": entries["web"], "worker": entries["worker"], "beat": entries["beat"], "simulator": simulator} == {
        name: text for name, text in commands.items() if name != "migrate"
    }


def test_every_mount_is_a_volume_that_is_named_or_a_file_that_is_here() -> None:
    sources = {volume[0] for name in SERVICES for volume in volumes(name)}
    here = {source for source in sources if source.startswith("./")}

    assert set(compose()["volumes"]) == sources - here
    assert [] == [source for source in sorted(here) if not (ROOT / source).exists()]


def test_prometheus_asks_the_ports_that_are_set() -> None:
    config = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())
    targets = [
        target for job in config["scrape_configs"] for each in job["static_configs"] for target in each["targets"]
    ]
    api, worker = services()["api"]["environment"], services()["worker"]["environment"]

    assert [f"api:{api['METRICS_PORT']}", f"worker:{worker['WORKER_METRICS_PORT']}"] == targets


def test_grafana_finds_prometheus_and_the_dashboard() -> None:
    folder = ROOT / "deploy/grafana/provisioning"
    [source] = yaml.safe_load((folder / "datasources/prometheus.yml").read_text())["datasources"]
    [provider] = yaml.safe_load((folder / "dashboards/quotewell.yml").read_text())["providers"]
    mounts = {volume[1]: volume[0] for volume in volumes("grafana")}
    dashboard = json.loads((ROOT / "deploy/grafana/dashboard.json").read_text())

    assert ("http://prometheus:9090", True, "prometheus") == (source["url"], source["isDefault"], source["type"])
    assert "./deploy/grafana/dashboard.json" == mounts[f"{provider['options']['path']}/quotewell.json"]
    assert source["type"] in {variable["query"] for variable in dashboard["templating"]["list"]}


def test_flower_reads_the_keys_that_our_celery_writes() -> None:
    settings = Settings.from_env(
        {"DATABASE_URL": "postgresql://h/d", "REDIS_URL": "redis://h", "QUOTEWELL_ENV": "testing"}
    )
    flower = services()["flower"]
    [[folder, there, _]] = volumes("flower")
    told: dict[str, Any] = {}
    exec((ROOT / folder / f"{flower['environment']['CELERY_CONFIG_MODULE']}.py").read_text(), told)
    ours = open_celery(settings).conf.broker_transport_options

    assert there == flower["environment"]["PYTHONPATH"]
    assert {"global_keyprefix": ours["global_keyprefix"]} == told["broker_transport_options"]


def test_one_service_builds_the_image_and_all_others_of_ours_wait_for_it() -> None:
    """Compose builds each service by itself, and two builds of one tag at once may fail."""
    assert ["secrets"] == [name for name in SERVICES if "build" in services()[name]]
    assert [] == [name for name in ours() if "secrets" not in waits(name)]


def test_no_service_asks_for_more_cores_than_the_smallest_machine_has() -> None:
    """Docker refuses to start what may use more cores than there are."""
    cores = {name: float(service["deploy"]["resources"]["limits"]["cpus"]) for name, service in services().items()}

    assert {} == {name: count for name, count in cores.items() if count > 1}


def test_no_service_with_a_root_that_cannot_be_written_has_inline_files() -> None:
    """Compose copies those into the container, and is refused."""
    assert "content" not in str(compose().get("configs", {}))
