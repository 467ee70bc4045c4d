"""Addresses as they are published: no user, no secret, whatever its name and wherever it stands."""

import pytest

from liftnet.data.published_addresses import public_address, public_text

SECRETS = [
    "https://h.org/a?X-Amz-Signature=s3cret&X-Amz-Credential=s3cret",
    "https://h.org/a?Policy=s3cret&Key-Pair-Id=s3cret",
    "https://h.org/a?sv=s3cret&sig=s3cret",
    "https://h.org/a?to%6ben=s3cret",
    "https://h.org/a?id[token]=s3cret",
    "https://h.org/a?q=Bearer%20s3cret",
    "https://h.org/a?image=https%3A%2F%2Fada:s3cret@h%2F",
    "https://h.org/a;sid=s3cret/b",
    "https://h.org/a?v=1;token=s3cret",
    "https://ada:s3cret@h.org/a",
    "HTTPS://ada@s3cret@h.org/a",
    "//ada:s3cret@h.org/a",
    "https:\\\\ada:s3cret@h.org\\a",
    "https://h.org/eyJhbGciOiJIUzI1NiJ9.s3cret.s3cret/a.jpg",
    "https://h.org/a#access_token=s3cret",
    "https://h.org/a?s3cret",
]


@pytest.mark.parametrize("address", SECRETS)
def test_no_secret_is_published(address):
    assert "s3cret" not in public_address(address)
    assert "h.org" in public_address(address)
    assert "s3cret" not in public_text(f"it could not be fetched from {address}")


@pytest.mark.parametrize(
    "address",
    [
        "https://h.org/0123456789abcdef0123456789abcdef/full.jpg",
        "https://h.org/wiki/Special:FilePath/The%20Kiss.jpg?width=960",
        "https://h.org/a?id=5&size=large",
    ],
)
def test_what_names_a_picture_stays(address):
    assert public_address(address) == address
