/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A world for BGP sessions without the rest of the daemon: a RIB that writes
 * down what it is told, an export side that sends what a test gives it, BFD and
 * interfaces that tests control. Real: session threads, sockets, loops.
 *
 * Everything recorded is under `w.lock`; world_wait() waits for a condition, and fails the test when
 * it does not come true in ten seconds.
 */
#pragma once
#include "controlplane/bfd/bfd_client.h"
#include "controlplane/bgp/bgp_proto.h"
#include "controlplane/cli/cli.h"
#include "controlplane/config/arena.h"
#include "shared/rcu.h"
#include "tests/unit/bgp_support.h"
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <unistd.h>

#define WORLD_LOG 20000

/* liburcu orders memory in assembly and is not instrumented (shared/rcu.h). */
const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void)
{
	return "called_from_lib:liburcu-memb.so\nrace:urcu_common_wake_up_gp\nrace:_urcu_memb_\nmutex:"
	       "liburcu\nrace:rcu_barrier\n";
}

struct rib_source {
	struct rib_source_config c;
	char log[WORLD_LOG]; /* "+192.0.2.0/24 path 64496 1\n", "-prefix", "flush", "stale", "llgr", "sweep",
				"reconfigure" */
	bool full;           /* rib_submit() says stop */
	unsigned submits;
};

struct rib_batch {
	struct rib_source *s;
	char text[WORLD_LOG];
	unsigned n;
};

struct export_peer {
	struct export_peer_config c;
	uint8_t *bytes;
	size_t len, at, taken;
	unsigned refreshes;
};

struct bfd_request {
	struct bfd_request_config r;
};

static struct world {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	_Atomic uint64_t under_way; /* what export_waiting() says */
	struct daemon d;
	struct config config;
	struct rib_source source[2];
	struct export_peer *peer[2];
	bool no_export; /* export_attach() fails */ /* attached, by family */
	struct bfd_request *bfd;
	bool no_interface, link_down;
	unsigned down_calls, spawned;
	struct proto *child;
	char shown[8000];
} w = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static void world_changed(void)
{
	pthread_cond_broadcast(&w.changed);
}

