/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The back end without a dataplane: the bfd/ engine on kernel UDP sockets, in a
 * thread of its own.
 *
 *   link thread     chooses slots, sends commands (a list under a mutex, then an
 *                   eventfd), reads the link state like any other reader
 *   engine thread   runs the engine; owns the sockets
 *
 * Two receiving sockets a family (single hop and multihop) take packets for all
 * sessions and say for each its interface, addresses and TTL: Linux does not
 * enforce a minimum TTL on UDP, the engine looks at it. Each session sends from
 * a socket of its own: TTL 255 and a source port in 49152-65535 (RFC 5881
 * sections 4 and 5).
 */
#include "bfd/engine.h"
#include "controlplane/bfd/client.h"
#include "shared/clock.h"
#include "shared/log.h"
#include <errno.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <unistd.h>

#define CAPACITY 4096u
#define RX_SOCKETS 4u
#define RX_BURST 32u
#define SWEEP_NS (100 * NS_PER_US)
#define STALL_NS (5 * NS_PER_MS)
#define STRANGERS 16u

enum command_kind { CMD_ADD, CMD_UPDATE, CMD_REMOVE };

struct command {
	struct command *next;
	enum command_kind kind;
	uint32_t slot, generation;
	struct bfd_key key;
	struct bfd_params params;
	char ifname[IF_NAMESIZE];
};

struct embedded {
	struct bfd_client *client;
	pthread_t thread;
	_Atomic bool stop;
	int wake_fd;
	uint32_t salt;
	/* link thread */
	uint32_t generation[CAPACITY]; /* 0: never used */
	struct bfd_session *taken[CAPACITY];
	/* commands */
	pthread_mutex_t lock;
	struct command *first, **last;
	struct bfd_key stranger[STRANGERS]; /* from the engine thread; more than that come again */
	unsigned n_strangers;
	_Atomic bool strangers_wanted;
	/* engine thread */
	struct bfd_engine *engine;
	struct linkstate *ls;
	int rx_fd[RX_SOCKETS];
	uint16_t rx_port[RX_SOCKETS];
	int tx_fd[CAPACITY];
	struct sockaddr_storage tx_to[CAPACITY];
	socklen_t tx_len[CAPACITY];
	uint16_t next_port;
};

static const char *embedded_name(const struct bfd_client *c)
{
	(void)c;
	return "kernel sockets";
}

/* ---- sockets ---- */

static int receiving_socket(int family, uint16_t port)
{
	int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), one = 1, rc;
	struct sockaddr_storage ss;
	struct ipaddr any = family == AF_INET ? ipaddr_v4(0) : (struct ipaddr){};
	socklen_t len;

	if (fd < 0)
		return -errno;
	if (family == AF_INET) {
		rc = setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &one, sizeof(one));
		rc |= setsockopt(fd, IPPROTO_IP, IP_RECVTTL, &one, sizeof(one));
	} else {
		rc = setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
		rc |= setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &one, sizeof(one));
		rc |= setsockopt(fd, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, &one, sizeof(one));
	}
	memset(&ss, 0, sizeof(ss));
	if (family == AF_INET6) {
		struct sockaddr_in6 *s6 = (struct sockaddr_in6 *)&ss;

		s6->sin6_family = AF_INET6;
		s6->sin6_port = htons(port);
		len = sizeof(*s6);
	} else {
		len = ipaddr_to_sockaddr(&any, port, 0, &ss);
	}
	if (rc || bind(fd, (struct sockaddr *)&ss, len) < 0) {
		rc = -errno;
		close(fd);
		return rc;
	}
	return fd;
}

static int open_receiving(struct embedded *em)
{
	static const struct {
		int family;
		uint16_t port;
	} want[RX_SOCKETS] = {{AF_INET, BFD_PORT_CONTROL}, {AF_INET6, BFD_PORT_CONTROL},
		{AF_INET, BFD_PORT_MULTIHOP}, {AF_INET6, BFD_PORT_MULTIHOP}};

	for (unsigned i = 0; i < RX_SOCKETS; i++) {
		em->rx_port[i] = want[i].port;
		em->rx_fd[i] = receiving_socket(want[i].family, want[i].port);
		if (em->rx_fd[i] == -EAFNOSUPPORT)
			continue; /* no IPv6 here */
		if (em->rx_fd[i] < 0) {
			int rc = em->rx_fd[i];

			if (em->client->last_error != -EALREADY)
				log_msg(LOG_CLASS_ERROR, "%s: Cannot listen on UDP port %u: %s",
					em->client->proto_name, want[i].port, strerror(-rc));
			while (i--)
				if (em->rx_fd[i] >= 0)
					close(em->rx_fd[i]);
			return -EALREADY;
		}
	}
	return 0;
}

