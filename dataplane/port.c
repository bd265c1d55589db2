/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Opening and closing a port: what all types have in common. Manager thread
 * only; the workers get to see a port's queues through a command, and give
 * them back through another, before port_close().
 *
 * Ports are made after the EAL has started (hotplug), so that a refusal is one
 * sentence about one port and a port whose interface comes back can be made
 * again under another device name.
 */
#include "dataplane/port.h"
#include "dataplane/eal.h"
#include "dataplane/tap.h"
#include "shared/log.h"
#include <dirent.h>
#include <errno.h>
#include <net/if_arp.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/un.h>
#include <unistd.h>

/* AF_XDP wants half of them in its fill ring at all times and another 2048 on their way out. */
#define POOL_MBUFS 6143
#define POOL_CACHE 128
#define FD_SCAN 4096

static const struct port_driver *const drivers[PORT_TYPES] = {
	[PORT_AF_XDP] = &port_driver_af_xdp,
	[PORT_AF_PACKET] = &port_driver_af_packet,
	[PORT_PCI] = &port_driver_pci,
	[PORT_MEMIF] = &port_driver_memif,
};

int port_refuse(struct port *p, int rc, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(p->why, sizeof(p->why), fmt, ap);
	va_end(ap);
	return rc;
}

const char *port_dpdk_reason(int err)
{
	const char *said = eal_reason();

	return *said ? said : strerror(err < 0 ? -err : err);
}

int port_kernel_interface(struct port *p)
{
	struct ifreq ifr = {0};
	int s, rc = 0;

	p->ifindex = if_nametoindex(p->spec.target);
	if (p->ifindex == 0)
		return port_refuse(p, -ENODEV, "there is no interface %s", p->spec.target);
	s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (s < 0)
		return port_refuse(
			p, -errno, "no socket to ask about %s: %s", p->spec.target, strerror(errno));
	memcpy(ifr.ifr_name, p->spec.target, strlen(p->spec.target));
	if (ioctl(s, SIOCGIFHWADDR, &ifr) < 0)
		rc = port_refuse(p, -ENODEV, "there is no interface %s", p->spec.target);
	else if (ifr.ifr_hwaddr.sa_family != ARPHRD_ETHER)
		rc = port_refuse(p, -EOPNOTSUPP, "%s is not an Ethernet interface", p->spec.target);
	else
		memcpy(p->mac, ifr.ifr_hwaddr.sa_data, 6);
	if (rc == 0 && ioctl(s, SIOCGIFFLAGS, &ifr) == 0 && !(ifr.ifr_flags & IFF_UP))
		rc = port_refuse(p, -EAGAIN, "%s is down", p->spec.target);
	close(s);
	return rc;
}

/* A name in the abstract socket space of this network namespace: gone with the process, whatever ends it. */
int port_lock(struct port *p)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	int n;

	if (p->lock_fd >= 0)
		return 0;
	n = snprintf(un.sun_path + 1, sizeof(un.sun_path) - 1, "peregrine-dp/port/%s", p->spec.target);
	p->lock_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (p->lock_fd < 0)
		return port_refuse(p, -errno, "no socket to lock %s: %s", p->spec.target, strerror(errno));
	if (bind(p->lock_fd, (struct sockaddr *)&un,
		    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + n))) {
		close(p->lock_fd);
		p->lock_fd = -1;
		return port_refuse(p, -EBUSY, "another running peregrine-dp uses %s", p->spec.target);
	}
	return 0;
}

static uint64_t effective_capabilities(void)
{
	FILE *f = fopen("/proc/self/status", "re");
	unsigned long long caps = 0;
	char line[128];

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "CapEff: %llx", &caps) == 1)
			break;
	if (f)
		fclose(f);
	return caps;
}

int port_need_capabilities(struct port *p, const struct port_capability *need, size_t n)
{
	uint64_t have = effective_capabilities();
	char missing[160] = "";
	size_t len = 0;

	for (size_t i = 0; i < n; i++) {
		if (have & (UINT64_C(1) << need[i].bit))
			continue;
		if (need[i].instead >= 0 && (have & (UINT64_C(1) << need[i].instead)))
			continue;
		len += (size_t)snprintf(
			missing + len, sizeof(missing) - len, "%s%s", len ? ", " : "", need[i].name);
	}
	return len ? port_refuse(p, -EPERM, "missing capability: %s", missing) : 0;
}

