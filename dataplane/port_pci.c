/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A PCI device. Two ways to own one:
 *   - bifurcated drivers (mlx5, mlx4): the kernel keeps the interface; flow
 *     isolation is switched on before configuration and only the rules made
 *     here bring packets to us, so ssh and BGP stay where they were;
 *   - everything else is bound to vfio-pci and is ours alone: the SPEC gives
 *     its addresses.
 * The second kind has a kernel interface to lose, so we never bind drivers
 * ourselves: that is the operator's deed (dpdk-devbind.py).
 */
#include "bfd/session.h"
#include "dataplane/eal.h"
#include "dataplane/port.h"
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <rte_ethdev.h>
#include <rte_flow.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The kernel driver that the device is bound to; "" when none. */
static void bound_driver(const char *addr, char driver[64])
{
	char path[PATH_MAX], link[PATH_MAX];
	ssize_t n;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/driver", addr);
	n = readlink(path, link, sizeof(link) - 1);
	driver[0] = '\0';
	if (n > 0) {
		link[n] = '\0';
		snprintf(driver, 64, "%.63s", strrchr(link, '/') ? strrchr(link, '/') + 1 : link);
	}
}

static bool bifurcated(const char *driver)
{
	return !strcmp(driver, "mlx5_core") || !strcmp(driver, "mlx4_core");
}

/* The kernel interface on top of a bifurcated device. */
static bool kernel_interface(const char *addr, char ifname[IF_NAMESIZE])
{
	char path[PATH_MAX];
	struct dirent *e;
	bool found = false;
	DIR *d;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/net", addr);
	d = opendir(path);
	while (d && !found && (e = readdir(d))) {
		if (*e->d_name == '.' || strlen(e->d_name) >= IF_NAMESIZE)
			continue;
		memcpy(ifname, e->d_name, strlen(e->d_name) + 1);
		found = true;
	}
	if (d)
		closedir(d);
	return found;
}

static int prepare(struct port *p, const struct port_open *how)
{
	unsigned domain, bus, devid, fn;
	char path[PATH_MAX], driver[64], full[32];

	if (sscanf(p->spec.target, "%x:%x:%x.%u", &domain, &bus, &devid, &fn) == 4)
		snprintf(full, sizeof(full), "%04x:%02x:%02x.%u", domain & 0xffffu, bus & 0xffu,
			devid & 0x1fu, fn & 7u);
	else if (sscanf(p->spec.target, "%x:%x.%u", &bus, &devid, &fn) == 3)
		snprintf(full, sizeof(full), "0000:%02x:%02x.%u", bus & 0xffu, devid & 0x1fu, fn & 7u);
	else
		return port_refuse(p, -EINVAL, "'%s' is not a PCI address like 0000:03:00.0", p->spec.target);
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s", full);
	if (access(path, F_OK))
		return port_refuse(p, -ENXIO, "there is no PCI device %s", full);
	if (!how->hugepages)
		return port_refuse(p, -ENOMEM,
			"DMA needs hugepages, and none are free: echo 256 > /sys/kernel/mm/hugepages/"
			"hugepages-2048kB/nr_hugepages");
	bound_driver(full, driver);
	if (!bifurcated(driver) && strcmp(driver, "vfio-pci") && strcmp(driver, "uio_pci_generic"))
		return port_refuse(p, -EBUSY,
			"%s belongs to %s: bind it to vfio-pci first (dpdk-devbind.py -b vfio-pci %s)", full,
			*driver ? driver : "no driver", full);
	if (bifurcated(driver) && kernel_interface(full, p->spec.name)) {
		p->kernel = true;
		p->own_link = false;
		p->ifindex = if_nametoindex(p->spec.name);
	} else if (p->spec.nip == 0 && !*p->spec.tap) {
		return port_refuse(
			p, -EINVAL, "needs an address, ip=ADDRESS/LENGTH, or a way to the kernel, tap=NAME");
	}
	snprintf(p->devname[0], sizeof(p->devname[0]), "%s", full);
	p->ndevs = 1;
	p->nqueues = p->spec.queues ? p->spec.queues : how->workers;
	return 0;
}

static int arguments(struct port *p, const struct port_open *how, unsigned dev, char *args, size_t size)
{
	args[0] = '\0';
	return 0;
}

/* Before rte_eth_dev_configure(), as rte_flow_isolate() asks. */
static int probed(struct port *p, unsigned dev)
{
	struct rte_flow_error e = {0};
	char driver[64];

	bound_driver(p->devname[dev], driver);
	if (bifurcated(driver) && rte_flow_isolate(p->dev[dev], 1, &e))
		return port_refuse(p, -rte_errno, "flow isolation refused: %s",
			e.message ? e.message : strerror(rte_errno));
	return 0;
}

static int divert(struct port *p, bool v6, uint16_t udp_port)
{
	struct rte_flow_item_udp udp = {.hdr.dst_port = rte_cpu_to_be_16(udp_port)};
	struct rte_flow_item_udp mask = {.hdr.dst_port = 0xffff};
	struct rte_flow_item pattern[] = {
		{.type = RTE_FLOW_ITEM_TYPE_ETH},
		{.type = v6 ? RTE_FLOW_ITEM_TYPE_IPV6 : RTE_FLOW_ITEM_TYPE_IPV4},
		{.type = RTE_FLOW_ITEM_TYPE_UDP, .spec = &udp, .mask = &mask},
		{.type = RTE_FLOW_ITEM_TYPE_END},
	};
	struct rte_flow_action_queue queue = {.index = 0};
	struct rte_flow_action action[] = {
		{.type = RTE_FLOW_ACTION_TYPE_QUEUE, .conf = &queue},
		{.type = RTE_FLOW_ACTION_TYPE_END},
	};
	struct rte_flow_attr attr = {.ingress = 1};
	struct rte_flow_error e = {0};

	if (!rte_flow_create(p->dev[0], &attr, pattern, action, &e))
		return port_refuse(p, -rte_errno, "no flow rule for UDP port %u: %s", udp_port,
			e.message ? e.message : strerror(rte_errno));
	return 0;
}

static int started(struct port *p, unsigned dev)
{
	static const uint16_t ports[] = {BFD_PORT_CONTROL, BFD_PORT_ECHO, BFD_PORT_MULTIHOP, BFD_PORT_SBFD};
	struct rte_ether_addr mac;
	char driver[64];
	int rc = 0;

	rte_eth_macaddr_get(p->dev[dev], &mac);
	memcpy(p->mac, mac.addr_bytes, 6);
	bound_driver(p->devname[dev], driver);
	if (!bifurcated(driver))
		return 0;
	for (unsigned i = 0; rc == 0 && i < 4; i++) {
		rc = divert(p, false, ports[i]);
		if (rc == 0)
			rc = divert(p, true, ports[i]);
	}
	return rc;
}

const struct port_driver port_driver_pci = {
	.bus = "pci",
	.prepare = prepare,
	.arguments = arguments,
	.probed = probed,
	.started = started,
};