static int bind_source(struct embedded *em, int fd, const struct bfd_key *k)
{
	struct ipaddr local = k->local;
	struct sockaddr_storage ss;
	socklen_t len;

	for (unsigned tries = 0; tries < 16384; tries++) {
		uint16_t port = (uint16_t)(49152 + em->next_port++ % 16384);

		if (ipaddr_is_zero(&local) && ipaddr_is_v4(&k->remote))
			local = ipaddr_v4(0);
		memset(&ss, 0, sizeof(ss));
		if (ipaddr_is_zero(&local)) {
			struct sockaddr_in6 *s6 = (struct sockaddr_in6 *)&ss;

			s6->sin6_family = AF_INET6;
			s6->sin6_port = htons(port);
			len = sizeof(*s6);
		} else {
			len = ipaddr_to_sockaddr(
				&local, port, ipaddr_is_link_local(&local) ? k->ifindex : 0, &ss);
		}
		if (bind(fd, (struct sockaddr *)&ss, len) == 0)
			return 0;
		if (errno != EADDRINUSE)
			return -errno;
	}
	return -EADDRINUSE;
}

static int sending_socket(struct embedded *em, const struct bfd_key *k, const char *ifname)
{
	bool v4 = ipaddr_is_v4(&k->remote);
	int fd = socket(v4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), ttl = 255,
	    tos = 0xc0, rc;

	if (fd < 0)
		return -errno;
	/* RFC 9764 section 3: a padded packet that does not fit must be lost, not fragmented. */
	if (v4) {
		int dont = IP_PMTUDISC_PROBE;

		setsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &dont, sizeof(dont));
		setsockopt(fd, IPPROTO_IP, IP_TTL, &ttl, sizeof(ttl));
		setsockopt(fd, IPPROTO_IP, IP_TOS, &tos, sizeof(tos));
	} else {
		int dont = IPV6_PMTUDISC_PROBE;

		setsockopt(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, &dont, sizeof(dont));
		setsockopt(fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS, &ttl, sizeof(ttl));
		setsockopt(fd, IPPROTO_IPV6, IPV6_TCLASS, &tos, sizeof(tos));
	}
	rc = bind_source(em, fd, k);
	if (rc == 0 && ifname[0] &&
		setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, ifname, (socklen_t)strlen(ifname)) < 0)
		rc = -errno;
	if (rc < 0) {
		close(fd);
		return rc;
	}
	return fd;
}

/* ---- engine thread ---- */

static void run_add(struct embedded *em, const struct command *cmd)
{
	uint16_t port = cmd->key.kind == BFD_KIND_MULTIHOP ? BFD_PORT_MULTIHOP : BFD_PORT_CONTROL;
	int fd = sending_socket(em, &cmd->key, cmd->ifname), rc;
	char addr[IPADDR_STRLEN];

	if (fd < 0)
		log_msg(LOG_CLASS_ERROR, "%s: No socket for the session to %s: %s", em->client->proto_name,
			ipaddr_format(&cmd->key.remote, addr), strerror(-fd));
	em->tx_fd[cmd->slot] = fd;
	em->tx_len[cmd->slot] = ipaddr_to_sockaddr(&cmd->key.remote, port,
		ipaddr_is_link_local(&cmd->key.remote) ? cmd->key.ifindex : 0, &em->tx_to[cmd->slot]);
	rc = bfd_engine_add(em->engine, cmd->slot, cmd->generation,
		bfd_discriminator_make(em->salt, cmd->generation, cmd->slot), &cmd->key, &cmd->params,
		clock_now_ns());
	if (rc < 0)
		log_msg(LOG_CLASS_ERROR, "%s: Session to %s: %s", em->client->proto_name,
			ipaddr_format(&cmd->key.remote, addr), strerror(-rc));
}

static void run_commands(struct embedded *em)
{
	struct command *cmd, *next;

	pthread_mutex_lock(&em->lock);
	cmd = em->first;
	em->first = NULL;
	em->last = &em->first;
	pthread_mutex_unlock(&em->lock);
	for (; cmd; cmd = next) {
		next = cmd->next;
		switch (cmd->kind) {
		case CMD_ADD: run_add(em, cmd); break;
		case CMD_UPDATE:
			bfd_engine_update(em->engine, cmd->slot, &cmd->params, clock_now_ns());
			break;
		case CMD_REMOVE:
			bfd_engine_remove(em->engine, cmd->slot, clock_now_ns());
			if (em->tx_fd[cmd->slot] >= 0)
				close(em->tx_fd[cmd->slot]);
			em->tx_fd[cmd->slot] = -1;
			break;
		}
		free(cmd);
	}
}