static void append(char *log, size_t size, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static void append(char *log, size_t size, const char *fmt, ...)
{
	size_t n = strlen(log);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(log + n, size - n, fmt, ap);
	va_end(ap);
}

static void source_log(struct rib_source *s, const char *what)
{
	pthread_mutex_lock(&w.lock);
	append(s->log, WORLD_LOG, "%s\n", what);
	world_changed();
	pthread_mutex_unlock(&w.lock);
}

/* ---- rib ---- */

void rib_source_reconfigure(
	struct rib_source *s, const struct rib_source_config *c, enum rib_reevaluate reevaluate)
{
	pthread_mutex_lock(&w.lock);
	s->c = *c;
	append(s->log, WORLD_LOG, "reconfigure%s\n", reevaluate ? " reevaluate" : "");
	pthread_mutex_unlock(&w.lock);
}

uint32_t rib_source_id(const struct rib_source *s)
{
	return s == &w.source[0] ? 1 : 2;
}

void rib_source_mark_stale(struct rib_source *s, bool llgr)
{
	source_log(s, llgr ? "llgr" : "stale");
}

void rib_source_sweep_stale(struct rib_source *s)
{
	source_log(s, "sweep");
}

void rib_source_flush(struct rib_source *s)
{
	source_log(s, "flush");
}

/* What was submitted is worked off at once here. */
void rib_source_barrier(struct rib_source *s, void (*done)(void *ctx), void *ctx)
{
	(void)s;
	done(ctx);
}

struct rib_batch *rib_batch_create(struct rib_source *s)
{
	struct rib_batch *b = calloc(1, sizeof(*b));

	b->s = s;
	return b;
}

void rib_batch_discard(struct rib_batch *b)
{
	free(b);
}

void rib_batch_announce(struct rib_batch *b, const struct net *n, uint32_t path_id, uint32_t attrs)
{
	const struct attrs *a = attrs_get(attrs);
	char t[PREFIX_STRLEN];

	append(b->text, sizeof(b->text), "+%s %u as %u lp %u\n", prefix_format(&n->prefix, t), path_id,
		a->last_as, a->local_pref);
	b->n++;
}

void rib_batch_withdraw(struct rib_batch *b, const struct net *n, uint32_t path_id)
{
	char t[PREFIX_STRLEN];

	append(b->text, sizeof(b->text), "-%s %u\n", prefix_format(&n->prefix, t), path_id);
	b->n++;
}

bool rib_submit(struct rib_batch *b)
{
	bool ok;

	pthread_mutex_lock(&w.lock);
	append(b->s->log, WORLD_LOG, "%s", b->text);
	b->s->submits++;
	ok = !b->s->full;
	world_changed();
	pthread_mutex_unlock(&w.lock);
	free(b);
	return ok;
}

void rib_roa_settle(struct rib *rib, void (*done)(void *ctx), void *ctx)
{
	(void)rib;
	done(ctx);
}

struct rib_table *rib_table_find(struct rib *rib, const char *name)
{
	(void)rib, (void)name;
	return NULL;
}

/* ---- export ---- */

struct export_peer *export_attach(struct export_engine *x, const struct export_peer_config *c)
{
	struct export_peer *p = calloc(1, sizeof(*p));

	(void)x;
	p->c = *c;
	pthread_mutex_lock(&w.lock);
	if (w.no_export) {
		pthread_mutex_unlock(&w.lock);
		free(p);
		return NULL;
	}
	w.peer[c->encode.afi - 1] = p;
	world_changed();
	pthread_mutex_unlock(&w.lock);
	return p;
}

void export_detach(struct export_peer *p)
{
	pthread_mutex_lock(&w.lock);
	w.peer[p->c.encode.afi - 1] = NULL;
	world_changed();
	pthread_mutex_unlock(&w.lock);
	free(p->bytes);
	free(p);
}

void export_reconfigure(struct export_peer *p, const struct export_peer_config *c)
{
	pthread_mutex_lock(&w.lock);
	p->c = *c;
	pthread_mutex_unlock(&w.lock);
}

uint64_t export_waiting(const struct export_engine *x)
{
	(void)x;
	return atomic_load(&w.under_way);
}

unsigned export_receivers(const struct export_engine *x)
{
	(void)x;
	return 1000;
}

uint64_t export_peer_waiting(const struct export_peer *p)
{
	(void)p;
	return 0;
}

uint64_t rib_queued(const struct rib *rib)
{
	(void)rib;
	return 0;
}

void export_refresh(struct export_peer *p, bool enhanced)
{
	pthread_mutex_lock(&w.lock);
	p->refreshes += enhanced ? 100 : 1;
	world_changed();
	pthread_mutex_unlock(&w.lock);
}

unsigned export_take(struct export_peer *p, struct iovec *iov, unsigned max)
{
	unsigned n = 0;

	pthread_mutex_lock(&w.lock);
	/* Pieces of 3 messages, as blocks would be. */
	while (n < max && p->taken < p->len) {
		size_t part = 0;

		for (unsigned i = 0; i < 3 && p->taken + part < p->len; i++)
			part += get_u16(p->bytes + p->taken + part + 16);
		iov[n++] = (struct iovec){p->bytes + p->taken, part};
		p->taken += part;
	}
	pthread_mutex_unlock(&w.lock);
	return n;
}

void export_sent(struct export_peer *p, size_t bytes)
{
	pthread_mutex_lock(&w.lock);
	p->at += bytes;
	assert_true(p->at <= p->taken);
	world_changed();
	pthread_mutex_unlock(&w.lock);
}

void export_peer_stats(const struct export_peer *p, struct export_peer_stats *out)
{
	memset(out, 0, sizeof(*out));
	out->bytes = p->at;
}

/* ---- the rest of the daemon ---- */

void proto_set_state(struct proto *p, enum proto_state s)
{
	pthread_mutex_lock(&w.lock);
	p->state = s;
	w.down_calls += s == PS_DOWN;
	world_changed();
	pthread_mutex_unlock(&w.lock);
}

void proto_channel_set_state(struct proto_channel *c, enum channel_state s)
{
	c->state = s;
}

int proto_channel_open(struct proto_channel *c, const struct rib_source_config *sc)
{
	c->source = &w.source[c->cf->net == NET_IP4 ? 0 : 1];
	c->source->c = *sc;
	return 0;
}

int proto_restart(struct proto *p, const char *message)
{
	(void)p;
	(void)message;
	return 0;
}

int proto_disable(struct proto *p, const char *message)
{
	p->disabled = true;
	proto_set_state(p, PS_STOP);
	bgp_ops.stop(p, message);
	return 0;
}

void proto_remove(struct proto *p)
{
	p->gone = true;
	bgp_ops.stop(p, NULL);
}

struct proto *proto_find(struct daemon *d, const char *name)
{
	(void)d, (void)name;
	return NULL;
}

static struct proto *make_proto(struct proto_config *cf);

struct proto *proto_spawn(struct proto *parent, const char *name)
{
	struct proto_config *own = malloc(sizeof(*own));
	struct proto *p;

	*own = *parent->cf;
	own->name = strdup(name);
	p = make_proto(own);
	p->own_cf = own;
	p->parent = parent;
	cds_list_add_tail(&p->node, &w.d.protos);
	bgp_ops.start(p);
	pthread_mutex_lock(&w.lock);
	w.spawned++;
	w.child = p;
	world_changed();
	pthread_mutex_unlock(&w.lock);
	return p;
}

void cli_line(struct cli_out *o, unsigned code, const char *fmt, ...)
{
	va_list ap;
	size_t n = strlen(w.shown);

	(void)o, (void)code;
	va_start(ap, fmt);
	vsnprintf(w.shown + n, sizeof(w.shown) - n - 1, fmt, ap);
	va_end(ap);
	strcat(w.shown, "\n");
}

bool ifaces_for_neighbor(
	struct ifaces *i, const struct ipaddr *a, struct iface_view *out, struct ipaddr *local)
{
	struct prefix net = pfx("127.0.0.0/8");

	(void)i;
	memset(out, 0, sizeof(*out));
	if (w.no_interface || !prefix_contains_addr(&net, a))
		return false;
	*local = ip("127.0.0.1");
	out->ifindex = 1;
	strcpy(out->name, "lo");
	out->up = !w.link_down;
	out->n_addrs = 1;
	out->addrs[0].addr = *local;
	out->addrs[0].prefix = net;
	return true;
}

bool ifaces_by_name(struct ifaces *i, const char *name, struct iface_view *out)
{
	struct ipaddr a = ip("127.0.0.1"), local;

	return !strcmp(name, "lo") && ifaces_for_neighbor(i, &a, out, &local);
}

bool ifaces_is_local(struct ifaces *i, const struct ipaddr *a)
{
	(void)i, (void)a;
	return false;
}

unsigned ifaces_all(struct ifaces *i, struct iface_view *out, unsigned max)
{
	(void)i, (void)out, (void)max;
	return 0;
}

void ifaces_subscribe(struct ifaces *i, void (*changed)(void *ctx, uint32_t ifindex), void *ctx)
{
	(void)i, (void)changed, (void)ctx;
}

void fib_link_event(struct fib *f, const struct fib_link *links, unsigned n)
{
	(void)f, (void)links, (void)n;
}

void fib_defer(struct fib *f)
{
	(void)f;
}

void fib_recovery_done(struct fib *f)
{
	(void)f;
}

void fib_link_stage(struct fib *f, const struct ipaddr *addr, uint32_t ifindex, uint64_t bgp_told_ns,
	uint64_t updates_out_ns)
{
	(void)f, (void)addr, (void)ifindex, (void)bgp_told_ns, (void)updates_out_ns;
}

struct bfd_request *bfd_request_open(struct bfd_client *c, const struct bfd_request_config *r)
{
	struct bfd_request *q = malloc(sizeof(*q));

	(void)c;
	q->r = *r;
	pthread_mutex_lock(&w.lock);
	w.bfd = q;
	world_changed();
	pthread_mutex_unlock(&w.lock);
	return q;
}

void bfd_request_update(struct bfd_request *q, const struct bfd_options *o)
{
	q->r.options = *o;
}

void bfd_request_close(struct bfd_request *q)
{
	pthread_mutex_lock(&w.lock);
	w.bfd = NULL;
	pthread_mutex_unlock(&w.lock);
	free(q);
}

/* ---- waiting ---- */

static bool world_wait(bool (*cond)(void *), void *arg)
{
	struct timespec until;
	bool ok;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 10;
	pthread_mutex_lock(&w.lock);
	while (!(ok = cond(arg)) && pthread_cond_timedwait(&w.changed, &w.lock, &until) == 0)
		;
	pthread_mutex_unlock(&w.lock);
	return ok;
}

static bool log_has(void *text)
{
	return strstr(w.source[0].log, text) || strstr(w.source[1].log, text);
}

#define WAIT_LOG(text) assert_true(world_wait(log_has, (void *)(text)))

static inline bool logged_so_far(const char *text)
{
	bool has;

	pthread_mutex_lock(&w.lock);
	has = log_has((void *)text);
	pthread_mutex_unlock(&w.lock);
	return has;
}

struct state_wish {
	struct proto *p;
	enum proto_state s;
};

static bool state_is(void *arg)
{
	struct state_wish *x = arg;

	return x->p->state == x->s;
}

#define WAIT_STATE(proto, state_wanted)                                                                      \
	assert_true(world_wait(state_is, &(struct state_wish){proto, state_wanted}))

/* ---- a protocol ---- */

static struct channel_config ch4_cf, ch6_cf;
static struct table_config table4 = {.name = "master4", .net = NET_IP4},
			   table6 = {.name = "master6", .net = NET_IP6};

static struct proto *make_proto(struct proto_config *cf)
{
	struct proto *p = calloc(1, sizeof(*p));
	struct channel_config *all[2] = {&ch4_cf, &ch6_cf};

	p->daemon = &w.d;
	p->ops = &bgp_ops;
	p->cf = cf;
	p->config = &w.config;
	CDS_INIT_LIST_HEAD(&p->channels);
	for (unsigned i = 0; i < 2; i++) {
		struct proto_channel *c = calloc(1, sizeof(*c));

		c->proto = p;
		c->cf = all[i];
		cds_list_add_tail(&c->node, &p->channels);
	}
	return p;
}

static void free_proto(struct proto *p)
{
	struct proto_channel *c, *tmp;

	if (p->data)
		bgp_ops.destroy(p);
	cds_list_for_each_entry_safe(c, tmp, &p->channels, node) free(c);
	if (p->own_cf) {
		free((char *)p->own_cf->name);
		free(p->own_cf);
	}
	free(p);
}
