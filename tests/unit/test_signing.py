"""Signatures: any change, any other place, any other key is told apart."""

from __future__ import annotations

import hashlib
import hmac
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forq.errors import ConfigurationError, SignatureError
from forq.signing import Keyring, Place
from forq.wire import Body, End, pack_body, pack_end, unpack_body, unpack_end

OLD, NEW = "old-key-0123456789abcdef", "new-key-0123456789abcdef"
PLACE = Place("forq", "mail", "01JC")
BODY = Body("app:f", "msgpack", b"payload", b"\x80", 5)
END = End(True, "msgpack", b"payload", "w/1")

texts = st.text(max_size=8)
blobs = st.binary(max_size=8)
unsigned: dict[str, Any] = {
    "key_id": st.just(""),
    "signature": st.just(b""),
    "version": st.just(1),
}
bodies = st.builds(Body, texts, texts, blobs, blobs, st.integers(0, 2**53), **unsigned)
ends = st.builds(End, st.booleans(), texts, blobs, texts, **unsigned)
places = st.builds(Place, texts, texts, texts)


def test_a_signed_job_and_result_verify() -> None:
    keyring = Keyring.parse(NEW)
    body = unpack_body(pack_body(keyring.sign_job(BODY, PLACE)))
    end = unpack_end(pack_end(keyring.sign_end(END, PLACE)))
    assert len(body.signature) == 32
    keyring.verify_job(body, PLACE)
    keyring.verify_end(end, PLACE)


@given(bodies, places, bodies, places)
def test_a_job_verifies_only_as_it_was_signed(
    body: Body, place: Place, other: Body, elsewhere: Place
) -> None:
    keyring = Keyring.parse(NEW)
    signed = keyring.sign_job(body, place)
    changed = other._replace(key_id=signed.key_id, signature=signed.signature)
    if (body, place) == (other, elsewhere):
        keyring.verify_job(changed, elsewhere)
    else:
        with pytest.raises(SignatureError, match="signature is wrong"):
            keyring.verify_job(changed, elsewhere)


@given(ends, places, ends, places)
def test_a_result_verifies_only_as_it_was_signed(
    end: End, place: Place, other: End, elsewhere: Place
) -> None:
    keyring = Keyring.parse(NEW)
    signed = keyring.sign_end(end, place)
    changed = other._replace(key_id=signed.key_id, signature=signed.signature)
    if (end, place) == (other, elsewhere):
        keyring.verify_end(changed, elsewhere)
    else:
        with pytest.raises(SignatureError, match="signature is wrong"):
            keyring.verify_end(changed, elsewhere)


def test_the_signature_is_the_documented_one() -> None:
    def text(*fields: bytes) -> bytes:
        return b"".join(len(field).to_bytes(8, "big") + field for field in fields)

    key = NEW.encode()
    body = Keyring.parse(NEW).sign_job(BODY, PLACE)
    assert body.key_id == hashlib.sha256(b"forq key id\0" + key).hexdigest()[:8]
    fields = b"forq job", b"1", b"forq", b"mail", b"01JC", b"app:f", b"msgpack", b"\x80"
    assert body.signature == hmac.new(key, text(*fields, b"payload", b"5"), "sha256").digest()
    end = Keyring.parse(NEW).sign_end(END, PLACE)
    ends = b"forq end", b"1", b"forq", b"mail", b"01JC", b"w/1", b"msgpack", b"1", b"payload"
    assert end.signature == hmac.new(key, text(*ends), "sha256").digest()


def test_bytes_moved_from_one_field_to_the_next_do_not_verify() -> None:
    keyring = Keyring.parse(NEW)
    signed = keyring.sign_job(BODY._replace(function="ab", codec="c"), PLACE)
    with pytest.raises(SignatureError):
        keyring.verify_job(signed._replace(function="a", codec="bc"), PLACE)


def test_a_result_is_no_job() -> None:
    keyring = Keyring.parse(NEW)
    end = keyring.sign_end(END, PLACE)
    body = Body("", "", b"", key_id=end.key_id, signature=end.signature)
    with pytest.raises(SignatureError):
        keyring.verify_job(body, PLACE)


def test_keys_rotate() -> None:
    before, between, after = map(Keyring.parse, (OLD, f"{OLD}, {NEW}", f"{NEW},{OLD}"))
    by_old = between.sign_job(BODY, PLACE)
    before.verify_job(by_old, PLACE)
    after.verify_job(by_old, PLACE)
    by_new = after.sign_job(BODY, PLACE)
    between.verify_job(by_new, PLACE)
    with pytest.raises(SignatureError, match="unknown key"):
        before.verify_job(by_new, PLACE)


def test_the_message_tells_unsigned_unknown_and_wrong_apart() -> None:
    keyring = Keyring.parse(NEW)
    with pytest.raises(SignatureError, match="the job is unsigned, but FORQ_SECRET_KEY is set"):
        keyring.verify_job(BODY, PLACE)
    with pytest.raises(SignatureError, match="the result is unsigned"):
        keyring.verify_end(END, PLACE)
    other = Keyring.parse(OLD).sign_job(BODY, PLACE)
    with pytest.raises(SignatureError, match=r"signed by the unknown key .* add the new key"):
        keyring.verify_job(other, PLACE)


def test_without_a_key_nothing_is_signed_and_nothing_checked() -> None:
    for keyring in (Keyring(), Keyring.parse(None), Keyring.parse(" ")):
        assert not keyring
        assert keyring.sign_job(BODY, PLACE) == BODY
        assert keyring.sign_end(END, PLACE) == END
        keyring.verify_job(BODY, PLACE)
        keyring.verify_end(END._replace(key_id="x", signature=b"y"), PLACE)


@pytest.mark.parametrize("text", ["short", f"{NEW},short", f"{NEW},", ",", f"{NEW},,{OLD}"])
def test_keys_that_cannot_be_say_how_to_make_one(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"secrets\.token_urlsafe") as caught:
        Keyring.parse(text)
    assert "short," not in str(caught.value)
    assert NEW not in str(caught.value)


def test_a_keyring_shows_no_secrets() -> None:
    keyring = Keyring.parse(f"{NEW},{OLD}")
    assert NEW not in repr(keyring)
    assert repr(keyring).startswith("<Keyring of 2: ")
    assert repr(Keyring()) == "<Keyring of 0: nothing is signed>"
    with pytest.raises(TypeError, match="secrets"):
        pickle.dumps(keyring)
