/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * AF_XDP: a kernel interface that stays the kernel's, with BFD diverted to us by
 * dataplane/xdp/bfd_filter.bpf.c. All receive queues are bound, because BFD may
 * land on any.
 *
 * The driver of DPDK 22.11 believes only in "combined" channels; an interface
 * that counts receive and transmit queues apart (veth) is bound with one ethdev
 * for each queue. Each of them loads and attaches a program of its own; the
 * first one's stays and gets the sockets of all, the others' are detached.
 *
 * Copy mode is chosen where the workers sleep (an empty zero-copy ring makes
 * the driver's receive function block for a second), without hugepages (zero-copy
 * needs buffers in physically contiguous pages) and on veth, where there is
 * nothing else. In copy mode the receive path makes no system call at all.
 */
#include "dataplane/port.h"
#include "shared/log.h"
#include <bpf/bpf.h>
#include <errno.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <rte_ethdev.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <unistd.h>

#define UMEM_BYTES (24u << 20) /* one queue's, about */

static int kernel_channels(const char *ifname, unsigned *combined, unsigned *rx)
{
	struct ethtool_channels ch = {.cmd = ETHTOOL_GCHANNELS};
	struct ifreq ifr = {.ifr_data = (void *)&ch};
	int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int rc;

	*combined = *rx = 1;
	if (s < 0)
		return -errno;
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%.15s", ifname);
	rc = ioctl(s, SIOCETHTOOL, &ifr);
	close(s);
	if (rc)
		return 0; /* no channels to speak of: one queue */
	*combined = ch.max_combined ? ch.combined_count : 1;
	*rx = ch.max_combined ? ch.combined_count : ch.rx_count;
	return 0;
}

void port_check_tags(struct port *p)
{
	struct ethtool_value flags = {.cmd = ETHTOOL_GFLAGS};
	struct ifreq ifr = {.ifr_data = (void *)&flags};
	int s;

	/* With veth it is the other end that leaves tags out of the frame. */
	if (p->spec.type != PORT_AF_XDP || p->tags_told || p->partial_csum)
		return;
	s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (s < 0)
		return;
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%.15s", p->spec.target);
	if (ioctl(s, SIOCETHTOOL, &ifr) == 0 && flags.data & ETH_FLAG_RXVLAN) {
		p->tags_told = true;
		log_msg(LOG_CLASS_WARNING,
			"%s takes the tags of VLANs off before packets come to AF_XDP: their sessions need "
			"ethtool -K %s rxvlan off",
			p->spec.target, p->spec.target);
	}
	close(s);
}

static bool is_veth(const char *ifname)
{
	struct ethtool_drvinfo info = {.cmd = ETHTOOL_GDRVINFO};
	struct ifreq ifr = {.ifr_data = (void *)&info};
	int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool yes;

	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%.15s", ifname);
	yes = s >= 0 && ioctl(s, SIOCETHTOOL, &ifr) == 0 && !strcmp(info.driver, "veth");
	if (s >= 0)
		close(s);
	return yes;
}

