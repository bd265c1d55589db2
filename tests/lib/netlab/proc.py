# SPDX-License-Identifier: BSD-2-Clause
"""Running commands and waiting for facts."""
import os
import signal
import subprocess
import time


class CommandError(Exception):
    pass


def now_ns():
    """CLOCK_MONOTONIC, the clock of every stamp in the lab."""
    return time.monotonic_ns()


def run(*argv, input=None, check=True, timeout=30):
    """Runs a command; returns its stdout. A failure raises with what the command said."""
    p = subprocess.run(argv, input=input, text=True, capture_output=True, timeout=timeout, check=False)
    if check and p.returncode != 0:
        raise CommandError(f"{' '.join(argv)}: exit {p.returncode}: {(p.stderr or p.stdout).strip()}")
    return p.stdout


class Timeout(AssertionError):
    pass


def wait_for(fact, what, limit=30.0, step=0.05, failed=None):
    """Polls until fact() is true and returns its value. The limit is generous on purpose: it says "never", it doesn't
    measure. An exception of fact() counts as "not yet" and is shown if that is how it ended. failed(), if given, ends the
    waiting early when it returns a text."""
    end = time.monotonic() + limit
    last = None
    while True:
        try:
            value = fact()
            if value:
                return value
            last = value
        except (OSError, ValueError, KeyError, IndexError, TypeError, CommandError, RuntimeError) as e:
            last = e
        why = failed() if failed else None
        if why:
            raise Timeout(f"{what}: {why}")
        if time.monotonic() > end:
            raise Timeout(f"not within {limit:.0f} s: {what} (last: {last!r})")
        time.sleep(step)


def pid_alive(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as f:
            return f.read().rsplit(")", 1)[1].split()[0] not in ("Z", "X")
    except OSError:
        return False


def end_process(popen, sig=signal.SIGTERM, limit=5.0):
    """Ends one process that we started, by its pid."""
    if popen.poll() is None:
        try:
            os.kill(popen.pid, signal.SIGCONT)
            os.kill(popen.pid, sig)
        except ProcessLookupError:
            pass
        try:
            popen.wait(limit)
        except subprocess.TimeoutExpired:
            popen.kill()
            popen.wait()
