"""A base image from Debian's own packages, in place of the one that the Dockerfile names and that only a registry has.

Made once and kept. It has what that one has: a Python with venv, certificates, and no compiler.
"""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from deploy.check.buildah import Buildah, Failed

SUITE = "trixie"  # its Python is that of the image that the Dockerfile names
BASE = f"localhost/quotewell-base:{SUITE}"
PACKAGES = "python3-venv,ca-certificates"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
LEFT_BEHIND = ("var/cache/apt", "var/lib/apt/lists", "var/log", "usr/share/doc", "usr/share/man", "usr/share/locale")
OF_THIS_MACHINE = ("etc/resolv.conf", "etc/hostname")


def make_base(buildah: Buildah) -> str:
    """The base image's name; made if this storage has none. DEBIAN_MIRROR names another mirror than debootstrap's own."""
    if not buildah.has(BASE):
        with tempfile.TemporaryDirectory(prefix="quotewell-base-") as folder:
            root = Path(folder) / "root"
            _bootstrap(root)
            _slim(root)
            _commit(buildah, root)
    return BASE


def _bootstrap(root: Path) -> None:
    mirror = [os.environ["DEBIAN_MIRROR"]] if os.environ.get("DEBIAN_MIRROR") else []
    command = ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", SUITE, str(root), *mirror]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failed("\n".join(["debootstrap failed", *(done.stdout + done.stderr).strip().splitlines()[-12:]]))


def _slim(root: Path) -> None:
    for folder in LEFT_BEHIND:
        shutil.rmtree(root / folder, ignore_errors=True)
        (root / folder).mkdir()
    for file in OF_THIS_MACHINE:
        (root / file).unlink(missing_ok=True)


def _commit(buildah: Buildah, root: Path) -> None:
    container = buildah.run("from", "scratch")
    try:
        buildah.run("add", "--quiet", container, str(root), "/")
        buildah.run("config", "--env", f"PATH={PATH}", "--cmd", "/bin/sh", container)
        buildah.run("commit", "--quiet", container, BASE)
    finally:
        buildah.run("rm", container)
