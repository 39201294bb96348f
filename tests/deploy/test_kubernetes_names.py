"""deploy/k8s is of one mind: whatever names something, by its name, a label or a port, names what is there."""

from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from tests.deploy import overlays
from tests.deploy.composition import ROOT
from tests.deploy.overlays import OVERLAYS, Object, chosen, containers, labels, of_kind, pods, ports, read

pytestmark = pytest.mark.parametrize("overlay", OVERLAYS)


def test_selectors_meet_the_pods_of_their_object(overlay: str) -> None:
    objects = read(overlay)
    for found in of_kind(objects, "Deployment", "StatefulSet"):
        assert chosen(found["spec"]["selector"], labels(found["spec"]["template"])), found["metadata"]["name"]
    for found in of_kind(objects, "PodDisruptionBudget"):
        assert [found["metadata"]["name"]] == takers(objects, found["spec"]["selector"])
    for found in of_kind(objects, "HorizontalPodAutoscaler"):
        target = found["spec"]["scaleTargetRef"]
        [deployment] = [each for each in of_kind(objects, target["kind"]) if each["metadata"]["name"] == target["name"]]
        assert "replicas" not in deployment["spec"], "what an autoscaler says, a deploy must not reset"


def takers(objects: list[Object], selector: dict[str, Any]) -> list[str]:
    return sorted(name for name, template in pods(objects).items() if chosen(selector, labels(template)))


def test_a_service_leads_to_one_kind_of_pod_and_to_a_port_of_it(overlay: str) -> None:
    objects = read(overlay)
    for found in of_kind(objects, "Service"):
        [pod] = takers(objects, {"matchLabels": found["spec"]["selector"]})
        for port in found["spec"]["ports"]:
            assert port["targetPort"] in ports(pods(objects)[pod]), found["metadata"]["name"]


def test_labels_of_two_kinds_of_pods_differ(overlay: str) -> None:
    told = [str(labels(template)) for template in pods(read(overlay)).values()]

    assert len(set(told)) == len(told)


def test_config_maps_are_there(overlay: str) -> None:
    objects = read(overlay)
    made = {found["metadata"]["name"] for found in of_kind(objects, "ConfigMap")}
    asked = {
        each["configMapRef"]["name"]
        for found in objects
        for one in containers(found)
        for each in one.get("envFrom", [])
    }

    assert made == asked


def test_ports_of_metrics_are_those_that_are_set(overlay: str) -> None:
    [config] = of_kind(read(overlay), "ConfigMap")
    told = {name: ports(template).get("metrics") for name, template in pods(read(overlay)).items()}

    assert int(config["data"]["METRICS_PORT"]) == told["quotewell-api"]
    assert int(config["data"]["WORKER_METRICS_PORT"]) == told["quotewell-worker"]


def test_rules_are_those_of_prometheus(overlay: str) -> None:
    rules = yaml.safe_load((ROOT / "deploy/prometheus/rules.yml").read_text())
    operators = yaml.safe_load((overlays.FOLDER / "components/monitoring/rules.yaml").read_text())

    assert rules == operators["spec"]


def test_monitors_find_services_whose_names_the_rules_know(overlay: str) -> None:
    objects = read(overlay)
    for found in of_kind(objects, "ServiceMonitor"):
        taken = [
            each
            for each in of_kind(objects, "Service")
            if chosen(found["spec"]["selector"], each["metadata"]["labels"])
        ]
        assert ["quotewell-api-metrics", "quotewell-worker-metrics"] == sorted(
            each["metadata"]["name"] for each in taken
        )
        for endpoint in found["spec"]["endpoints"]:
            assert all(endpoint["port"] in [port["name"] for port in each["spec"]["ports"]] for each in taken)


def test_a_proxy_in_front_is_reckoned_with(overlay: str) -> None:
    [config] = of_kind(read(overlay), "ConfigMap")

    assert bool(of_kind(read(overlay), "Ingress")) == (config["data"].get("TRUSTED_PROXIES") == "1")
