/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The tap thread moves frames both ways, a system call each: this is the path
 * of BGP, ARP and ssh on a port that DPDK owns, not of anything fast. It looks
 * into its ring every BUSY_NS while there is traffic and every IDLE_NS else,
 * because a worker must not make a system call to wake it.
 *
 * The list of taps belongs to the thread; changes are handed over under a lock
 * that the thread takes once a round and the manager holds only for a store.
 * The thread reads the workers' tables (worker_send()) and therefore is an RCU
 * reader like them.
 */
#define _LGPL_SOURCE
#include "dataplane/tap.h"
#include "dataplane/dpdk.h"
#include "shared/log.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if_arp.h>
#include <poll.h>
#include <pthread.h>
#include <rte_mbuf.h>
#include <rte_ring.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <urcu/urcu-qsbr.h>

#define RING_SIZE 4096
#define BURST 32
#define FRAME_MAX 2048
#define BUSY_NS (100 * NS_PER_US)
#define IDLE_NS (2 * NS_PER_MS)
#define BUSY_FOR_NS (20 * NS_PER_MS)

struct tap_thread {
	struct worker_group *group;
	struct rte_ring *ring;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t applied;
	uint64_t asked, done; /* changes, under lock */
	bool stop;
	int fd[PORT_MAX]; /* under lock: what the manager wants; -1 none */
};

int tap_open(struct port *p)
{
	struct ifreq ifr = {.ifr_flags = IFF_TAP | IFF_NO_PI};

	if (p->tap_fd >= 0)
		return 0;
	p->tap_fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (p->tap_fd < 0)
		return port_refuse(p, -errno, "no TAP here: /dev/net/tun: %s", strerror(errno));
	memcpy(ifr.ifr_name, p->spec.tap, strlen(p->spec.tap));
	if (ioctl(p->tap_fd, TUNSETIFF, &ifr)) {
		int rc = port_refuse(p, -errno, "TAP interface %s: %s", p->spec.tap, strerror(errno));

		tap_close(p);
		return rc;
	}
	p->ifindex = if_nametoindex(p->spec.tap);
	snprintf(p->spec.name, sizeof(p->spec.name), "%s", p->spec.tap);
	return 0;
}

int tap_ready(struct port *p)
{
	struct ifreq ifr = {0};
	int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), rc = 0;

	if (s < 0)
		return port_refuse(p, -errno, "no socket to set up %s", p->spec.tap);
	memcpy(ifr.ifr_name, p->spec.tap, strlen(p->spec.tap));
	ifr.ifr_hwaddr.sa_family = ARPHRD_ETHER;
	memcpy(ifr.ifr_hwaddr.sa_data, p->mac, 6);
	if (ioctl(s, SIOCSIFHWADDR, &ifr))
		rc = port_refuse(
			p, -errno, "%s cannot have the port's MAC address: %s", p->spec.tap, strerror(errno));
	if (rc == 0 &&
		(ioctl(s, SIOCGIFFLAGS, &ifr) || (ifr.ifr_flags |= IFF_UP, ioctl(s, SIOCSIFFLAGS, &ifr))))
		rc = port_refuse(p, -errno, "%s does not come up: %s", p->spec.tap, strerror(errno));
	close(s);
	return rc;
}

void tap_close(struct port *p)
{
	if (p->tap_fd >= 0)
		close(p->tap_fd);
	p->tap_fd = -1;
}

static unsigned to_kernel(struct tap_thread *t, const int *fd)
{
	struct rte_mbuf *m[BURST];
	unsigned n = rte_ring_sc_dequeue_burst(t->ring, (void **)m, BURST, NULL);

	for (unsigned i = 0; i < n; i++) {
		/* A full queue there is the kernel's way to drop. */
		if (m[i]->port < PORT_MAX && fd[m[i]->port] >= 0 &&
			write(fd[m[i]->port], rte_pktmbuf_mtod(m[i], void *), m[i]->data_len) < 0)
			continue;
	}
	rte_pktmbuf_free_bulk(m, n);
	return n;
}

