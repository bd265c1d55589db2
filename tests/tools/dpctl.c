/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A client of peregrine-dp for tests: each argument after the socket is a
 * command, run in turn.
 *
 *   hello [hold=SECONDS] [observer] [version=N]
 *   add REMOTE[%IFACE] [from=ADDR] [tx=US] [rx=US] [mult=N] [multihop] [ttl=N] [passive] [down] [echo=US]
 * [cbit] range FIRST[%IFACE] COUNT [options of add]   COUNT sessions to consecutive IPv4 addresses,
 * pipelined; churn FIRST%IFACE A_SECOND SECONDS   sessions come and go; settings [strangers] [sbfd=DISC]
 * [workers=N] * with peer=ADDR all to that one, from consecutive addresses remove REMOTE[%IFACE] ... sync |
 * ports | show | workers wait up|down N SECONDS               until N sessions are in that state; exit 1 if
 * they are not in time watch SECONDS                        state changes as they are published sleep SECONDS
 */
#include "bfd/session.h"
#include "shared/clock.h"
#include "shared/ipc.h"
#include "shared/linkstate.h"
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct ctl {
	int sock, event_fd;
	struct linkstate ls;
	struct linkstate_reader reader;
	uint32_t capacity, next_id;
};

static void die(const char *what, int rc)
{
	fprintf(stderr, "dpctl: %s: %s\n", what, strerror(-rc));
	exit(1);
}

static void send_all(struct ctl *c, const void *m, size_t len)
{
	int rc;

	while ((rc = ipc_send(c->sock, m, len, NULL, 0)) == -EAGAIN) {
		struct pollfd p = {.fd = c->sock, .events = POLLOUT};

		poll(&p, 1, 1000);
	}
	if (rc)
		die("send", rc);
}

static int receive(struct ctl *c, void *buf, int timeout_ms, int *fds, unsigned *nfds)
{
	struct pollfd p = {.fd = c->sock, .events = POLLIN};
	int n;

	if (poll(&p, 1, timeout_ms) <= 0)
		return -ETIMEDOUT;
	n = ipc_recv(c->sock, buf, IPC_MAX_MSG, fds, nfds);
	if (n == 0)
		die("closed by peregrine-dp", -ECONNRESET);
	if (n < 0)
		die("receive", n);
	return n;
}

static void print_port(const struct ipc_port_event *e)
{
	printf("port %s ifindex %u %s %s\n", e->spec, e->ifindex, e->up ? "up" : "down", e->text);
}

/* Waits for the reply to id; prints port events that come in between. */
static void await(struct ctl *c, uint32_t id, const char *what, bool quiet)
{
	_Alignas(8) char buf[IPC_MAX_MSG];

	for (;;) {
		const struct ipc_header *h = (void *)buf;
		const struct ipc_session_reply *r = (void *)buf;

		if (receive(c, buf, 10000, NULL, NULL) < 0)
			die(what, -ETIMEDOUT);
		if (h->type == IPC_PORT_EVENT) {
			print_port((void *)buf);
			continue;
		}
		if (h->type != IPC_SESSION_REPLY || h->id != id)
			die("unexpected message", -EPROTO);
		if (r->error)
			printf("%s: error %d %s\n", what, r->error, r->text);
		else if (!quiet)
			printf("%s: slot %u generation %u %s\n", what, r->slot, r->generation,
				r->created ? "created" : "kept");
		return;
	}
}

static void hello(struct ctl *c, char *args)
{
	struct ipc_hello h = {.h = {IPC_HELLO, sizeof(h), ++c->next_id},
		.magic = IPC_MAGIC,
		.version = IPC_VERSION,
		.hold_s = 10,
		.name = "dpctl"};
	_Alignas(8) char buf[IPC_MAX_MSG];
	const struct ipc_welcome *w = (void *)buf;
	int fds[2];
	unsigned nfds = 2;

	for (char *a = strtok(args, " "); a; a = strtok(NULL, " ")) {
		if (!strncmp(a, "hold=", 5))
			h.hold_s = (uint32_t)atoi(a + 5);
		else if (!strncmp(a, "version=", 8))
			h.version = (uint32_t)atoi(a + 8);
		else if (!strcmp(a, "observer"))
			h.flags = IPC_HELLO_OBSERVER;
	}
	send_all(c, &h, sizeof(h));
	if (receive(c, buf, 5000, fds, &nfds) < 0)
		die("welcome", -ETIMEDOUT);
	if (w->error) {
		printf("refused: error %d %s\n", w->error, w->text);
		exit(3);
	}
	if (nfds != 2 || linkstate_attach(&c->ls, fds[0]))
		die("link state", -EPROTO);
	c->event_fd = fds[1];
	c->capacity = w->capacity;
	linkstate_reader_init(&c->reader, &c->ls);
	printf("welcome: instance %016lx capacity %u\n", (unsigned long)w->instance, w->capacity);
}

