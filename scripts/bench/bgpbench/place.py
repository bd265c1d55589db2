# SPDX-License-Identifier: BSD-2-Clause
"""Where the daemon and the generator run: two namespaces and a veth pair, or the loopback of a host that has no namespaces."""
import contextlib

from netlab import Lab, run
from netlab.proc import CommandError

from . import scene


class Loopback(Lab):
    """The same addresses on lo. Traffic takes a shorter way through the kernel: figures are not to be compared with others'."""

    def __init__(self):
        super().__init__(wire=False)

    def enter(self, role):
        return []

    def command(self, role, *argv):
        return list(argv)

    def ip(self, role, *argv, **kw):
        return run("ip", *argv, **kw)

    def prepare(self):
        """The addresses that are missing, taken away again at the end. Raises CommandError."""
        have = run("ip", "addr", "show", "dev", "lo")
        for add in ([["addr", "add", a, "dev", "lo"] for a in (scene.DUT + "/16", scene.GEN + "/16", scene.DUT6 + "/64", scene.GEN6 + "/64")
                     if a not in have] + [["route", "add", "local", scene.PEERS, "dev", "lo"]]):
            run("ip", *add)
            self.on_close(lambda remove=[add[0], "del", *add[2:]]: run("ip", *remove, check=False))


@contextlib.contextmanager
def place(say):
    """A Lab with the roles dut and gen, ready for a trial."""
    lab = None
    with contextlib.ExitStack() as stack:
        try:
            lab = stack.enter_context(Lab(wire=False))
            scene.wire(lab)
        except CommandError as e:
            say(f"no network namespaces with a veth pair here ({e}): over the loopback instead, which is a shorter way")
            stack.close()
            lab = stack.enter_context(Loopback())
            lab.prepare()
        yield lab