static bool describe(struct msghdr *h, struct bfd_rx *rx, const struct sockaddr_storage *from)
{
	bool ttl = false, dst = false;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c; c = CMSG_NXTHDR(h, c)) {
		int v;

		if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TTL) {
			memcpy(&v, CMSG_DATA(c), sizeof(v));
			rx->ttl = (uint8_t)v;
			ttl = true;
		} else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_HOPLIMIT) {
			memcpy(&v, CMSG_DATA(c), sizeof(v));
			rx->ttl = (uint8_t)v;
			ttl = true;
		} else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
			struct in_pktinfo pi;

			memcpy(&pi, CMSG_DATA(c), sizeof(pi));
			rx->dst = ipaddr_v4(pi.ipi_addr.s_addr);
			rx->ifindex = (uint32_t)pi.ipi_ifindex;
			dst = true;
		} else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
			struct in6_pktinfo pi;

			memcpy(&pi, CMSG_DATA(c), sizeof(pi));
			rx->dst = ipaddr_v6(&pi.ipi6_addr);
			rx->ifindex = pi.ipi6_ifindex;
			dst = true;
		}
	}
	return ttl && dst &&
	       ipaddr_from_sockaddr((const struct sockaddr *)from, &rx->src, &rx->sport, NULL) == 0;
}

static void count_rx(struct embedded *em, enum bfd_rx_result r)
{
	struct linkstate_worker *w = &em->ls->header->workers[0];
	_Atomic uint64_t *c = &w->rx_packets;

	if (r == BFD_RX_INVALID)
		c = &w->rx_invalid;
	else if (r == BFD_RX_TTL)
		c = &w->rx_ttl;
	else if (r == BFD_RX_UNKNOWN)
		c = &w->rx_unknown;
	else if (r == BFD_RX_LIMITED)
		c = &w->rx_ratelimited;
	atomic_fetch_add_explicit(c, 1, memory_order_relaxed);
}

/* Told to the link thread, which knows who may. */
static void note_stranger(struct embedded *em, const struct bfd_rx *rx)
{
	struct bfd_key k = {.local = rx->dst, .remote = rx->src, .ifindex = rx->ifindex};

	if (!atomic_load_explicit(&em->strangers_wanted, memory_order_relaxed))
		return;
	pthread_mutex_lock(&em->lock);
	if (em->n_strangers < STRANGERS)
		em->stranger[em->n_strangers++] = k;
	pthread_mutex_unlock(&em->lock);
	link_wake(em->client);
}

static unsigned receive(struct embedded *em, unsigned i)
{
	uint8_t data[RX_BURST][256], control[RX_BURST][128];
	struct sockaddr_storage from[RX_BURST];
	struct mmsghdr mm[RX_BURST];
	struct iovec iov[RX_BURST];
	uint64_t now;
	int n;

	memset(mm, 0, sizeof(mm));
	for (unsigned k = 0; k < RX_BURST; k++) {
		iov[k] = (struct iovec){data[k], sizeof(data[k])};
		mm[k].msg_hdr = (struct msghdr){
			&from[k], sizeof(from[k]), &iov[k], 1, control[k], sizeof(control[k]), 0};
	}
	n = recvmmsg(em->rx_fd[i], mm, RX_BURST, MSG_DONTWAIT, NULL);
	if (n <= 0)
		return 0;
	now = clock_now_ns();
	for (int k = 0; k < n; k++) {
		struct bfd_rx rx = {
			.payload = data[k], .len = (uint16_t)mm[k].msg_len, .dport = em->rx_port[i]};
		uint32_t slot;

		if (describe(&mm[k].msg_hdr, &rx, &from[k])) {
			enum bfd_rx_result r = bfd_engine_rx(em->engine, &rx, now, &slot);

			count_rx(em, r);
			if (r == BFD_RX_UNKNOWN && bfd_rx_may_begin(&rx))
				note_stranger(em, &rx);
		}
	}
	return (unsigned)n;
}

static void transmit(struct embedded *em)
{
	struct bfd_tx tx[RX_BURST];
	unsigned n;

	do {
		n = bfd_engine_tx(em->engine, clock_now_ns(), tx, RX_BURST);
		for (unsigned i = 0; i < n; i++) {
			uint32_t slot = tx[i].slot;

			if (em->tx_fd[slot] >= 0 && tx[i].kind == BFD_TX_CONTROL)
				(void)!sendto(em->tx_fd[slot], tx[i].payload, tx[i].len, MSG_DONTWAIT,
					(struct sockaddr *)&em->tx_to[slot], em->tx_len[slot]);
		}
	} while (n == RX_BURST);
}