/* Descriptors of our own sockets of a family, as a bitmap: the drivers don't say which are theirs, so we look
 * what is new. */
static void scan_sockets(int domain, uint64_t seen[FD_SCAN / 64])
{
	DIR *d = opendir("/proc/self/fd");
	struct dirent *e;

	memset(seen, 0, FD_SCAN / 8);
	while (d && (e = readdir(d))) {
		int fd = atoi(e->d_name), is = 0;
		socklen_t len = sizeof(is);

		if (fd >= 0 && fd < FD_SCAN && getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &is, &len) == 0 &&
			is == domain)
			seen[fd / 64] |= UINT64_C(1) << (fd % 64);
	}
	if (d)
		closedir(d);
}

static int new_socket(int domain, const uint64_t before[FD_SCAN / 64])
{
	uint64_t now[FD_SCAN / 64];

	scan_sockets(domain, now);
	for (int i = 0; i < FD_SCAN / 64; i++)
		if (now[i] & ~before[i])
			return i * 64 + __builtin_ctzll(now[i] & ~before[i]);
	return -1;
}

static int setup_queue(struct port *p, unsigned q, uint16_t ethdev, uint16_t queue)
{
	int socket_id = rte_eth_dev_socket_id(ethdev);
	uint64_t before[FD_SCAN / 64];
	char name[32];
	int rc;

	p->q[q].ethdev = ethdev;
	p->q[q].queue = queue;
	p->q[q].room = p->spec.bsize;
	snprintf(name, sizeof(name), "port%u.%u.%u", p->index, q, p->opened);
	p->q[q].pool = rte_pktmbuf_pool_create(name, POOL_MBUFS, POOL_CACHE, 0, RTE_MBUF_DEFAULT_BUF_SIZE,
		socket_id >= 0 ? socket_id : SOCKET_ID_ANY);
	if (!p->q[q].pool)
		return port_refuse(p, -ENOMEM, "no memory for the packet buffers of %s: %s", p->spec.target,
			port_dpdk_reason(rte_errno));
	if (p->q[q].pool->nb_mem_chunks != 1)
		return port_refuse(p, -ENOMEM,
			"packet buffers of %s are not in one piece: give DPDK more memory", p->spec.target);
	scan_sockets(AF_XDP, before);
	rc = rte_eth_rx_queue_setup(ethdev, queue, 2048, (unsigned)socket_id, NULL, p->q[q].pool);
	if (rc == 0)
		rc = rte_eth_tx_queue_setup(ethdev, queue, 2048, (unsigned)socket_id, NULL);
	if (rc)
		return port_refuse(p, rc, "queue %u: %s%s%s", q, port_dpdk_reason(rc),
			p->spec.type == PORT_AF_XDP ? "; without XDP it would be af_packet:" : "",
			p->spec.type == PORT_AF_XDP ? p->spec.target : "");
	if (p->spec.type == PORT_AF_XDP)
		p->q[q].fd = new_socket(AF_XDP, before);
	return 0;
}

static int make_dev(struct port *p, const struct port_open *how, unsigned dev)
{
	const struct port_driver *d = drivers[p->spec.type];
	unsigned queues = p->nqueues / p->ndevs;
	struct rte_eth_conf conf = {0};
	char args[PORT_SPEC + 256] = "";
	int rc;

	rc = d->arguments(p, how, dev, args, sizeof(args));
	if (rc)
		return rc;
	eal_forget_errors();
	rc = rte_eal_hotplug_add(d->bus, p->devname[dev], args);
	if (rc)
		return port_refuse(p, rc, "%s", port_dpdk_reason(rc));
	if (rte_eth_dev_get_port_by_name(p->devname[dev], &p->dev[dev]))
		return port_refuse(p, -ENODEV, "DPDK has no network driver for it");
	if (d->probed) {
		rc = d->probed(p, dev);
		if (rc)
			return rc;
	}
	if (p->spec.type == PORT_PCI) {
		struct rte_eth_dev_info info;
		unsigned most = queues;

		if (rte_eth_dev_info_get(p->dev[dev], &info) == 0)
			most = info.max_rx_queues < info.max_tx_queues ? info.max_rx_queues
								       : info.max_tx_queues;
		if (queues > most)
			queues = p->nqueues = most;
	}
	rc = rte_eth_dev_configure(p->dev[dev], (uint16_t)queues, (uint16_t)queues, &conf);
	if (rc)
		return port_refuse(p, rc, "%s", port_dpdk_reason(rc));
	for (unsigned i = 0; i < queues; i++) {
		rc = setup_queue(p, dev * queues + i, p->dev[dev], (uint16_t)i);
		if (rc)
			return rc;
	}
	rc = rte_eth_dev_start(p->dev[dev]);
	if (rc)
		return port_refuse(p, rc, "%s", port_dpdk_reason(rc));
	return d->started ? d->started(p, dev) : 0;
}