static unsigned from_kernel(struct tap_thread *t, const int *fd)
{
	uint8_t frame[FRAME_MAX];
	unsigned total = 0;

	for (unsigned p = 0; p < PORT_MAX; p++)
		for (unsigned i = 0; fd[p] >= 0 && i < BURST; i++) {
			ssize_t n = read(fd[p], frame, sizeof(frame));

			if (n <= 0)
				break;
			worker_send(t->group, p, frame, (uint16_t)n);
			total++;
		}
	return total;
}

static void nap(const int *fd, uint64_t ns)
{
	struct timespec ts = {.tv_nsec = (long)ns};
	struct pollfd fds[PORT_MAX];
	nfds_t n = 0;

	for (unsigned p = 0; p < PORT_MAX; p++)
		if (fd[p] >= 0)
			fds[n++] = (struct pollfd){.fd = fd[p], .events = POLLIN};
	urcu_qsbr_thread_offline();
	ppoll(fds, n, &ts, NULL);
	urcu_qsbr_thread_online();
}

/* Takes over what the manager asked for. False: to end. */
static bool take_changes(struct tap_thread *t, int *fd)
{
	bool go_on;

	pthread_mutex_lock(&t->lock);
	memcpy(fd, t->fd, sizeof(t->fd));
	go_on = !t->stop;
	if (t->done != t->asked) {
		t->done = t->asked;
		pthread_cond_broadcast(&t->applied);
	}
	pthread_mutex_unlock(&t->lock);
	return go_on;
}

static void *run(void *arg)
{
	struct tap_thread *t = arg;
	uint64_t busy_until = 0;
	int fd[PORT_MAX];

	pthread_setname_np(pthread_self(), "tap");
	urcu_qsbr_register_thread();
	while (take_changes(t, fd)) {
		uint64_t now = clock_now_ns();
		unsigned work = to_kernel(t, fd) + from_kernel(t, fd);

		if (work)
			busy_until = now + BUSY_FOR_NS;
		urcu_qsbr_quiescent_state();
		if (work < BURST)
			nap(fd, now < busy_until ? BUSY_NS : IDLE_NS);
	}
	urcu_qsbr_unregister_thread();
	return NULL;
}

static void change(struct tap_thread *t, unsigned port, int fd)
{
	uint64_t mine;

	pthread_mutex_lock(&t->lock);
	t->fd[port] = fd;
	mine = ++t->asked;
	while (t->done < mine)
		pthread_cond_wait(&t->applied, &t->lock);
	pthread_mutex_unlock(&t->lock);
}

void tap_thread_add(struct tap_thread *t, unsigned port, int fd)
{
	change(t, port, fd);
}

void tap_thread_remove(struct tap_thread *t, unsigned port)
{
	change(t, port, -1);
}

struct rte_ring *tap_thread_ring(struct tap_thread *t)
{
	return t->ring;
}

int tap_thread_create(struct tap_thread **out, struct worker_group *g)
{
	struct tap_thread *t = calloc(1, sizeof(*t));
	int rc;

	if (!t)
		return -ENOMEM;
	t->group = g;
	for (unsigned p = 0; p < PORT_MAX; p++)
		t->fd[p] = -1;
	pthread_mutex_init(&t->lock, NULL);
	pthread_cond_init(&t->applied, NULL);
	t->ring = rte_ring_create("tap", RING_SIZE, SOCKET_ID_ANY, RING_F_SC_DEQ);
	rc = t->ring ? -pthread_create(&t->thread, NULL, run, t) : -ENOMEM;
	if (rc) {
		rte_ring_free(t->ring);
		free(t);
		return rc;
	}
	*out = t;
	return 0;
}

void tap_thread_destroy(struct tap_thread *t)
{
	struct rte_mbuf *m;

	if (!t)
		return;
	pthread_mutex_lock(&t->lock);
	t->stop = true;
	pthread_mutex_unlock(&t->lock);
	pthread_join(t->thread, NULL);
	while (rte_ring_sc_dequeue(t->ring, (void **)&m) == 0)
		rte_pktmbuf_free(m);
	rte_ring_free(t->ring);
	free(t);
}