static void parse_session(char *args, struct ipc_session_add *a)
{
	char *t = strtok(args, " "), *pct;

	a->params = (struct bfd_params){.min_tx_us = 10000,
		.min_rx_us = 10000,
		.idle_tx_us = 1000000,
		.detect_mult = 3,
		.min_ttl = 255};
	if (!t)
		die("no address", -EINVAL);
	pct = strchr(t, '%');
	if (pct) {
		*pct++ = '\0';
		snprintf(a->ifname, sizeof(a->ifname), "%s", pct);
	}
	if (ipaddr_parse(t, &a->key.remote))
		die(t, -EINVAL);
	while ((t = strtok(NULL, " "))) {
		if (!strncmp(t, "from=", 5) && ipaddr_parse(t + 5, &a->key.local))
			die(t, -EINVAL);
		else if (!strncmp(t, "tx=", 3))
			a->params.min_tx_us = (uint32_t)atoi(t + 3);
		else if (!strncmp(t, "rx=", 3))
			a->params.min_rx_us = (uint32_t)atoi(t + 3);
		else if (!strncmp(t, "mult=", 5))
			a->params.detect_mult = (uint8_t)atoi(t + 5);
		else if (!strncmp(t, "ttl=", 4))
			a->params.min_ttl = (uint8_t)atoi(t + 4);
		else if (!strncmp(t, "echo=", 5))
			a->params.echo_tx_us = (uint32_t)atoi(t + 5);
		else if (!strncmp(t, "echorx=", 7))
			a->params.min_echo_rx_us = (uint32_t)atoi(t + 7);
		else if (!strcmp(t, "multihop"))
			a->key.kind = BFD_KIND_MULTIHOP;
		else if (!strcmp(t, "passive"))
			a->params.passive = true;
		else if (!strcmp(t, "down"))
			a->params.admin_down = true;
		else if (!strcmp(t, "cbit"))
			a->params.cbit = true;
		else if (!strcmp(t, "demand"))
			a->params.demand = true;
		else if (!strcmp(t, "echo-only"))
			a->key.kind = BFD_KIND_ECHO_ONLY;
		else if (!strncmp(t, "sbfd=", 5)) {
			a->key.kind = BFD_KIND_SBFD;
			a->params.sbfd_disc = (uint32_t)strtoul(t + 5, NULL, 0);
			a->params.min_ttl = 1;
		} else if (!strncmp(t, "pdu=", 4))
			a->params.padded_len = (uint16_t)atoi(t + 4);
	}
}

static void session(struct ctl *c, char *args, uint16_t type)
{
	struct ipc_session_add a = {.h = {type, sizeof(a), ++c->next_id}};
	char what[80];

	snprintf(what, sizeof(what), "%s %.60s", type == IPC_SESSION_ADD ? "add" : "remove", args);
	parse_session(args, &a);
	send_all(c, &a, sizeof(a));
	await(c, a.h.id, what, false);
}