void port_init(struct port *p, const struct port_spec *spec, unsigned index)
{
	memset(p, 0, sizeof(*p));
	p->spec = *spec;
	p->index = index;
	p->lock_fd = p->tap_fd = -1;
	for (unsigned i = 0; i < sizeof(p->guard_fd) / sizeof(p->guard_fd[0]); i++)
		p->guard_fd[i] = -1;
	for (unsigned i = 0; i < PORT_QUEUES; i++) {
		p->q[i].fd = -1;
		p->dev[i] = RTE_MAX_ETHPORTS;
	}
	xdp_filter_init(&p->xdp);
	p->kernel = spec->type == PORT_AF_XDP || spec->type == PORT_AF_PACKET || *spec->tap;
	p->own_link = spec->type == PORT_MEMIF || spec->type == PORT_PCI;
	if (!p->kernel)
		p->ifindex = PORT_PSEUDO_IFINDEX + index;
	if (!*p->spec.name)
		snprintf(p->spec.name, sizeof(p->spec.name), "%s%u", port_type_name(spec->type), index);
}

uint32_t port_vlan_ifindex(const struct port *p, uint16_t vid)
{
	return p->ifindex + ((uint32_t)vid << 8);
}

bool port_vlan_of(const struct port *p, uint32_t ifindex, uint16_t *vid)
{
	*vid = 0;
	if (ifindex == p->ifindex)
		return true;
	for (unsigned i = 0; !p->kernel && i < p->spec.nvlans; i++)
		if (ifindex == port_vlan_ifindex(p, p->spec.vlan[i])) {
			*vid = p->spec.vlan[i];
			return true;
		}
	return false;
}

void port_vlan_name(const struct port *p, uint16_t vid, char name[IF_NAMESIZE])
{
	if (vid)
		snprintf(name, IF_NAMESIZE, "%.10s.%u", p->spec.name, vid & 0xfffu);
	else
		snprintf(name, IF_NAMESIZE, "%s", p->spec.name);
}

int port_open(struct port *p, const struct port_open *how)
{
	const struct port_driver *d = drivers[p->spec.type];
	int rc;

	p->opened++;
	rc = d->prepare(p, how);
	if (rc == 0 && *p->spec.tap)
		rc = tap_open(p);
	for (unsigned dev = 0; rc == 0 && dev < p->ndevs; dev++)
		rc = make_dev(p, how, dev);
	if (rc == 0 && d->ready)
		rc = d->ready(p);
	if (rc == 0 && p->tap_fd >= 0)
		rc = tap_ready(p);
	if (rc) {
		port_close(p);
		p->state = rc == -EAGAIN || rc == -ENODEV ? PORT_WAITING : PORT_CLOSED;
		return rc;
	}
	p->state = PORT_OPEN;
	p->why[0] = '\0';
	return 0;
}

void port_close(struct port *p)
{
	const struct port_driver *d = drivers[p->spec.type];

	for (unsigned i = 0; i < PORT_QUEUES; i++) {
		if (p->dev[i] == RTE_MAX_ETHPORTS)
			continue;
		rte_eth_dev_stop(p->dev[i]);
		rte_eth_dev_close(p->dev[i]);
		rte_eal_hotplug_remove(d->bus, p->devname[i]);
		p->dev[i] = RTE_MAX_ETHPORTS;
	}
	for (unsigned i = 0; i < PORT_QUEUES; i++) {
		rte_mempool_free(p->q[i].pool);
		p->q[i].pool = NULL;
		p->q[i].fd = -1;
	}
	tap_close(p);
	if (d->close)
		d->close(p);
	if (p->lock_fd >= 0)
		close(p->lock_fd);
	p->lock_fd = -1;
	p->state = PORT_CLOSED;
	p->up = false;
}
