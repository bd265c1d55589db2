/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A port: one way in and out, a DPDK ethdev made from a --port SPEC. Parsed
 * from text, opened and closed by the manager; while it is open its queues
 * belong to the workers they were given to, and are taken back (and that
 * acknowledged) before port_close().
 *
 * Two kinds matter to the rest: kernel ports sit on a Linux interface
 * (af_xdp, af_packet) and use the kernel's addresses and neighbours; standalone
 * ports (memif, pci) are ours alone, have the addresses of their SPEC and
 * resolve neighbours themselves (dataplane/exception.c).
 */
#pragma once
#include "dataplane/xdp.h"
#include "shared/addr.h"
#include "shared/ipc.h"
#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

#define PORT_ERR 256
#define PORT_SPEC 192
#define PORT_MAX 32
#define PORT_QUEUES 16
#define PORT_ADDRS 8
#define PORT_VLANS 32
#define PORT_ROOM 2048   /* bytes of a buffer */
#define PORT_LOCALS 4096 /* as many as the filter's maps hold */

/* Standalone ports have no kernel interface; sessions name them by these indices (of a VLAN: with its number
 * from bit 8 on) or by the port's name (of VLAN 10: name.10, as Linux has it). */
#define PORT_PSEUDO_IFINDEX UINT32_C(0x40000000)

enum port_type { PORT_AF_XDP, PORT_AF_PACKET, PORT_PCI, PORT_MEMIF, PORT_TYPES };

struct rte_mempool;

struct port_spec {
	enum port_type type;
	char text[PORT_SPEC];   /* as the operator wrote it */
	char target[112];       /* interface, PCI address, socket path */
	char name[IF_NAMESIZE]; /* what sessions call the port: the interface, or name= */
	char tap[IF_NAMESIZE];  /* memif, pci: the TAP interface that leads to the kernel; "" none */
	unsigned queues;        /* 0: as many as the device has */
	bool copy;              /* af_xdp: copy mode even where zero-copy exists */
	int busy_budget;        /* af_xdp: -1 chosen by us */
	bool server;            /* memif */
	uint32_t id;            /* memif */
	uint16_t bsize;         /* memif: bytes of a buffer, and so of the longest frame */
	bool has_mac, has_peer_mac;
	uint8_t mac[6], peer_mac[6];
	unsigned nip;
	struct prefix ip[PORT_ADDRS];      /* subnet of each address */
	struct ipaddr ip_addr[PORT_ADDRS]; /* the address itself */
	uint16_t ip_vid[PORT_ADDRS];       /* the VLAN it is in; 0: untagged */
	unsigned nvlans;
	uint16_t vlan[PORT_VLANS]; /* standalone ports: 802.1Q numbers that sessions may be in */
};

enum port_state {
	PORT_CLOSED,
	PORT_WAITING, /* the interface is missing or down: opened when it comes */
	PORT_OPEN,
};

/* One receive and one transmit queue, always used by the same worker: AF_XDP pairs share their memory. */
struct port_queue {
	uint16_t ethdev, queue;
	struct rte_mempool *pool;
	int fd;        /* to sleep on, -1 when there is none */
	uint16_t room; /* the longest frame that may be sent */
};

struct port_local {
	struct ipaddr addr;
	uint8_t what; /* enum filter_local */
};

struct port {
	struct port_spec spec;
	unsigned index;
	enum port_state state;
	bool up;            /* open, and the interface is up with carrier */
	char why[PORT_ERR]; /* why it is not up */
	uint32_t ifindex;
	uint8_t mac[6];
	unsigned nqueues;
	struct port_queue q[PORT_QUEUES];
	/* The ethdevs behind the queues: one for all, or one for each where the driver can't do better. */
	unsigned ndevs;
	uint16_t dev[PORT_QUEUES];
	char devname[PORT_QUEUES][40];
	unsigned opened;   /* how often: names of ethdevs and pools must differ */
	bool kernel;       /* sits on a Linux interface: its addresses and neighbours are the kernel's */
	bool own_link;     /* whether it is up is the driver\'s to say, not the kernel\'s */
	int tap_fd;        /* with a TAP interface beside it */
	bool tags_told;    /* port_check_tags() has complained */
	bool partial_csum; /* senders on this host leave the UDP checksum to hardware that isn't there */
	int lock_fd;       /* held while this process uses the interface */
	int guard_fd[8];   /* af_packet: keeps the kernel from answering "port unreachable" */
	struct xdp_filter xdp;
	struct port_local *locals; /* what its address maps hold, sorted; the manager's */
	unsigned nlocals;
};

struct port_open {
	unsigned workers; /* queues worth asking for, where that is our choice */
	bool adaptive;    /* the workers want to sleep on descriptors */
	bool hugepages;
};

/* 0 or -EINVAL with a sentence in err. */
int port_spec_parse(const char *text, struct port_spec *out, char err[PORT_ERR]);
const char *port_type_name(enum port_type t);

void port_init(struct port *p, const struct port_spec *spec, unsigned index);
/* Of a standalone port: the index of one of its VLANs (0: the port's own), and back. port_vlan_of(): false if
 * ifindex is not the port's. port_vlan_name(): "memif0.10". */
uint32_t port_vlan_ifindex(const struct port *p, uint16_t vid);
bool port_vlan_of(const struct port *p, uint32_t ifindex, uint16_t *vid);
void port_vlan_name(const struct port *p, uint16_t vid, char name[IF_NAMESIZE]);
/* Creates, configures and starts the ethdev. 0; -ENODEV: no such interface (yet); -EAGAIN: it is down;
 * else a refusal that waiting does not cure. p->why says it in a sentence. */
int port_open(struct port *p, const struct port_open *how);
void port_close(struct port *p);

/* What each type adds. Functions that refuse set p->why and return a negative errno. */
struct port_driver {
	const char *bus;
	/* Before anything is made: checks, then ifindex, mac, ndevs, nqueues. */
	int (*prepare)(struct port *p, const struct port_open *how);
	/* Name and arguments of ethdev number dev. */
	int (*arguments)(struct port *p, const struct port_open *how, unsigned dev, char *args, size_t size);
	/* It exists, not yet configured. */
	int (*probed)(struct port *p, unsigned dev);
	/* That ethdev has been started. */
	int (*started)(struct port *p, unsigned dev);
	/* All have. */
	int (*ready)(struct port *p);
	/* After the ethdevs are closed; must cope with a port that was never opened. */
	void (*close)(struct port *p);
};
extern const struct port_driver port_driver_af_xdp, port_driver_af_packet, port_driver_memif, port_driver_pci;

/* Helpers for the drivers (port.c). */
int port_refuse(struct port *p, int rc, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
int port_kernel_interface(struct port *p); /* ifindex, mac; -ENODEV, -EAGAIN */
/* There is a VLAN above the port: warns, once, if the device takes the tags off before AF_XDP sees a packet.
 */
void port_check_tags(struct port *p);
int port_lock(struct port *p); /* -EBUSY: another live peregrine-dp has this interface */
struct port_capability {
	int bit, instead; /* instead: a wider one that also does; -1 none */
	const char *name;
};
int port_need_capabilities(struct port *p, const struct port_capability *need, size_t n);
/* The DPDK message that explains the last failure, or strerror(err). */
const char *port_dpdk_reason(int err);