static void range(struct ctl *c, char *args)
{
	struct ipc_session_add a = {.h = {IPC_SESSION_ADD, sizeof(a), 0}};
	char *space = strchr(args, ' '), *peer = strstr(args, "peer=");
	struct ipaddr one = {0};
	unsigned count, replies = 0, errors = 0;
	uint32_t first;
	char rest[256], *options;
	_Alignas(8) char buf[IPC_MAX_MSG];

	if (!space)
		die("range FIRST COUNT", -EINVAL);
	count = (unsigned)strtoul(space + 1, &options, 10);
	*space = '\0';
	if (peer && ipaddr_parse(peer + 5, &one))
		die("peer= comes last", -EINVAL);
	snprintf(rest, sizeof(rest), "%s%s", args, options);
	parse_session(rest, &a);
	first = ntohl(ipaddr_to_v4(&a.key.remote));
	for (unsigned sent = 0; replies < count;) {
		struct pollfd p = {.fd = c->sock, .events = (short)(POLLIN | (sent < count ? POLLOUT : 0))};

		if (poll(&p, 1, 10000) <= 0)
			die("range", -ETIMEDOUT);
		if (p.revents & POLLIN) {
			const struct ipc_session_reply *r = (void *)buf;

			if (ipc_recv(c->sock, buf, sizeof(buf), NULL, NULL) <= 0)
				die("range", -ECONNRESET);
			if (r->h.type == IPC_SESSION_REPLY) {
				replies++;
				if (r->error && errors++ == 0)
					printf("range: error %d %s\n", r->error, r->text);
			}
		} else if (sent < count) {
			if (peer) {
				a.key.remote = one;
				a.key.local = ipaddr_v4(htonl(first + sent));
			} else {
				a.key.remote = ipaddr_v4(htonl(first + sent));
			}
			a.h.id = ++c->next_id;
			if (ipc_send(c->sock, &a, sizeof(a), NULL, 0) == 0)
				sent++;
		}
	}
	printf("range: %u sessions, %u errors\n", count, errors);
}

static void print_entry(uint32_t slot, const struct linkstate_entry *e, const struct linkstate_stats *st)
{
	printf("slot %u gen %u %s diag '%s' remote %s '%s' disc %08x/%08x mult %u tx %u us detect %u us "
	       "flags %x rx %lu tx %lu "
	       "up %lu down %lu gap %lu/%lu us overshoot %lu us owner %u stalled %u echo rx %lu tx %lu\n",
		slot, e->generation, bfd_state_name(e->state), bfd_diag_name(e->diag),
		bfd_state_name(e->remote_state), bfd_diag_name(e->remote_diag), e->local_disc, e->remote_disc,
		e->remote_detect_mult, e->tx_us, e->detect_us, e->flags, st->rx_packets, st->tx_packets,
		st->up_count, st->down_count, st->worst_rx_gap_us, st->worst_tx_gap_us,
		st->worst_overshoot_us, e->owner, st->down_after_stall, st->echo_rx, st->echo_tx);
}

static void show(struct ctl *c)
{
	struct linkstate_entry e;

	for (uint32_t i = 0; i < c->capacity; i++)
		if (linkstate_read(&c->ls, i, &e) && e.generation)
			print_entry(i, &e, &c->ls.stats[i]);
}

static void summary(struct ctl *c)
{
	unsigned states[4] = {0};
	uint64_t down = 0, overshoot = 0, tx_gap = 0, rx_gap = 0;
	struct linkstate_entry e;

	for (uint32_t i = 0; i < c->capacity; i++) {
		if (!linkstate_read(&c->ls, i, &e) || !e.generation)
			continue;
		states[e.state & 3]++;
		down += c->ls.stats[i].down_count;
		if (c->ls.stats[i].worst_overshoot_us > overshoot)
			overshoot = c->ls.stats[i].worst_overshoot_us;
		if (c->ls.stats[i].worst_tx_gap_us > tx_gap)
			tx_gap = c->ls.stats[i].worst_tx_gap_us;
		if (c->ls.stats[i].worst_rx_gap_us > rx_gap)
			rx_gap = c->ls.stats[i].worst_rx_gap_us;
	}
	printf("admindown %u down %u init %u up %u, went down %lu times, worst overshoot %lu us, gaps rx %lu "
	       "tx %lu us\n",
		states[0], states[1], states[2], states[3], down, overshoot, rx_gap, tx_gap);
}

static void workers(struct ctl *c)
{
	printf("heartbeat %.1f ms ago\n", (double)(clock_now_ns() - c->ls.header->heartbeat_ns) / 1e6);
	for (unsigned i = 0; i < LINKSTATE_RINGS; i++) {
		const struct linkstate_worker *w = &c->ls.header->workers[i];

		if (w->loops)
			printf("worker %u rx %lu tx %lu invalid %lu ttl %lu unknown %lu limited %lu "
			       "forwarded %lu stalls %lu "
			       "worst %.3f ms loops %lu busy %.3f s dropped %lu\n",
				i, w->rx_packets, w->tx_packets, w->rx_invalid, w->rx_ttl, w->rx_unknown,
				w->rx_ratelimited, w->rx_forwarded, w->stalls,
				(double)w->worst_stall_ns / 1e6, w->loops, (double)w->busy_ns / 1e9,
				w->tx_dropped);
	}
}

