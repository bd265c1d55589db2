# SPDX-License-Identifier: BSD-2-Clause
"""What the lab prints: steps with checks, and the table at the end."""
import contextlib
import sys
import time
import traceback

from netlab.proc import wait_for


class Report:
    def __init__(self):
        self.steps = []  # [title, verdict, checks, seconds, why]
        self.current = None

    def say(self, text=""):
        print(text, flush=True)

    @contextlib.contextmanager
    def step(self, title, on_failure=None):
        """A row of the table. A check that fails does not end the step; an exception does, and is a failure."""
        self.say(f"\n== {title}")
        self.current = [title, "PASS", 0, 0.0, ""]
        self.steps.append(self.current)
        start = time.monotonic()
        try:
            yield self
        except (KeyboardInterrupt, SystemExit):
            self.fail("interrupted")
            raise
        except AssertionError as e:
            self.fail(str(e))
        except Exception as e:  # a broken lab must still end with its table
            self.fail(f"{type(e).__name__}: {e}")
            traceback.print_exc(file=sys.stdout)
        self.current[3] = time.monotonic() - start
        if self.current[1] == "FAIL" and on_failure:
            try:
                on_failure()
            except Exception as e:
                self.say(f"   could not restore the lab: {e}")

    def fail(self, why):
        self.current[1] = "FAIL"
        self.current[4] = self.current[4] or why
        self.say(f"   FAIL  {why}")

    def check(self, what, ok, detail=""):
        """One fact. ok: a value, true or false."""
        self.current[2] += 1
        if ok:
            self.say(f"   ok    {what}" + (f": {detail}" if detail else ""))
        else:
            self.fail(what + (f": {detail}" if detail else ""))
        return bool(ok)

    def wait(self, what, fact, limit=30.0, failed=None, detail=None):
        """One fact that may take a while. Returns its value or None."""
        try:
            value = wait_for(fact, what, limit=limit, failed=failed)
        except AssertionError as e:
            self.current[2] += 1
            self.fail(str(e))
            return None
        self.check(what, True, detail(value) if detail else "")
        return value

    def skip(self, why):
        self.say(f"   SKIP  {why}")
        if self.current[2] == 0:
            self.current[1] = "SKIP"
            self.current[4] = why

    def table(self):
        self.say("\n" + "=" * 100)
        for title, verdict, checks, seconds, why in self.steps:
            self.say(f" {verdict}  {title:<66} {checks:3d} checks {seconds:6.1f} s" + (f"\n       {why}" if why else ""))
        failed = sum(s[1] == "FAIL" for s in self.steps)
        skipped = sum(s[1] == "SKIP" for s in self.steps)
        self.say("=" * 100)
        verdict = "FAIL" if failed or not self.steps else "PASS"
        self.say(f" {verdict}: {len(self.steps) - failed - skipped} steps passed, {failed} failed, {skipped} skipped")
        return 1 if verdict == "FAIL" else 0
