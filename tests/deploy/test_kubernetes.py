"""deploy/k8s: valid by Kubernetes' own schemas, as strict as it runs, and asking the API what it answers.

Schemas of the Prometheus Operator are not to be had as a package: test_kubernetes_names.py holds its objects to what they refer to.
"""

import copy
import re
from collections.abc import Iterator
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]
import pytest
from aiohttp import web

from api.app import create_app
from common.process.settings import Settings
from tests.deploy import overlays
from tests.deploy.composition import ROOT, ours, services
from tests.deploy.overlays import (
    OVERLAYS,
    Object,
    containers,
    kustomize,
    name_of,
    of_kind,
    one,
    pods,
    ports,
    processes,
    read,
)

OLDEST, NEWEST = "1.29", kubernetes_validate.latest_version()
CUSTOM = ("ServiceMonitor", "PrometheusRule")
PROBES = ("startupProbe", "readinessProbe", "livenessProbe")

pytestmark = pytest.mark.parametrize("overlay", OVERLAYS)


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_kubernetes_own_schemas_take_each_object(overlay: str, version: str) -> None:
    for found in read(overlay):
        if found["kind"] not in CUSTOM:
            kubernetes_validate.validate(found, version, strict=True)


def test_kubernetes_own_schemas_refuse_a_word_that_it_does_not_know(overlay: str) -> None:
    found = copy.deepcopy(one(read(overlay), "Job", "quotewell-migrate"))
    found["spec"]["template"]["spec"]["restartsPolicy"] = "Never"

    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(found, NEWEST, strict=True)


def test_our_reader_makes_what_kustomize_makes(overlay: str) -> None:
    rendered = kustomize(overlay)
    if rendered is None:
        pytest.skip("neither kustomize nor kubectl is here")

    def by_name(found: Object) -> tuple[str, str]:
        return found["kind"], name_of(found)

    assert sorted(rendered, key=by_name) == sorted(read(overlay), key=by_name)


def test_no_object_comes_twice(overlay: str) -> None:
    names = [(found["kind"], name_of(found)) for found in read(overlay)]

    assert len(set(names)) == len(names)


def test_a_pod_may_do_no_more_than_it_must(overlay: str) -> None:
    for name, template in pods(read(overlay)).items():
        spec = template["spec"]
        given = spec["securityContext"]
        assert (False, False) == (spec["automountServiceAccountToken"], spec["enableServiceLinks"]), name
        assert (True, "RuntimeDefault") == (given["runAsNonRoot"], given["seccompProfile"]["type"]), name
        assert not {"hostNetwork", "hostPID", "hostIPC", "serviceAccountName"} & set(spec), name
        assert all("hostPath" not in volume for volume in spec.get("volumes", [])), name
        for container in spec["containers"]:
            assert {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            } == container["securityContext"], name
            assert {"cpu", "memory"} == set(container["resources"]["requests"]), name
            assert "memory" in container["resources"]["limits"], name
            assert re.search(r":v?\d+\.\d+", container["image"]), f"{name}: pinned to a version"


def test_our_pods_run_as_the_images_user_and_write_to_tmp_alone(overlay: str) -> None:
    for name, template in pods(read(overlay)).items():
        [container] = template["spec"]["containers"]
        if container["name"] in processes(overlay):
            given = template["spec"]["securityContext"]
            assert [10001] * 3 == [given[key] for key in ("runAsUser", "runAsGroup", "fsGroup")], name
            assert [] == [each for each in container.get("volumeMounts", []) if each["mountPath"] != "/tmp"], name


def test_one_image_runs_the_commands_that_compose_runs(overlay: str) -> None:
    found = processes(overlay)
    commands = {name: service["command"] for name, service in ours().items() if name in found}

    assert commands == {name: each["args"] for name, each in found.items()}
    assert {"api", "worker", "beat", "migrate"} <= set(found)
    assert 1 == len({each["image"] for each in found.values()})
    assert all("command" not in each for each in found.values())


def test_stores_are_those_of_compose(overlay: str) -> None:
    for name, template in pods(read(overlay)).items():
        if name in ("postgres", "redis"):
            [container] = template["spec"]["containers"]
            assert services()[name]["image"] == container["image"]
            assert services()[name].get("command") == container.get("args")


def test_beat_is_one_and_the_old_one_ends_first(overlay: str) -> None:
    beat = one(read(overlay), "Deployment", "quotewell-beat")

    assert (1, "Recreate") == (beat["spec"]["replicas"], beat["spec"]["strategy"]["type"])
    assert not [found for found in of_kind(read(overlay), "HorizontalPodAutoscaler") if "beat" in str(found["spec"])]