static unsigned count_state(struct ctl *c, bool up)
{
	struct linkstate_entry e;
	unsigned n = 0;

	for (uint32_t i = 0; i < c->capacity; i++)
		if (linkstate_read(&c->ls, i, &e) && e.generation && (e.state == BFD_UP) == up)
			n++;
	return n;
}

static void wait_for(struct ctl *c, char *args)
{
	char state[8];
	unsigned n;
	double seconds;
	uint64_t start = clock_now_ns();

	if (sscanf(args, "%7s %u %lf", state, &n, &seconds) != 3)
		die("wait up|down N SECONDS", -EINVAL);
	while (count_state(c, !strcmp(state, "up")) < n) {
		if (clock_now_ns() - start > (uint64_t)(seconds * 1e9)) {
			printf("wait: only %u %s after %.1f s\n", count_state(c, !strcmp(state, "up")), state,
				seconds);
			exit(1);
		}
		usleep(2000);
	}
	printf("wait: %u %s after %.3f s\n", n, state, (double)(clock_now_ns() - start) / 1e9);
}

static void watch(struct ctl *c, double seconds)
{
	uint64_t end = clock_now_ns() + (uint64_t)(seconds * 1e9);
	_Alignas(8) char buf[IPC_MAX_MSG];

	for (;;) {
		struct pollfd p[2] = {
			{.fd = c->event_fd, .events = POLLIN}, {.fd = c->sock, .events = POLLIN}};
		uint64_t now = clock_now_ns(), drop;
		uint32_t slots[64];
		bool overrun = false;
		unsigned n;

		if (now >= end)
			return;
		poll(p, 2, (int)((end - now) / NS_PER_MS) + 1);
		now = clock_now_ns();
		if (p[1].revents & POLLIN) {
			receive(c, buf, 0, NULL, NULL);
			if (((struct ipc_header *)buf)->type == IPC_PORT_EVENT)
				print_port((void *)buf);
		}
		if ((p[0].revents & POLLIN) && read(c->event_fd, &drop, sizeof(drop)) < 0)
			continue;
		n = linkstate_poll(&c->reader, slots, 64, &overrun);
		for (unsigned i = 0; i < n; i++) {
			struct linkstate_entry e;

			if (!linkstate_read(&c->ls, slots[i], &e))
				continue;
			printf("%.6f slot %u gen %u %s '%s' remote %s last packet %.3f ms before, told after "
			       "%.1f us\n",
				(double)e.detected_ns / 1e9, slots[i], e.generation, bfd_state_name(e.state),
				bfd_diag_name(e.diag), bfd_state_name(e.remote_state),
				(double)(e.detected_ns - e.last_rx_ns) / 1e6,
				(double)(now - e.detected_ns) / 1e3);
			fflush(stdout);
		}
	}
}

static void ports(struct ctl *c)
{
	struct ipc_header h = {IPC_PORT_LIST, sizeof(h), ++c->next_id};

	send_all(c, &h, sizeof(h));
	await(c, h.id, "ports", true);
}

/* settings [strangers] [sbfd=DISCRIMINATOR] [workers=N] */
static void settings(struct ctl *c, char *args)
{
	struct ipc_settings m = {.h = {IPC_SETTINGS, sizeof(m), 0}, .reflector.params.min_rx_us = 10000};

	for (char *t = strtok(args, " "); t; t = strtok(NULL, " ")) {
		if (!strcmp(t, "strangers"))
			m.strangers = 1;
		else if (!strncmp(t, "sbfd=", 5))
			m.reflector.discriminator = (uint32_t)strtoul(t + 5, NULL, 0);
		else if (!strncmp(t, "workers=", 8))
			m.workers = (uint32_t)atoi(t + 8);
	}
	send_all(c, &m, sizeof(m));
}

