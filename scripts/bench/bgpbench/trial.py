# SPDX-License-Identifier: BSD-2-Clause
"""One trial: one daemon, one scene, one run of peregrine-bgpgen against it."""
import contextlib
import json
import os
import subprocess
import time

from netlab.proc import CommandError, Timeout

from .scene import generator


def own_share():
    """In the child: a session of its own, by which the kernel shares a busy machine out; as the daemon has one."""
    os.setsid()
    with contextlib.suppress(OSError), open("/proc/self/autogroup", "w", encoding="ascii") as f:
        f.write("-20")


def trial(lab, device, scene, core, limit, more=()):
    """The generator's JSON, a dict a phase in it; with "error" when it did not end well, "over" when past the limit."""
    result = {"device": device.title}
    began = time.monotonic()
    err, out, rc, why = "", "", 1, None
    try:
        device.start(scene)
        argv = ["taskset", "-c", str(core), generator(), *scene.gen_args(), "--timeout", str(int(limit)), *more]
        if scene.reload:
            argv += ["--command", device.reload_command(scene)]
        if scene.beside:
            argv += ["--beside", "; ".join(f"{c} > /dev/null" for c in device.show_commands(scene))]
        for pid in device.measured():
            argv += ["--pid", str(pid)]
        p = subprocess.run([*lab.enter("gen"), *argv], text=True, capture_output=True,
                           timeout=limit * 4 + 60, check=False, stdin=subprocess.DEVNULL, preexec_fn=own_share)
        err, out, rc = p.stderr.strip(), p.stdout.strip(), p.returncode
        why = device.dead()
    except subprocess.TimeoutExpired:
        err = "the generator did not end"
    except (CommandError, Timeout, OSError) as e:
        err = str(e)
    finally:
        device.stop()
    result["wall_s"] = round(time.monotonic() - began, 2)
    if rc and out and not out.endswith("}"):
        out = out.rstrip(",") + "}"  # what it had before it gave up
    try:
        result |= json.loads(out)
    except ValueError:
        rc = rc or 1
    if rc or why:
        result["error"] = why or " / ".join(x.strip() for x in err.splitlines()[:6]) or f"exit {rc}"
        result["over"] = limit if "in time" in err else None
    return result



