"""What processes of `test_killable.py` are asked to do."""

import os
import sys
import time


def work(about, data):
    match about["do"]:
        case "echo":
            return {"process": os.getpid()} | about, data
        case "sleep":
            time.sleep(600)
        case "spin":
            while True:
                pass
        case "die":
            os.abort()
        case "babble":
            os.write(int(sys.argv[1]), b"\x02\0\0\0\0\0\0\0[]")
        case "promise":
            os.write(int(sys.argv[1]), b"\xff" * 8)
        case "write":
            with open(about["path"], "wb") as file:
                file.write(b"x")
    return {}, b""
