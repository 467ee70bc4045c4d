"""A decoder that never ends on some pictures, or fails as nobody foresaw, by a fault of a library."""

from unittest.mock import patch

from liftnet.collect import decoding_process as decoding


def answer(about, data):
    if b"CLUMSY" in data:
        with patch.object(decoding, "normalise", side_effect=ZeroDivisionError("no sides")):
            return decoding.answer(about, data)
    if b"HANG" in data:
        while True:
            pass
    return decoding.answer(about, data)
