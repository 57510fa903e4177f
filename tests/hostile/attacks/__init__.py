"""The tables of attacks, one a family of engines."""

from hostile.attacks import documents, drawings, markup, media, pdfs, pictures, swelling, tables

ATTACKS = (
    *documents.ATTACKS,
    *markup.ATTACKS,
    *swelling.ATTACKS,
    *tables.ATTACKS,
    *drawings.ATTACKS,
    *pdfs.ATTACKS,
    *pictures.ATTACKS,
    *media.ATTACKS,
)
