/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * memif: shared memory to another process on this host (VPP, another
 * peregrine-dp, peregrine-bfdgen). No kernel interface: addresses come from the
 * SPEC and neighbours from our own ARP and ND.
 */
#include "dataplane/port.h"
#include <errno.h>
#include <rte_ethdev.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* 16384 packets, the most there can be: 4.7 ms of ten thousand sessions at 3.3 ms, if the other side is held
 * up. */
#define RING_LOG2 14

/* A ring's buffers are used one after the other, all of them: with 2 KiB each every packet is in a page of
 * its own, which costs a tenth of the time of a packet. bsize=256 is enough for BFD without padding. The
 * driver would split a longer frame, and leaves marks of that behind which spoil later ones: so none is sent.
 */

/* A socket that nobody answers on is what a killed server left: the driver would refuse to bind over it. */
static int clear_stale_socket(struct port *p)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	struct stat st;
	int s, rc;

	if (lstat(p->spec.target, &st))
		return 0;
	if (!S_ISSOCK(st.st_mode))
		return port_refuse(p, -EEXIST, "%s exists and is not a socket", p->spec.target);
	if (strlen(p->spec.target) >= sizeof(un.sun_path))
		return port_refuse(p, -ENAMETOOLONG, "%s is too long for a socket", p->spec.target);
	memcpy(un.sun_path, p->spec.target, strlen(p->spec.target));
	s = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	rc = s >= 0 ? connect(s, (struct sockaddr *)&un, sizeof(un)) : -1;
	if (s >= 0)
		close(s);
	if (rc == 0)
		return port_refuse(p, -EADDRINUSE, "%s is in use by a running process", p->spec.target);
	return unlink(p->spec.target)
		       ? port_refuse(p, -errno, "cannot replace %s: %s", p->spec.target, strerror(errno))
		       : 0;
}

static int prepare(struct port *p, const struct port_open *how)
{
	if (p->spec.nip == 0 && !*p->spec.tap)
		return port_refuse(p, -EINVAL,
			"a memif port needs an address, ip=ADDRESS/LENGTH, or a way to the kernel, tap=NAME");
	p->ndevs = 1;
	p->nqueues = p->spec.queues ? p->spec.queues : 1;
	return p->spec.server ? clear_stale_socket(p) : 0;
}

static int arguments(struct port *p, const struct port_open *how, unsigned dev, char *args, size_t size)
{
	const uint8_t *m = p->spec.mac;
	int n;

	snprintf(p->devname[dev], sizeof(p->devname[dev]), "net_memif%u_%u", p->index, p->opened);
	n = snprintf(args, size, "socket=%s,socket-abstract=no,role=%s,id=%u,bsize=%u,rsize=%u",
		p->spec.target, p->spec.server ? "server" : "client", p->spec.id, p->spec.bsize, RING_LOG2);
	if (p->spec.has_mac)
		snprintf(args + n, size - (size_t)n, ",mac=%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2],
			m[3], m[4], m[5]);
	return 0;
}

static int started(struct port *p, unsigned dev)
{
	struct rte_ether_addr mac;

	rte_eth_macaddr_get(p->dev[dev], &mac);
	memcpy(p->mac, mac.addr_bytes, 6);
	return 0;
}

const struct port_driver port_driver_memif = {
	.bus = "vdev",
	.prepare = prepare,
	.arguments = arguments,
	.started = started,
};
