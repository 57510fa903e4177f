"""The tables of attacks, one a family of engines."""

from hostile.attacks import (
    archives,
    documents,
    drawings,
    links,
    macros,
    markup,
    media,
    pdfs,
    pictures,
    swelling,
    tables,
)

ATTACKS = (
    *documents.ATTACKS,
    *links.ATTACKS,
    *macros.ATTACKS,
    *markup.ATTACKS,
    *swelling.ATTACKS,
    *tables.ATTACKS,
    *drawings.ATTACKS,
    *archives.ATTACKS,
    *pdfs.ATTACKS,
    *pictures.ATTACKS,
    *media.ATTACKS,
)
