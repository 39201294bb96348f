"""Who reaches whom in Kubernetes, reckoned from the NetworkPolicies as a cluster does: a way is open if both of its ends say so."""

from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from tests.deploy.overlays import OVERLAYS, Object, chosen, labels, name_of, of_kind, one, pods, read

PROVIDER = "203.0.113.9"  # any public address
STORE = "10.1.2.3"
CLOUD = "169.254.169.254"  # where clouds give credentials to whoever asks
WAYS: dict[str, set[tuple[str, str, int]]] = {
    "development": {
        *((f"quotewell-{name}", "postgres", 5432) for name in ("api", "worker", "migrate")),
        *((f"quotewell-{name}", "redis", 6379) for name in ("api", "worker", "beat")),
        *((f"quotewell-{name}", "simulator", 5002) for name in ("api", "worker")),
    },
    "production": set(),
}
LEAVES: dict[str, dict[str, set[tuple[str, int]]]] = {
    "development": {PROVIDER: set(), STORE: set(), CLOUD: set()},
    "production": {
        PROVIDER: {("quotewell-api", 443), *(("quotewell-worker", port) for port in (443, 465, 587))},
        STORE: {
            *((f"quotewell-{name}", 5432) for name in ("api", "worker", "migrate")),
            *((f"quotewell-{name}", 6379) for name in ("api", "worker", "beat")),
        },
        CLOUD: set(),
    },
}
ENTERS: dict[str, set[tuple[str, str, int]]] = {
    "development": set(),
    "production": {
        ("nginx-ingress", "quotewell-api", 5001),
        *(("monitoring", f"quotewell-{name}", port) for name in ("api", "worker") for port in (9101, 9102)),
    },
}

pytestmark = pytest.mark.parametrize("overlay", OVERLAYS)


def opened(objects: list[Object], pod: Object, direction: str) -> Iterator[tuple[dict[str, Any], set[int]]]:
    """What is let through: each other end, and the ports."""
    side = "from" if direction == "Ingress" else "to"
    policies = [found["spec"] for found in of_kind(objects, "NetworkPolicy")]
    ruling = [
        each for each in policies if direction in each["policyTypes"] and chosen(each["podSelector"], labels(pod))
    ]
    for rule in [rule for policy in ruling for rule in policy.get(direction.lower(), [])]:
        assert rule.get(side), "a rule without another end lets everybody through"
        for peer in rule[side]:
            yield peer, {port["port"] for port in rule["ports"]}


def ways(overlay: str) -> set[tuple[str, str, int]]:
    """From pod to pod, by port."""
    objects = read(overlay)
    found = pods(objects)
    return {
        (start, end, port)
        for start in found
        for end in found
        for port in _ports(objects, found[start], "Egress", found[end])
        & _ports(objects, found[end], "Ingress", found[start])
    }


def _ports(objects: list[Object], pod: Object, direction: str, other: Object) -> set[int]:
    return {
        port
        for peer, ports in opened(objects, pod, direction)
        if set(peer) == {"podSelector"} and chosen(peer["podSelector"], labels(other))
        for port in ports
    }


def leaves(overlay: str, address: str) -> set[tuple[str, int]]:
    """Who may go to an address outside of the cluster, by port."""
    objects = read(overlay)
    return {
        (name, port)
        for name, pod in pods(objects).items()
        for peer, ports in opened(objects, pod, "Egress")
        if "ipBlock" in peer and _within(address, **peer["ipBlock"])
        for port in ports
    }


def _within(address: str, *, cidr: str, **but: list[str]) -> bool:
    return ip_address(address) in ip_network(cidr) and not any(
        ip_address(address) in ip_network(each) for each in but.get("except", [])
    )


def enters(overlay: str) -> set[tuple[str, str, int]]:
    """Which namespaces may come to which pods."""
    objects = read(overlay)
    return {
        (peer["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"], name, port)
        for name, pod in pods(objects).items()
        for peer, ports in opened(objects, pod, "Ingress")
        if "namespaceSelector" in peer
        for port in ports
    }


def test_every_pod_is_shut_in_both_directions_until_a_policy_opens_a_way(overlay: str) -> None:
    shut = one(read(overlay), "NetworkPolicy", "default-deny")

    assert {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]} == shut["spec"]


def test_every_policy_is_about_pods_that_are_there(overlay: str) -> None:
    objects = read(overlay)
    marks = [labels(pod) for pod in pods(objects).values()]
    for found in of_kind(objects, "NetworkPolicy"):
        for expression in found["spec"]["podSelector"].get("matchExpressions", []):
            assert all(any(each.get(expression["key"]) == value for each in marks) for value in expression["values"])
        assert any(chosen(found["spec"]["podSelector"], each) for each in marks), name_of(found)


def test_every_pod_asks_for_names(overlay: str) -> None:
    objects = read(overlay)
    for name, pod in pods(objects).items():
        asked = [ports for peer, ports in opened(objects, pod, "Egress") if "namespaceSelector" in peer]
        assert [{53}] == asked, name


def test_each_pod_reaches_what_it_needs_and_no_more(overlay: str) -> None:
    assert WAYS[overlay] == ways(overlay)
    assert LEAVES[overlay] == {address: leaves(overlay, address) for address in LEAVES[overlay]}
    assert ENTERS[overlay] == enters(overlay)