static unsigned drain_replies(struct ctl *c, int wait_ms, unsigned *errors)
{
	_Alignas(8) char buf[IPC_MAX_MSG];
	const struct ipc_session_reply *r = (void *)buf;
	struct pollfd p = {.fd = c->sock, .events = POLLIN};
	unsigned n = 0;

	while (poll(&p, 1, wait_ms) > 0) {
		if (ipc_recv(c->sock, buf, sizeof(buf), NULL, NULL) <= 0)
			die("churn", -ECONNRESET);
		if (r->h.type != IPC_SESSION_REPLY)
			continue;
		n++;
		if (r->error && (*errors)++ == 0)
			printf("churn: error %d %s\n", r->error, r->text);
	}
	return n;
}

/* churn FIRST%IFACE A_SECOND SECONDS [options of add]: sessions to consecutive addresses come and go, each
 * lives 200 ms. */
static void churn(struct ctl *c, char *args)
{
	struct ipc_session_add a = {.h = {IPC_SESSION_ADD, sizeof(a), 0}};
	char first[64], rest[256];
	unsigned a_second, errors = 0, replies = 0, asked = 0;
	double seconds;
	int used = 0;

	if (sscanf(args, "%63s %u %lf%n", first, &a_second, &seconds, &used) != 3)
		die("churn FIRST A_SECOND SECONDS", -EINVAL);
	snprintf(rest, sizeof(rest), "%s%s", first, args + used);
	parse_session(rest, &a);
	uint32_t from = ntohl(ipaddr_to_v4(&a.key.remote));
	unsigned count = (unsigned)(a_second * seconds), behind = a_second / 5;
	uint64_t start = clock_now_ns();

	for (unsigned i = 0; i < count + behind; i++) {
		if (i < count) {
			a.h.type = IPC_SESSION_ADD;
			a.key.remote = ipaddr_v4(htonl(from + i % (4 * behind)));
			send_all(c, &a, sizeof(a));
			asked++;
		}
		if (i >= behind) {
			a.h.type = IPC_SESSION_REMOVE;
			a.key.remote = ipaddr_v4(htonl(from + (i - behind) % (4 * behind)));
			send_all(c, &a, sizeof(a));
			asked++;
		}
		replies += drain_replies(c, 0, &errors);
		while (clock_now_ns() - start < (uint64_t)i * 1000000000 / a_second)
			usleep(200);
	}
	while (replies < asked) {
		unsigned n = drain_replies(c, 2000, &errors);

		if (!n)
			die("churn: no answer", -ETIMEDOUT);
		replies += n;
	}
	printf("churn: %u added and removed in %.2f s, %u errors\n", count,
		(double)(clock_now_ns() - start) / 1e9, errors);
}

static void run(struct ctl *c, char *command)
{
	char *args = strchr(command, ' ');
	struct ipc_header h = {IPC_SYNC, sizeof(h), 0};

	if (args)
		*args++ = '\0';
	else
		args = command + strlen(command);
	if (!strcmp(command, "hello"))
		hello(c, args);
	else if (!strcmp(command, "add"))
		session(c, args, IPC_SESSION_ADD);
	else if (!strcmp(command, "remove"))
		session(c, args, IPC_SESSION_REMOVE);
	else if (!strcmp(command, "range"))
		range(c, args);
	else if (!strcmp(command, "sync"))
		send_all(c, &h, sizeof(h));
	else if (!strcmp(command, "settings"))
		settings(c, args);
	else if (!strcmp(command, "churn"))
		churn(c, args);
	else if (!strcmp(command, "ports"))
		ports(c);
	else if (!strcmp(command, "show"))
		show(c);
	else if (!strcmp(command, "summary"))
		summary(c);
	else if (!strcmp(command, "workers"))
		workers(c);
	else if (!strcmp(command, "wait"))
		wait_for(c, args);
	else if (!strcmp(command, "watch"))
		watch(c, atof(args));
	else if (!strcmp(command, "sleep"))
		usleep((useconds_t)(atof(args) * 1e6));
	else
		die(command, -EINVAL);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	struct ctl c = {.event_fd = -1};

	if (argc < 3) {
		fprintf(stderr, "usage: dpctl SOCKET COMMAND...\n");
		return 2;
	}
	c.sock = ipc_connect(argv[1]);
	if (c.sock < 0)
		die(argv[1], c.sock);
	for (int i = 2; i < argc; i++)
		run(&c, argv[i]);
	return 0;
}
