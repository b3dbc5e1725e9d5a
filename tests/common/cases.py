"""Runs functions as test cases: one line each, and the closing count."""

import sys
import time
import traceback


class Cases:
    def __init__(self):
        self.passed, self.failed = 0, 0

    def run(self, name, function, *args):
        start = time.monotonic()
        try:
            function(*args)
        except Exception as e:  # a case that fails must not end the others
            self.failed += 1
            where = traceback.extract_tb(e.__traceback__)[-1]
            print(f"FAIL  {name}: {e or type(e).__name__}  ({where.filename}:{where.lineno})", flush=True)
        else:
            self.passed += 1
            print(f"ok    {name}  {time.monotonic() - start:.1f} s", flush=True)

    def close(self):
        print(f"{self.passed} passed, {self.failed} failed")
        sys.exit(1 if self.failed or not self.passed else 0)
