# SPDX-License-Identifier: BSD-2-Clause
"""One trial: a device with N sessions, held by peregrine-bfdgen for some seconds, then some of them cut."""
import json
import os
import subprocess

from netlab.daemons import build_dir

from .devices import DUT, DUT_MAC, FIRST


THROTTLED_US = 30000  # the kernel stops a real-time thread that never sleeps for 50 ms in each second


def cpu_mhz():
    """Of the time stamp counter, as far as the kernel says."""
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        return next((float(line.split(":")[1]) for line in f if line.startswith("cpu MHz")), 0.0)


class Trial:
    def __init__(self, device, n, ms, data, error=None, cost=None):
        self.device, self.n, self.ms, self.data, self.error, self.cost = device, n, ms, data, error, cost

    @property
    def throttled(self):
        """It is a real-time process and used up what those may use: nobody has taken its core away but itself."""
        return self.device.throttles and max([c["worst_us"] for c in self.data["cores"]], default=0) > THROTTLED_US

    @property
    def flaps(self):
        """During the hold and the cuts, those that neither the generator nor a core taken away explains."""
        return self.data["flaps"]["device"] + (self.data["flaps"]["machine"] if self.throttled else 0)

    @property
    def excused(self):
        f = self.data["flaps"]
        return f["generator"] + (0 if self.throttled else f["machine"])

    @property
    def held(self):
        return not self.error and self.data["sessions"]["up_at_hold"] == self.n and self.flaps == 0

    @property
    def clean(self):
        """The machine and the generator let it be judged."""
        return not self.error and self.excused == 0

    @property
    def cpu(self):
        return sum(c["percent"] for c in self.data["cpu"])

    def row(self):
        r = {"device": self.device.title, "interval_ms": self.ms, "sessions": self.n, "held": self.held}
        if self.error:
            return r | {"error": self.error}
        d, o = self.data, self.data["detections"]["overshoot_us"]
        return r | (self.cost or {}) | {
            "up": d["sessions"]["up_at_hold"], "hold_s": round(d["course"]["cuts_s"] - d["course"]["hold_s"], 1),
            "flaps": self.flaps, "flaps_machine": self.excused - d["flaps"]["generator"], "flaps_generator": d["flaps"]["generator"],
            "flaps_said": d["flaps"]["said"], "flaps_silent": d["flaps"]["silent"],
            "worst_gap_ms": round(d["gaps"]["max_us"] / 1e3, 3), "gaps": d["gaps"]["count"], "gaps_late": d["gaps"]["late"],
            "detections": o["count"], "early": d["detections"]["early"], "missed": d["detections"]["missed"],
            "overshoot_median_ms": round(o["median"] / 1e3, 3), "overshoot_p99_ms": round(o["p99"] / 1e3, 3),
            "overshoot_max_ms": round(o["max"] / 1e3, 3), "round_trip_median_us": d["round_trip_us"]["median"],
            "cpu_percent": round(self.cpu, 1), "packets_in": d["packets"]["received"], "packets_out": d["packets"]["sent"],
            "not_taken_by_port": d["packets"]["not_taken_by_port"], "own_stalls": d["generator"]["stalls"],
            "own_worst_stall_ms": round(d["generator"]["worst_stall_us"] / 1e3, 2),
            "core_stalls": sum(c["stalls"] for c in d["cores"]),
            "core_worst_stall_ms": round(max([c["worst_us"] for c in d["cores"]], default=0) / 1e3, 2),
            "generator_busy_percent": d["generator"]["busy_percent"],
            "generator_cycles": round(d["generator"]["ns_a_packet"] * cpu_mhz() / 1e3),
            "load": d["machine"]["load"],
        }


def cost(before, after, data):
    """What the worker spends on a packet, in rounds that have any, and so how much of its core the packets of the hold take. A
    core taken away within such a round counts as spent."""
    if not before or not after or after["rx"] + after["tx"] == before["rx"] + before["tx"]:
        return None
    each = (after["busy"] - before["busy"]) / (after["rx"] + after["tx"] - before["rx"] - before["tx"])
    rate = 2 * data["gaps"]["count"] / (data["course"]["goodbye_s"] - data["course"]["hold_s"])
    return {"worker_busy_percent": round(100 * each * rate, 1), "worker_cycles": round(each * cpu_mhz() * 1e6)}


def measure(lab, device, n, ms, seconds, core, cut=0, rounds=1, more=()):
    """device runs with at least n sessions at ms or faster. Returns a Trial."""
    out = lab.path("trial.json")
    if os.path.exists(out):
        os.unlink(out)
    argv = [os.path.join(build_dir(), "peregrine-bfdgen"), "--port", device.port, "--peer-mac", DUT_MAC, "--local", str(FIRST),
            "--peer", DUT, "--sessions", str(n), "--interval", str(ms), "--time", str(seconds), "--cut", str(min(cut, n)),
            "--cut-rounds", str(rounds), "--core", str(core), "--watch-core", str(device.core), "--json", out, "--quiet",
            "--label", device.title, *more]
    for name, pid in device.measured().items():
        argv += ["--pid", f"{pid}={name}"]
    before = device.worker()
    p = subprocess.run(["nsenter", f"--net={lab.ns_path('gen')}", "--", *argv], text=True, capture_output=True,
                       timeout=seconds + 60 + rounds * 15, check=False, stdin=subprocess.DEVNULL)
    if p.returncode not in (0, 3) or not os.path.exists(out):
        return Trial(device, n, ms, None, (p.stderr.strip().splitlines() or [f"exit {p.returncode}"])[-1])
    why, after = device.dead(), device.worker()
    if why:
        return Trial(device, n, ms, None, why)
    with open(out, encoding="utf-8") as f:
        data = json.load(f)
    return Trial(device, n, ms, data, cost=cost(before, after, data))
