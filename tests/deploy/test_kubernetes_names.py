"""deploy/k8s is of one mind: whatever names something, by its name, a label or a port, names what is there."""

from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from tests.deploy import overlays
from tests.deploy.composition import ROOT
from tests.deploy.overlays import OVERLAYS, Object, chosen, containers, labels, name_of, of_kind, one, pods, ports, read

pytestmark = pytest.mark.parametrize("overlay", OVERLAYS)


def test_selectors_meet_the_pods_of_their_object(overlay: str) -> None:
    objects = read(overlay)
    for found in of_kind(objects, "Deployment", "StatefulSet"):
        assert chosen(found["spec"]["selector"], labels(found["spec"]["template"])), name_of(found)
    for found in of_kind(objects, "PodDisruptionBudget"):
        assert [name_of(found)] == takers(objects, found["spec"]["selector"])
    for found in of_kind(objects, "HorizontalPodAutoscaler"):
        target = found["spec"]["scaleTargetRef"]
        deployment = one(objects, target["kind"], target["name"])
        assert "replicas" not in deployment["spec"], "what an autoscaler says, a deploy must not reset"


def takers(objects: list[Object], selector: dict[str, Any]) -> list[str]:
    return sorted(name for name, template in pods(objects).items() if chosen(selector, labels(template)))


def test_a_service_leads_to_one_kind_of_pod_and_to_a_port_of_it(overlay: str) -> None:
    objects = read(overlay)
    for found in of_kind(objects, "Service"):
        [pod] = takers(objects, {"matchLabels": found["spec"]["selector"]})
        for port in found["spec"]["ports"]:
            assert port["targetPort"] in ports(pods(objects)[pod]), name_of(found)


def test_labels_of_two_kinds_of_pods_differ(overlay: str) -> None:
    found = [str(labels(template)) for template in pods(read(overlay)).values()]

    assert len(set(found)) == len(found)


def test_config_maps_are_there(overlay: str) -> None:
    objects = read(overlay)
    made = {name_of(found) for found in of_kind(objects, "ConfigMap")}
    asked = {each["configMapRef"]["name"] for container in containers(objects) for each in container.get("envFrom", [])}

    assert made == asked


def test_ports_of_metrics_are_those_that_are_set(overlay: str) -> None:
    [config] = of_kind(read(overlay), "ConfigMap")
    found = {name: ports(template).get("metrics") for name, template in pods(read(overlay)).items()}

    assert int(config["data"]["METRICS_PORT"]) == found["quotewell-api"]
    assert int(config["data"]["WORKER_METRICS_PORT"]) == found["quotewell-worker"]


def test_rules_are_those_of_prometheus(overlay: str) -> None:
    rules = yaml.safe_load((ROOT / "deploy/prometheus/rules.yml").read_text())
    operators = yaml.safe_load((overlays.FOLDER / "components/monitoring/rules.yaml").read_text())

    assert rules == operators["spec"]


def test_monitors_find_services_whose_names_the_rules_know(overlay: str) -> None:
    objects = read(overlay)
    for found in of_kind(objects, "ServiceMonitor"):
        taken = [each for each in of_kind(objects, "Service") if chosen(found["spec"]["selector"], labels(each))]
        assert ["quotewell-api-metrics", "quotewell-worker-metrics"] == sorted(map(name_of, taken))
        for endpoint in found["spec"]["endpoints"]:
            assert all(endpoint["port"] in [port["name"] for port in each["spec"]["ports"]] for each in taken)


def test_a_proxy_in_front_is_reckoned_with(overlay: str) -> None:
    [config] = of_kind(read(overlay), "ConfigMap")

    assert bool(of_kind(read(overlay), "Ingress")) == (config["data"].get("TRUSTED_PROXIES") == "1")
