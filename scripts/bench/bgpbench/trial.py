# SPDX-License-Identifier: BSD-2-Clause
"""One trial: one daemon, one scene, one run of peregrine-bgpgen against it."""
import json
import os
import subprocess
import time

from netlab.daemons import build_dir


def trial(lab, device, scene, core, limit):
    """The generator's JSON with "error" when it did not end well, "over" when it ran past the limit."""
    device.start(scene)
    argv = ["taskset", "-c", str(core), os.path.join(build_dir(), "peregrine-bgpgen"), *scene.gen_args(), "--timeout", str(int(limit))]
    for pid in device.measured():
        argv += ["--pid", str(pid)]
    began = time.monotonic()
    try:
        p = subprocess.run(["nsenter", f"--net={lab.ns_path('gen')}", "--", *argv], text=True, capture_output=True,
                           timeout=limit * 2 + 60, check=False, stdin=subprocess.DEVNULL)
        err, out, rc = p.stderr.strip(), p.stdout.strip(), p.returncode
    except subprocess.TimeoutExpired:
        err, out, rc = "the generator did not end", "", 1
    finally:
        why = device.dead()
        device.stop()
    result = {"device": device.title, "scene": scene.name, "wall_s": round(time.monotonic() - began, 2)}
    try:
        result |= json.loads(out)
    except ValueError:
        rc = rc or 1
    if rc:
        result["error"] = why or " / ".join(err.splitlines()[:3]) or f"exit {rc}"
        result["over"] = limit if "in time" in err else None
    return result
