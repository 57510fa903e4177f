from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filemill.errors import BadSignature, LinkExpired
from filemill.signing import Signer

SIGNER = Signer([b"new", b"old"], "download")
ANY = st.text(st.characters())  # lone surrogates too: an address may hold them


@given(ANY, st.floats(1, 4e9))
def test_what_was_signed_is_accepted_until_it_expires(text: str, expires_at: float) -> None:
    token = SIGNER.sign(text, expires_at=expires_at)
    SIGNER.check(text, token, now=int(expires_at) - 1)
    with pytest.raises(LinkExpired):
        SIGNER.check(text, token, now=int(expires_at))


@given(ANY, ANY)
def test_another_text_is_not(text: str, other: str) -> None:
    token = SIGNER.sign(text, expires_at=1000)
    if text != other:
        with pytest.raises(BadSignature):
            SIGNER.check(other, token, now=1)


@given(st.data())
def test_altered_token(data: st.DataObject) -> None:
    token = SIGNER.sign("job_1", expires_at=1000)
    place = data.draw(st.integers(0, len(token) - 1))
    altered = token[:place] + data.draw(st.characters()) + token[place + 1 :]
    if altered != token:
        with pytest.raises(BadSignature):
            SIGNER.check("job_1", altered, now=1)


@given(ANY)
def test_any_other_token(token: str) -> None:
    with pytest.raises(BadSignature):
        SIGNER.check("job_1", token, now=1)


@pytest.mark.parametrize(
    "expiry", ["2000", "-1", "", "9" * 40, "\uff11\uff10\uff10\uff10", "1e3", "1_000", " 1000"]
)
def test_expiry_is_signed(expiry: str) -> None:
    _, _, mac = SIGNER.sign("job_1", expires_at=1000).partition(".")
    with pytest.raises(BadSignature):
        SIGNER.check("job_1", f"{expiry}.{mac}", now=1)


def test_expired_and_altered_is_altered() -> None:
    token = SIGNER.sign("job_1", expires_at=1000)
    with pytest.raises(BadSignature):
        SIGNER.check("job_2", token, now=5000)


def test_secrets_are_rotated() -> None:
    old = Signer([b"old"], "download").sign("job_1", expires_at=1000)
    SIGNER.check("job_1", old, now=1)
    new = SIGNER.sign("job_1", expires_at=1000)
    with pytest.raises(BadSignature):
        Signer([b"old"], "download").check("job_1", new, now=1)
    Signer([b"new"], "download").check("job_1", new, now=1)


def test_purposes_are_apart() -> None:
    token = Signer([b"new"], "upload").sign("job_1", expires_at=1000)
    with pytest.raises(BadSignature):
        SIGNER.check("job_1", token, now=1)