@pytest.fixture(scope="module")
def routes() -> set[str]:
    """All paths that the API answers."""
    env = {"DATABASE_URL": "postgresql://h/d", "REDIS_URL": "redis://h", "QUOTEWELL_ENV": "testing"}
    app = create_app(Settings.from_env(env, serves_tokens=True))
    return {resource.canonical for resource in app.router.resources() if isinstance(resource, web.Resource)}


def probes(overlay: str) -> Iterator[tuple[str, str, dict[str, Any], dict[str, int]]]:
    for name, template in pods(read(overlay)).items():
        for container in template["spec"]["containers"]:
            for kind in PROBES:
                if kind in container:
                    yield name, kind, container[kind], ports(template)


def test_probes_ask_what_is_there(overlay: str, routes: set[str]) -> None:
    for name, kind, probe, named in probes(overlay):
        if asks := probe.get("httpGet"):
            assert asks["port"] in named, (name, kind)
            assert asks["port"] == "metrics" or asks["path"] in routes, (name, kind)
        if asks := probe.get("tcpSocket"):
            assert asks["port"] in named, (name, kind)


def test_what_restarts_a_pod_asks_no_store(overlay: str) -> None:
    paths = {
        (name.removeprefix("quotewell-"), kind): probe.get("httpGet", {}).get("path")
        for name, kind, probe, _ in probes(overlay)
    }

    assert "/api/health/live" == paths["api", "startupProbe"] == paths["api", "livenessProbe"]
    assert "/api/health/ready" == paths["api", "readinessProbe"]
    assert {("worker", kind) for kind in PROBES} <= set(paths)
    assert {("beat", kind) for kind in ("startupProbe", "livenessProbe")} <= set(paths)
    for name in ("quotewell-worker", "quotewell-beat"):  # which command that is, test_goes_on.py tells
        assert all(
            "exec" in probe for each, kind, probe, _ in probes(overlay) if (each, kind) == (name, "livenessProbe")
        )


def test_a_pod_has_the_time_to_end(overlay: str) -> None:
    [graceful] = re.findall(r"^graceful_timeout = (\d+)", (ROOT / "api/serve.py").read_text(), re.M)
    draining = int(processes(overlay)["api"]["lifecycle"]["preStop"]["exec"]["command"][1])

    for name, template in pods(read(overlay)).items():
        assert 30 <= template["spec"]["terminationGracePeriodSeconds"], name
    assert draining + int(graceful) < 30


def test_secrets_are_by_reference_and_readme_says_which_to_make(overlay: str) -> None:
    objects, readme = read(overlay), (overlays.FOLDER / "README.md").read_text()
    asked = [
        each["valueFrom"]["secretKeyRef"]
        for container in containers(objects)
        for each in container.get("env", [])
        if "valueFrom" in each
    ]

    assert [] == of_kind(objects, "Secret")
    assert {"quotewell"} == {each["name"] for each in asked}
    assert [] == [each["key"] for each in asked if f"`{each['key']}`" not in readme and f"{each['key']}=" not in readme]


def test_only_the_api_signs_tokens_and_only_callers_have_the_key(overlay: str) -> None:
    holders: dict[str, set[str]] = {}
    for name, container in processes(overlay).items():
        for each in container.get("env", []):
            if "valueFrom" in each:
                holders.setdefault(each["name"], set()).add(name)

    assert {
        "DATABASE_URL": {"api", "worker", "migrate"},
        "REDIS_URL": {"api", "worker", "beat"},
        "JWT_SECRET_KEY": {"api"},
        "JWT_PREVIOUS_SECRET_KEY": {"api"},
        "ALPHA_VANTAGE_API_KEY": {"api", "worker"},
        "SMTP_URL": {"api", "worker"},
    } == holders


def test_the_ingress_leads_to_the_api_and_lets_streams_through(overlay: str, routes: set[str]) -> None:
    objects = read(overlay)
    served = {
        name_of(found): [each["name"] for each in found["spec"]["ports"]] for found in of_kind(objects, "Service")
    }
    streams = []
    for found in of_kind(objects, "Ingress"):
        marks = found["metadata"]["annotations"]
        for path in found["spec"]["rules"][0].get("http", {}).get("paths", []):
            service = path["backend"]["service"]
            assert ("quotewell-api", True) == (service["name"], service["port"]["name"] in served[service["name"]])
            if path["pathType"] == "Exact":
                streams.append(path["path"])
                assert ("False", "1h") == (marks["nginx.org/proxy-buffering"], marks["nginx.org/proxy-read-timeout"])

            assert ("${binary_remote_addr}", "429") == (
                marks["nginx.org/limit-req-key"],
                marks["nginx.org/limit-req-reject-code"],
            )

    expected = {"/api/stream", "/api/watchlist/stream"} if overlay == "production" else set()
    assert expected == set(streams) == expected & routes