static void notify(struct embedded *em)
{
	const uint64_t one = 1;

	if (bfd_engine_notify(em->engine))
		(void)!write(em->client->event_fd, &one, sizeof(one));
}

static void sleep_until_due(struct embedded *em)
{
	struct pollfd p[RX_SOCKETS + 1];
	uint64_t now = clock_now_ns(), next = bfd_engine_next_ns(em->engine, now), ns;
	struct timespec ts;

	for (unsigned i = 0; i < RX_SOCKETS; i++)
		p[i] = (struct pollfd){em->rx_fd[i], POLLIN, 0}; /* a negative descriptor is passed over */
	p[RX_SOCKETS] = (struct pollfd){em->wake_fd, POLLIN, 0};
	ns = next <= now ? 0 : next - now;
	if (ns > 100 * NS_PER_MS)
		ns = 100 * NS_PER_MS;
	ts = (struct timespec){(time_t)(ns / NS_PER_S), (long)(ns % NS_PER_S)};
	if (ppoll(p, RX_SOCKETS + 1, &ts, NULL) > 0 && p[RX_SOCKETS].revents) {
		uint64_t v;

		(void)!read(em->wake_fd, &v, sizeof(v));
		run_commands(em);
	}
}

static void *engine_thread(void *arg)
{
	struct embedded *em = arg;
	uint64_t due = 0, swept = 0;

	pthread_setname_np(pthread_self(), "bfd");
	prctl(PR_SET_TIMERSLACK, 1);
	link_run_ahead(PRIORITY_ENGINE);
	while (!atomic_load(&em->stop)) {
		uint64_t now = clock_now_ns();

		/* Later than we meant to be back: somebody held us up. What has come meanwhile is read before
		 * anybody is judged. */
		for (unsigned i = 0; i < RX_SOCKETS; i++)
			while (em->rx_fd[i] >= 0 && receive(em, i) == RX_BURST)
				;
		bfd_engine_drained(em->engine, now);
		if (due && now > due + STALL_NS)
			bfd_engine_stalled(em->engine, now - due, clock_now_ns());
		now = clock_now_ns();
		if (now - swept >= SWEEP_NS) {
			bfd_engine_sweep(em->engine, now);
			swept = now;
		}
		transmit(em);
		notify(em);
		due = bfd_engine_next_ns(em->engine, clock_now_ns());
		if (due > now + 100 * NS_PER_MS)
			due = now + 100 * NS_PER_MS;
		sleep_until_due(em);
	}
	return NULL;
}

/* ---- link thread ---- */

static int embedded_open(struct bfd_client *c)
{
	struct bfd_engine_options o = {.capacity = CAPACITY};
	struct embedded *em = calloc(1, sizeof(*em));
	int rc;

	if (!em)
		return -ENOMEM;
	em->client = c;
	em->ls = &c->ls;
	em->last = &em->first;
	em->wake_fd = -1;
	pthread_mutex_init(&em->lock, NULL);
	for (unsigned i = 0; i < CAPACITY; i++)
		em->tx_fd[i] = -1;
	if (getrandom(&o.seed, sizeof(o.seed), 0) < 0 || getrandom(&em->salt, sizeof(em->salt), 0) < 0 ||
		getrandom(&em->next_port, sizeof(em->next_port), 0) < 0) {
		rc = -errno;
		goto fail;
	}
	rc = open_receiving(em);
	if (rc < 0)
		goto fail;
	rc = linkstate_create(&c->ls, CAPACITY, false);
	if (rc < 0)
		goto fail_sockets;
	em->engine = bfd_engine_create(&c->ls, &o);
	em->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	c->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (!em->engine || em->wake_fd < 0 || c->event_fd < 0 ||
		pthread_create(&em->thread, NULL, engine_thread, em)) {
		rc = -ENOMEM;
		goto fail_engine;
	}
	c->embedded = em;
	return 0;
fail_engine:
	if (em->engine)
		bfd_engine_destroy(em->engine);
	if (em->wake_fd >= 0)
		close(em->wake_fd);
	if (c->event_fd >= 0)
		close(c->event_fd);
	c->event_fd = -1;
	linkstate_close(&c->ls);
fail_sockets:
	for (unsigned i = 0; i < RX_SOCKETS; i++)
		if (em->rx_fd[i] >= 0)
			close(em->rx_fd[i]);
fail:
	pthread_mutex_destroy(&em->lock);
	free(em);
	return rc;
}