static int prepare(struct port *p, const struct port_open *how)
{
	static const struct port_capability need[] = {
		{CAP_NET_ADMIN, -1, "CAP_NET_ADMIN"},
		{CAP_NET_RAW, -1, "CAP_NET_RAW"},
		/* Loading would do with CAP_BPF and CAP_PERFMON; finding the program and its maps again by
		 * their ids does not. */
		{CAP_SYS_ADMIN, -1, "CAP_SYS_ADMIN"},
	};
	static const struct port_capability lock = {
		CAP_IPC_LOCK, -1, "CAP_IPC_LOCK (or a higher RLIMIT_MEMLOCK)"};
	unsigned combined, rx, queues;
	struct rlimit limit = {0};
	bool leftover;
	int fd, rc;

	rc = port_need_capabilities(p, need, sizeof(need) / sizeof(need[0]));
	if (rc)
		return rc;
	/* The kernel charges packet buffers to it. */
	getrlimit(RLIMIT_MEMLOCK, &limit);
	if (limit.rlim_cur < UMEM_BYTES)
		rc = port_need_capabilities(p, &lock, 1);
	if (rc == 0)
		rc = port_kernel_interface(p);
	if (rc)
		return rc;
	fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return port_refuse(p, -errno, "this kernel has no AF_XDP sockets (%s): use af_packet:%s",
			strerror(errno), p->spec.target);
	close(fd);
	rc = port_lock(p);
	if (rc)
		return rc;
	rc = xdp_slot_claim(p->ifindex, p->spec.target, &leftover, p->why);
	if (rc)
		return rc;
	if (leftover)
		log_msg(LOG_CLASS_WARNING, "%s: detached the XDP filter that an earlier run left behind",
			p->spec.target);

	rc = kernel_channels(p->spec.target, &combined, &rx);
	if (rc)
		return port_refuse(p, rc, "cannot ask %s for its queues: %s", p->spec.target, strerror(-rc));
	queues = p->spec.queues ? p->spec.queues : rx;
	if (queues > rx)
		return port_refuse(
			p, -EINVAL, "%s has %u receive queues, not %u", p->spec.target, rx, queues);
	if (queues > PORT_QUEUES)
		return port_refuse(p, -E2BIG,
			"%s has %u receive queues, at most %u can be bound: ethtool -L %s combined %u, or "
			"steer BFD "
			"to the first ones and write queues=%u",
			p->spec.target, rx, PORT_QUEUES, p->spec.target, PORT_QUEUES, PORT_QUEUES);
	if (queues < rx)
		log_msg(LOG_CLASS_WARNING,
			"%s: %u of %u receive queues are bound: BFD must be steered to those", p->spec.target,
			queues, rx);
	p->nqueues = queues;
	p->ndevs = queues <= combined ? 1 : queues;
	p->partial_csum = is_veth(p->spec.target);
	return 0;
}

static int arguments(struct port *p, const struct port_open *how, unsigned dev, char *args, size_t size)
{
	bool copy = p->spec.copy || how->adaptive || !how->hugepages || p->partial_csum;
	int budget = p->spec.busy_budget >= 0 ? p->spec.busy_budget : copy ? 0 : 64;
	char path[PATH_MAX];
	size_t n;

	if (xdp_object_path(path, sizeof(path), p->why))
		return -ENOENT;
	if (budget == 0 && !copy)
		return port_refuse(p, -EINVAL, "busy_budget=0 needs copy=1");
	snprintf(p->devname[dev], sizeof(p->devname[dev]), "net_af_xdp%u_%u_%u", p->index, dev, p->opened);
	n = (size_t)snprintf(args, size,
		"iface=%s,start_queue=%u,queue_count=%u,busy_budget=%d,force_copy=%d,xdp_prog=%s",
		p->spec.target, p->ndevs > 1 ? dev : 0, p->nqueues / p->ndevs, budget, copy, path);
	if (n >= size)
		return port_refuse(
			p, -ENAMETOOLONG, "the path of the XDP filter is too long: %.120s...", path);
	return 0;
}

static int started(struct port *p, unsigned dev)
{
	if (p->q[dev * (p->nqueues / p->ndevs)].fd < 0)
		return port_refuse(p, -EIO, "the driver made no AF_XDP socket");
	if (dev == 0)
		return xdp_filter_take(&p->xdp, p->ifindex, p->spec.target, p->why);
	return xdp_filter_drop(p->ifindex, p->spec.target, p->why);
}

static int ready(struct port *p)
{
	for (unsigned q = 1; q < p->ndevs; q++) {
		int rc = xdp_filter_socket(&p->xdp, q, p->q[q].fd);

		if (rc)
			return port_refuse(
				p, rc, "queue %u cannot be put into the XDP filter: %s", q, strerror(-rc));
	}
	return xdp_filter_attach(&p->xdp, p->spec.target, p->why);
}

static void af_xdp_close(struct port *p)
{
	xdp_filter_close(&p->xdp);
}

const struct port_driver port_driver_af_xdp = {
	.bus = "vdev",
	.prepare = prepare,
	.arguments = arguments,
	.started = started,
	.ready = ready,
	.close = af_xdp_close,
};
