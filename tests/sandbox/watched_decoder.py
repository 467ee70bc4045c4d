"""The decoder of `collect`, in a process that notes what it does as `watched.py` does; what is seen is a fault."""

import sys

from watched import Watch

from liftnet.collect import decoding_process as decoding

watch = Watch([])


def answer(about, data):
    watch.seen = []
    answered = decoding.answer(about, data)
    return ({"fault": f"watched: {watch.seen}"}, b"") if watch.seen else answered


decoding.answer({"limits": [64, 1, 10**6]}, b"")  # what libraries do when they are loaded is theirs
sys.addaudithook(watch)
