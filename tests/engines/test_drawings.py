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
    with pytest.raises(FileInvalid, match="entity"):
        convert(path, "svg", "png")


def declared(path: Path, entities: str, inside: str) -> Path:
    svg(path, inside)
    path.write_text(f"<!DOCTYPE svg [{entities}]>{path.read_text()}")
    return path


RECT = '<rect width="10" height="10" fill="#00f"/>'


def test_the_prolog_of_illustrator(convert: Callable[..., Result], tmp_path: Path) -> None:
    path = tmp_path / "x.svg"
    path.write_text(
        '<?xml version="1.0" encoding="utf-8"?>\n<!-- Generator: Adobe Illustrator -->\n'
        '<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" '
        '"http://www.w3.org/Graphics/SVG/1.1/DTD/svg11.dtd" [\n'
        '\t<!ENTITY ns_ai "http://ns.adobe.com/AdobeIllustrator/10.0/">\n'
        '\t<!ENTITY ns_svg "http://www.w3.org/2000/svg">\n]>\n'
        '<svg xmlns:i="&ns_ai;" xmlns="&ns_svg;" width="10" height="10" i:x="1">'
        f"{RECT}</svg>"
    )
    with Image.open(convert(path, "svg", "png").path) as image:
        assert image.getpixel((5, 5))[:3] == (0, 0, 255)  # type: ignore[index]


@pytest.mark.parametrize(
    ("entities", "inside"),
    [
        ('<!ENTITY a "#00f">', '<rect width="10" height="10" fill="&a;"/>'),
        ("<!ENTITY a '{}'>".format(RECT.replace("#00f", "&#35;00f")), "&a;"),
        ('<!ENTITY a "rect{fill:#00f}">', '<style>&a;</style><rect width="10" height="10"/>'),
        # The first one counts, for the probe and for the renderer.
        ('<!ENTITY a "#00f"><!ENTITY a "#f00">', '<rect width="10" height="10" fill="&a;"/>'),
    ],
)
def test_the_renderer_sees_the_entities_that_the_probe_sees(
    entities: str, inside: str, convert: Callable[..., Result], tmp_path: Path
) -> None:
    path = declared(tmp_path / "x.svg", entities, inside)
    with Image.open(convert(path, "svg", "png").path) as image:
        assert image.getpixel((5, 5))[:3] == (0, 0, 255)  # type: ignore[index]


@pytest.mark.parametrize(
    ("entities", "inside", "said"),
    [
        ('<!ENTITY a "{}">', '<image width="9" height="9" href="&a;"/>', "outside"),
        ('<!ENTITY a "{}"><!ENTITY a "#b">', '<use href="&a;"/>', "outside"),
        ('<!ENTITY a \'<image width="9" height="9" href="{}"/>\'>', "&a;", "outside"),
        ("<!ENTITY a '@import \"{}\";'>", "<style>&a;</style>", "outside"),
        ('<!ENTITY a "url({})">', '<rect width="9" height="9" fill="&a;"/>', "outside"),
        ('<!ENTITY a "&#38;#102;ile"><!ENTITY b "{}">', '<use href="&a;"/>', "holds others"),
        ('<!ENTITY b "{}"><!ENTITY a "&b;">', '<use href="&a;"/>', "holds others"),
        ('<!ENTITY a SYSTEM "{}">', "<text>&a;</text>", "in another file"),
        ('<!ENTITY % p SYSTEM "{}"> %p;', RECT, "in another file"),
        # What follows a reference the probe does not see: the renderer refuses it.
        ('%p; <!ENTITY a "{}">', '<image width="9" height="9" href="&a;"/>', "cannot be drawn"),
        ("<!ENTITY % p \"<!ENTITY a '{}'>\"> %p;", '<use href="&a;"/>', "cannot be drawn"),
    ],
)
@pytest.mark.parametrize("where", ["http", "file"])
def test_nothing_from_outside_in_an_entity(
    entities: str,
    inside: str,
    said: str,
    where: str,
    traps: Traps,
    convert: Callable[..., Result],
    tmp_path: Path,
) -> None:
    secret = images.make("png", tmp_path / "secret.png")
    target = traps.http("x.png") if where == "http" else secret.as_uri()
    path = declared(tmp_path / "x.svg", entities.replace("{}", target), inside)
    with pytest.raises(FileInvalid, match=said):
        convert(path, "svg", "png")
    assert not traps.hits


def test_many_entities(convert: Callable[..., Result], tmp_path: Path) -> None:
    entities = "".join(f'<!ENTITY a{n} "x">' for n in range(101))
    with pytest.raises(LimitExceeded) as caught:
        convert(declared(tmp_path / "x.svg", entities, RECT), "svg", "png")
    assert caught.value.details["limit"] == "xml_entities"


@pytest.mark.parametrize("kind", ["font/woff2", "application/x-font-ttf", "application/font-woff"])
def test_embedded_fonts(kind: str, convert: Callable[..., Result], tmp_path: Path) -> None:
    font = f"@font-face {{ font-family: x; src: url('data:{kind};base64,AAEAAAA=') }}"
    path = svg(tmp_path / "x.svg", f"<style>{font}</style>{RECT}")
    with Image.open(convert(path, "svg", "png").path) as image:
        assert image.getpixel((5, 5))[:3] == (0, 0, 255)  # type: ignore[index]


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