static void send_command(struct embedded *em, const struct command *from)
{
	struct command *cmd = malloc(sizeof(*cmd));
	const uint64_t one = 1;

	if (!cmd)
		abort();
	*cmd = *from;
	cmd->next = NULL;
	pthread_mutex_lock(&em->lock);
	*em->last = cmd;
	em->last = &cmd->next;
	pthread_mutex_unlock(&em->lock);
	(void)!write(em->wake_fd, &one, sizeof(one));
}

static int embedded_add(struct bfd_client *c, struct bfd_session *s)
{
	struct embedded *em = c->embedded;
	struct command cmd = {.kind = CMD_UPDATE, .key = s->key, .params = s->params};
	const char *wrong = bfd_params_check(&s->key, &s->params);
	uint32_t slot = s->slot;

	if (s->key.kind == BFD_KIND_SBFD || s->key.kind == BFD_KIND_ECHO_ONLY)
		wrong = "S-BFD and echo need peregrine-dp (--dp)";
	if (wrong) {
		link_answer(c, s, EINVAL, 0, 0, wrong);
		return 0;
	}
	memcpy(cmd.ifname, s->ifname, sizeof(cmd.ifname));
	if (slot == CLIENT_NO_SLOT) {
		for (slot = 0; slot < CAPACITY && em->taken[slot]; slot++)
			;
		if (slot == CAPACITY) {
			link_answer(c, s, ENOSPC, 0, 0, "no more sessions fit");
			return 0;
		}
		em->taken[slot] = s;
		em->generation[slot] = (em->generation[slot] + 1) & 0xfff;
		if (!em->generation[slot])
			em->generation[slot] = 1;
		cmd.kind = CMD_ADD;
	}
	cmd.slot = slot;
	cmd.generation = em->generation[slot];
	send_command(em, &cmd);
	link_answer(c, s, 0, slot, em->generation[slot], "");
	return 0;
}

static void embedded_remove(struct bfd_client *c, struct bfd_session *s)
{
	struct embedded *em = c->embedded;
	struct command cmd = {.kind = CMD_REMOVE, .slot = s->slot};

	if (s->slot == CLIENT_NO_SLOT)
		return;
	em->taken[s->slot] = NULL;
	send_command(em, &cmd);
}

static void embedded_close(struct bfd_client *c)
{
	struct embedded *em = c->embedded;
	const uint64_t one = 1;

	atomic_store(&em->stop, true);
	(void)!write(em->wake_fd, &one, sizeof(one));
	pthread_join(em->thread, NULL);
	run_commands(em);
	for (unsigned i = 0; i < RX_SOCKETS; i++)
		if (em->rx_fd[i] >= 0)
			close(em->rx_fd[i]);
	for (unsigned i = 0; i < CAPACITY; i++)
		if (em->tx_fd[i] >= 0)
			close(em->tx_fd[i]);
	bfd_engine_destroy(em->engine);
	close(em->wake_fd);
	close(c->event_fd);
	c->event_fd = -1;
	linkstate_close(&c->ls);
	memset(&c->ls, 0, sizeof(c->ls));
	pthread_mutex_destroy(&em->lock);
	free(em);
	c->embedded = NULL;
}

/* Also the time to hear of strangers: the link thread comes by after link_wake(). */
static bool embedded_settings(struct bfd_client *c)
{
	struct embedded *em = c->embedded;
	struct bfd_key k[STRANGERS];
	unsigned n;

	atomic_store(&em->strangers_wanted, c->cfg && c->cfg->unsolicited.on);
	pthread_mutex_lock(&em->lock);
	n = em->n_strangers;
	memcpy(k, em->stranger, n * sizeof(*k));
	em->n_strangers = 0;
	pthread_mutex_unlock(&em->lock);
	for (unsigned i = 0; i < n; i++) {
		char ifname[IF_NAMESIZE] = "";

		if (if_indextoname(k[i].ifindex, ifname))
			link_stranger(c, &k[i], ifname);
	}
	return !(c->cfg && c->cfg->unsolicited.on); /* to be called again */
}

static void embedded_sync(struct bfd_client *c)
{
	(void)c; /* nothing outlives us */
}

static bool embedded_readable(struct bfd_client *c)
{
	(void)c;
	return true;
}

const struct backend_ops embedded_backend = {
	.open = embedded_open,
	.close = embedded_close,
	.add = embedded_add,
	.remove = embedded_remove,
	.sync = embedded_sync,
	.settings = embedded_settings,
	.readable = embedded_readable,
	.name = embedded_name,
};
