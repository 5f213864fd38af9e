#!/usr/bin/env python3
"""D1 and D3 for downloads: kill -9 at any moment, a full disk, a disk that fails to sync. Whatever
happens, the next pull goes on or begins anew and ends with the right bytes, and a model is never
listed before it is whole.

Usage: kill_test.py RECKON PRELOAD-LIBRARY [--long] [TEST...]     (--long: 200 kills, 50 full disks)
"""

import json
import os
import pathlib
import random
import sys
import time

from store_harness import FILE, NAME, StoreTests, main

PRELOAD = os.path.abspath(sys.argv.pop(2))
LONG = "--long" in sys.argv
if LONG:
    sys.argv.remove("--long")
N_KILLS = 200 if LONG else 4
N_FULL = 50 if LONG else 4
STEP = 1 if LONG else 9


class Broken(StoreTests):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.fired = cls.folder / "fired"

    def assert_nothing_half(self):
        """Listed means whole; what isn't whole lies in .part files."""
        for model in self.listed()["models"]:
            self.assertEqual(pathlib.Path(model["path"]).read_bytes(), self.data)
        for weights in self.models.rglob(FILE):
            self.assertEqual(weights.read_bytes(), self.data)

    def with_fault(self, fault):
        self.fired.unlink(missing_ok=True)
        run = self.run_reckon("pull", NAME, env={
            "LD_PRELOAD": PRELOAD, "RECKON_FAULT": fault, "RECKON_FAULT_FIRED": str(self.fired)})
        return run, self.fired.exists()

    def start_over(self):
        if NAME in self.names():
            self.expect(0, "rm", NAME)

    def test_kill(self):
        """At random moments of a download of up to three seconds."""
        random.seed(1)
        resumed = 0
        finished = 0
        for _ in range(N_KILLS):
            self.hub.bytes_per_s = random.choice((500_000, 1_000_000, 8_000_000))
            process = self.start("pull", NAME)
            time.sleep(random.uniform(0, 2.5))
            process.kill()
            process.wait()
            self.assert_nothing_half()
            resumed += bool(list(self.models.rglob("*.part.json")))
            if NAME in self.names():
                finished += 1
                self.expect(0, "verify", NAME)
                self.start_over()
        self.hub.bytes_per_s = None
        self.pulled()
        self.expect(0, "verify", NAME)
        self.assertEqual([path for path in self.stored() if ".part" in path], [])
        print(f"killed {N_KILLS} times: {resumed} times with a journal left, {finished} finished")

    def test_kill_keeps_what_was_noted(self):
        """What a journal speaks of is not fetched again."""
        self.hub.bytes_per_s = 300_000
        process = self.start("pull", NAME)
        end = time.monotonic() + 60
        journals = []
        while not journals:
            self.assertLess(time.monotonic(), end)
            time.sleep(0.05)
            journals = list(self.models.rglob("*.part.json"))
        process.kill()
        process.wait()
        done = sum(json.loads(journals[0].read_text())["done"])
        self.assertGreater(done, 0)
        self.hub.bytes_per_s = None
        self.hub.forget()
        self.pulled()
        ranges = [headers["Range"].removeprefix("bytes=").split("-")
                  for _, _, headers in self.hub.seen("cdn")]
        asked = sum(int(last) + 1 - int(first) for first, last in ranges)
        self.assertLessEqual(asked, len(self.data) - done + 1)

    def test_full_disk(self):
        """ENOSPC at write after write, of data, journal and record."""
        n = 0
        failed = 0
        while failed < N_FULL:
            n += 1
            run, fired = self.with_fault(f"write:{n}")
            self.assertTrue(fired, n)
            if run.returncode != 0:
                failed += 1
                self.assertEqual(run.returncode, 1, run.stderr)
                self.assertIn(b"No space left on device", run.stderr)
            self.assert_nothing_half()
            self.pulled()
            self.start_over()
        print(f"the disk was full at {n} points, {failed} of them ended the pull")

    def test_sync_fails_once(self):
        """EIO is shown; the data is not trusted afterwards, and fetched again."""
        n = 0
        while True:
            n += 1
            run, fired = self.with_fault(f"fsync:{n}")
            if not fired:
                self.assertEqual(run.returncode, 0, run.stderr)
                break
            self.assertEqual(run.returncode, 1, (n, run.stderr))
            self.assertIn(b"Input/output error", run.stderr)
            self.assertEqual(self.names(), [])
            self.assert_nothing_half()
            self.pulled()
            self.start_over()
        self.assertGreater(n, 4)
        print(f"each of {n - 1} syncs failed once")

    def test_other_calls_fail(self):
        for kind in ("rename", "open", "close", "read"):
            n = 1 - STEP
            while True:
                n += STEP
                run, fired = self.with_fault(f"{kind}:{n}")
                self.assertIn(run.returncode, (0, 1, 2, 3), (kind, n, run.stderr))
                self.assertNotIn(b"internal error", run.stderr)
                self.assert_nothing_half()
                self.start_over()
                if not fired:
                    break
            self.pulled()
            self.start_over()
            print(f"{kind}: until call {n} failed, one in {STEP}")


if __name__ == "__main__":
    main()
