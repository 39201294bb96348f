"""deploy/k8s as kustomize makes it: a reader of just those fields that we use, for machines without kustomize, and kustomize itself.

The reader refuses a field that it does not know. A test holds the two equal where kustomize (or kubectl, which has it) is there.
"""

import re
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from tests.deploy.composition import ROOT

FOLDER = ROOT / "deploy/k8s"
OVERLAYS = ("development", "production")
KNOWN = {
    "apiVersion", "kind", "namespace", "resources", "components", "images", "configMapGenerator", "patches",
}  # fmt: skip
WITHOUT_NAMESPACE = ("Namespace",)

Object = dict[str, Any]


@cache
def read(overlay: str) -> list[Object]:
    """All objects of an overlay, for no test to change; a generated ConfigMap by its name alone, without the hash of what it says."""
    return list(_build(FOLDER / "overlays" / overlay))


def kustomize(overlay: str) -> list[Object] | None:
    """The same by kustomize itself; None where it is not here."""
    program = shutil.which("kustomize")
    build = [program, "build"] if program else [shutil.which("kubectl") or "", "kustomize"]
    if not build[0]:
        return None
    done = subprocess.run(
        [*build, str(FOLDER / "overlays" / overlay)], check=False, capture_output=True, text=True, timeout=60
    )
    assert 0 == done.returncode, done.stderr
    text = done.stdout
    for found in yaml.safe_load_all(text):
        if found["kind"] == "ConfigMap":
            text = text.replace(found["metadata"]["name"], found["metadata"]["name"].rpartition("-")[0])
    return list(yaml.safe_load_all(text))


def _build(folder: Path) -> list[Object]:
    says = yaml.safe_load((folder / "kustomization.yaml").read_text())
    assert not set(says) - KNOWN, f"{folder}: the reader of tests/deploy knows no {set(says) - KNOWN}"
    objects = [
        found for place in [*says.get("resources", []), *says.get("components", [])] for found in _load(folder / place)
    ]
    for generator in says.get("configMapGenerator", []):
        _generate(objects, **generator)
    for patch in says.get("patches", []):
        _patch(objects, **patch)
    for container in containers(objects):
        _name_image(container, says.get("images", []))
    for found in objects:
        if "namespace" in says and found["kind"] not in WITHOUT_NAMESPACE:
            found["metadata"]["namespace"] = says["namespace"]
    return objects


def _load(path: Path) -> list[Object]:
    return _build(path) if path.is_dir() else list(yaml.safe_load_all(path.read_text()))


def _generate(objects: list[Object], *, name: str, literals: list[str], behavior: str = "create") -> None:
    data = dict(literal.split("=", 1) for literal in literals)
    if behavior == "merge":
        one(objects, "ConfigMap", name)["data"].update(data)
    else:
        objects.append({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data})


def _patch(objects: list[Object], *, target: dict[str, str], patch: str) -> None:
    """Only `replace` of what is there."""
    for step in yaml.safe_load(patch):
        assert "replace" == step["op"]
        *way, last = step["path"].strip("/").split("/")
        found: Any = one(objects, **target)
        for key in way:
            found = found[key]
        assert last in found, f"{target}: nothing to replace at {step['path']}"
        found[last] = step["value"]


def _name_image(container: dict[str, Any], images: list[dict[str, str]]) -> None:
    for image in images:
        if container["image"].partition(":")[0] == image["name"]:
            container["image"] = f"{image.get('newName', image['name'])}:{image['newTag']}"


def one(objects: list[Object], kind: str, name: str) -> Object:
    [found] = [each for each in of_kind(objects, kind) if name_of(each) == name]
    return found


def of_kind(objects: list[Object], *kinds: str) -> list[Object]:
    return [found for found in objects if found["kind"] in kinds]


def name_of(found: Object) -> str:
    return str(found["metadata"]["name"])


def pods(objects: list[Object]) -> dict[str, Object]:
    """The template of each pod, by the name of what makes it."""
    return {name_of(found): found["spec"]["template"] for found in objects if "template" in found.get("spec", {})}


def containers(objects: list[Object]) -> list[dict[str, Any]]:
    return [container for template in pods(objects).values() for container in template["spec"]["containers"]]


def processes(overlay: str) -> dict[str, dict[str, Any]]:
    """The containers that run our code, by name."""
    return {each["name"]: each for each in containers(read(overlay)) if re.search(r"\bquotewell:", each["image"])}


def ports(template: Object) -> dict[str, int]:
    """The named ports of a pod."""
    return {
        port["name"]: port["containerPort"] for each in template["spec"]["containers"] for port in each.get("ports", [])
    }


def labels(template: Object) -> dict[str, str]:
    found: dict[str, str] = template["metadata"]["labels"]
    return found


def chosen(selector: dict[str, Any], having: dict[str, str]) -> bool:
    """Whether a selector (matchLabels and `In`) takes what has these labels."""
    assert set(selector) <= {"matchLabels", "matchExpressions"}
    wanted = [(key, [value]) for key, value in selector.get("matchLabels", {}).items()]
    for expression in selector.get("matchExpressions", []):
        assert "In" == expression["operator"]
        wanted.append((expression["key"], expression["values"]))
    return all(having.get(key) in values for key, values in wanted)
