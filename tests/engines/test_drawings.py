"""SVG as pixels, and drawings that are made to reach out or to multiply."""

from __future__ import annotations

import base64
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from PIL import Image

from filemill.conversion import Result
from filemill.errors import FileInvalid, LimitExceeded
from hostile.traps import Traps
from samples import hostile, images

HEAD = '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
SQUARES = (
    f'{HEAD}width="96" height="64"><defs><rect id="r" width="48" height="32" fill="#f00"/></defs>'
    '<use href="#r"/><use xlink:href="#r" x="48" y="32"/>'
    '<text x="2" y="60" font-size="20">filemill</text></svg>'
)


def svg(path: Path, inside: str, size: str = 'width="10" height="10"') -> Path:
    path.write_text(f"{HEAD}{size}>{inside}</svg>")
    return path


@pytest.mark.parametrize("target", ["png", "jpg", "webp", "avif", "tiff", "ico", "pdf", "gif"])
def test_drawn(target: str, convert: Callable[..., Result], tmp_path: Path) -> None:
    path = tmp_path / "x.svg"
    path.write_text(SQUARES)
    result = convert(path, "svg", target)
    if target == "pdf":
        assert result.facts.pages == 1
        return
    with Image.open(result.path) as image:
        across, down = image.size
        if target != "ico":
            assert (across, down) == (96, 64)
        shown = image.convert("RGBA")
        red, green, _, alpha = shown.getpixel((across // 4, down // 4))  # type: ignore[misc]
        assert (red > 230, green < 40, alpha) == (True, True, 255)
        if target == "png":
            assert shown.getpixel((70, 10))[3] == 0  # type: ignore[index]
            letters = shown.crop((0, 40, 47, 64))
            assert letters.getextrema()[3][1] > 200  # type: ignore[index]


def test_size(convert: Callable[..., Result], tmp_path: Path) -> None:
    path = tmp_path / "x.svg"
    path.write_text(SQUARES)
    with Image.open(convert(path, "svg", "png", width=960, background="#00ff00").path) as image:
        assert image.size == (960, 640)
        assert image.getpixel((700, 100))[:3] == (0, 255, 0)  # type: ignore[index]
        edge = [image.getpixel((x, 100))[:2] for x in (470, 490)]  # type: ignore[index]
        assert edge == [(255, 0), (0, 255)]  # drawn anew, not enlarged


def test_embedded_picture(convert: Callable[..., Result], tmp_path: Path) -> None:
    data = base64.b64encode(images.make("png", tmp_path / "p.png").read_bytes()).decode()
    path = svg(
        tmp_path / "x.svg",
        f'<image width="10" height="10" href="data:image/png;base64,{data}" '
        'preserveAspectRatio="none"/>',
    )
    with Image.open(convert(path, "svg", "png").path) as image:
        assert image.getpixel((1, 1))[:3] == (255, 0, 0)  # type: ignore[index]


REACHING = {
    "image": '<image width="9" height="9" href="{0}"/>',
    "old image": '<image width="9" height="9" xlink:href="{0}"/>',
    "use": '<use href="{0}#a"/>',
    "filter picture": '<filter id="f"><feImage href="{0}"/></filter>',
    "fill": '<rect width="9" height="9" fill="url({0}#a)"/>',
    "style": '<rect width="9" height="9" style="fill: URL( \'{0}\' )"/>',
    "sheet": '<style>@import "{0}";</style>',
    "font": "<style>@font-face {{ font-family: x; src: url({0}) }}</style>",
    "cdata": "<style><![CDATA[ rect {{ fill: url({0}) }} ]]></style>",
    "svg in svg": '<image href="data:image/svg+xml,%3Csvg/%3E"/>',
    "text path": '<text><textPath href="{0}">x</textPath></text>',
    "gradient": '<linearGradient id="g" href="{0}"/>',
}


@pytest.mark.parametrize("kind", REACHING)
@pytest.mark.parametrize("where", ["http", "file", "name"])
def test_nothing_from_outside(
    kind: str, where: str, traps: Traps, convert: Callable[..., Result], tmp_path: Path
) -> None:
    secret = images.make("png", tmp_path / "secret.png")
    target = {
        "http": traps.http("x.png"),
        "file": secret.as_uri(),
        "name": "in.svg",
    }[where]
    with pytest.raises(FileInvalid, match="outside"):
        convert(svg(tmp_path / "x.svg", REACHING[kind].format(target)), "svg", "png")
    assert not traps.hits


@pytest.mark.parametrize("target", ["file", "http"])
def test_the_renderer_alone_reaches_nothing(
    target: str, traps: Traps, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second layer, with the check before it and the sandbox taken away."""
    from filemill.engines import drawings

    monkeypatch.chdir(tmp_path)
    secret = images.make("png", tmp_path / "secret.png")
    uri = secret.as_uri() if target == "file" else traps.http("")
    svg(tmp_path / "in.svg", REACHING["image"].format(uri))
    drawings.draw(
        print,
        input="in.svg",
        output="out.png",
        size=(10, 10),
        scale=1,
        background=None,
        opaque=False,
        saver="pngsave",
        saving={},
        threads=1,
    )
    with Image.open("out.png") as image:
        assert image.getextrema()[3] == (0, 0)  # type: ignore[index]
    assert not traps.hits


@pytest.mark.parametrize("prolog", [hostile.LAUGHS, hostile.outside("file:///etc/passwd")])
def test_entities(prolog: bytes, convert: Callable[..., Result], tmp_path: Path) -> None:
    path = tmp_path / "x.svg"
    path.write_bytes(prolog + f'{HEAD}width="9" height="9"><text>&lol9;</text></svg>'.encode())
    with pytest.raises(FileInvalid, match="entities"):
        convert(path, "svg", "png")


def test_uses_that_multiply(convert: Callable[..., Result], tmp_path: Path) -> None:
    def layers(count: int) -> str:
        return '<rect id="a0" width="1" height="1"/>' + "".join(
            f'<g id="a{n}">' + f'<use href="#a{n - 1}"/>' * 10 + "</g>" for n in range(1, count)
        )

    convert(svg(tmp_path / "few.svg", layers(4)), "svg", "png")
    with pytest.raises(LimitExceeded) as caught:
        convert(svg(tmp_path / "many.svg", layers(9)), "svg", "png")
    assert caught.value.details["limit"] == "drawing_elements"


def test_uses_in_a_circle(convert: Callable[..., Result], tmp_path: Path) -> None:
    path = svg(tmp_path / "x.svg", '<g id="a"><use href="#b"/></g><g id="b"><use href="#a"/></g>')
    with suppress(FileInvalid, LimitExceeded):  # neither hangs nor breaks the renderer
        convert(path, "svg", "png")


@pytest.mark.parametrize(
    ("size", "fits"),
    [
        ('viewBox="0 0 20000 1"', True),
        ('width="1e6" height="1e6"', False),
        ('viewBox="0 0 100000 100000"', False),
    ],
)
def test_absurd_size(size: str, fits: bool, convert: Callable[..., Result], tmp_path: Path) -> None:
    path = svg(tmp_path / "x.svg", '<rect width="9" height="9"/>', size)
    if fits:
        convert(path, "svg", "png")
        return
    with pytest.raises(LimitExceeded) as caught:
        convert(path, "svg", "png")
    assert caught.value.details["limit"] == "pixels"


def test_deep(convert: Callable[..., Result], tmp_path: Path) -> None:
    path = svg(tmp_path / "x.svg", "<g>" * 2000 + "</g>" * 2000)
    with pytest.raises(LimitExceeded) as caught:
        convert(path, "svg", "png")
    assert caught.value.details["limit"] == "xml_depth"


@pytest.mark.parametrize("data", [b"", b"<svg", b"<html/>", SQUARES[:-9].encode(), bytes(99)])
def test_broken(data: bytes, convert: Callable[..., Result], tmp_path: Path) -> None:
    path = tmp_path / "x.svg"
    path.write_bytes(data)
    with pytest.raises(FileInvalid):
        convert(path, "svg", "png")
