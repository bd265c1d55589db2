/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Putting a configuration in force. Main thread only.
 *
 * A commit walks the new protocols beside the running ones and does for each
 * what config_diff_*() says: nothing, take over options, run filters again,
 * restart. Nothing can fail half way: what may be refused by the system is
 * asked first (daemon_check()). The configuration before is kept for undo.
 */
#include "controlplane/bfd/bfd_client.h"
#include "controlplane/bgp/bgp.h"
#include "controlplane/fib/fib.h"
#include "controlplane/mrt/messages.h"
#include "controlplane/proto/proto.h"
#include "shared/clock.h"
#include "shared/log.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A table that the configuration names stays open although no protocol uses it. */
struct held_table {
	struct cds_list_head node;
	struct rib_table *table;
};

static void hold_tables(struct daemon *d, const struct config *c)
{
	struct cds_list_head old;
	struct held_table *h, *tmp;
	const struct table_config *t;

	CDS_INIT_LIST_HEAD(&old);
	cds_list_splice(&d->tables, &old);
	CDS_INIT_LIST_HEAD(&d->tables);
	cds_list_for_each_entry(t, &c->tables, node)
	{
		struct rib_table *table = rib_table_open(d->rib, t->name, t->net, t->sorted);

		if (!table) {
			log_msg(LOG_CLASS_ERROR, "Table %s cannot be made", t->name);
			continue;
		}
		h = malloc(sizeof(*h));
		if (!h)
			abort();
		h->table = table;
		cds_list_add_tail(&h->node, &d->tables);
	}
	cds_list_for_each_entry_safe(h, tmp, &old, node)
	{
		cds_list_del(&h->node);
		rib_table_close(h->table);
		free(h);
	}
}

void daemon_tables_release(struct daemon *d)
{
	struct held_table *h, *tmp;

	cds_list_for_each_entry_safe(h, tmp, &d->tables, node)
	{
		cds_list_del(&h->node);
		rib_table_close(h->table);
		free(h);
	}
}

static uint32_t lowest_v4(struct ifaces *ifs, const struct iface_pattern *from)
{
	unsigned max = ifaces_all(ifs, NULL, 0) + 16, n;
	struct iface_view *v = malloc(max * sizeof(*v));
	uint32_t best = 0;

	if (!v)
		return 0;
	n = ifaces_all(ifs, v, max);
	for (unsigned i = 0; i < n && i < max; i++) {
		for (unsigned a = 0; a < v[i].n_addrs; a++) {
			uint32_t id;

			if (!ipaddr_is_v4(&v[i].addrs[a].addr))
				continue;
			if (from ? !iface_pattern_match(from, v[i].name, &v[i].addrs[a].addr)
				 : v[i].addrs[a].addr.b[12] == 127)
				continue;
			id = ntohl(ipaddr_to_v4(&v[i].addrs[a].addr));
			if (!best || id < best)
				best = id;
		}
	}
	free(v);
	return best;
}

static uint32_t choose_router_id(struct daemon *d, const struct config *c)
{
	if (c->router_id)
		return c->router_id;
	if (d->router_id && !c->router_id_from)
		return d->router_id; /* derived before: stays while we live */
	return d->ifaces ? lowest_v4(d->ifaces, c->router_id_from) : 0;
}

/* All bits of config_diff_*() over the protocol and its channels. */
static uint32_t diff(const struct proto_config *old, const struct proto_config *new)
{
	const struct channel_config *a, *b;
	uint32_t bits;

	if (old->type != new->type)
		return PROTO_RESTART;
	bits = config_diff_protocol(old, new);
	a = cds_list_first_entry(&old->channels, struct channel_config, node);
	b = cds_list_first_entry(&new->channels, struct channel_config, node);
	while (&a->node != &old->channels && &b->node != &new->channels) {
		if (strcmp(a->name, b->name))
			return PROTO_RESTART;
		bits |= config_diff_channel(a, b);
		a = cds_list_entry(a->node.next, struct channel_config, node);
		b = cds_list_entry(b->node.next, struct channel_config, node);
	}
	if (&a->node != &old->channels || &b->node != &new->channels)
		return PROTO_RESTART;
	return bits;
}

static void take_over(
	struct proto *p, const struct proto_config *cf, struct config *c, uint32_t change, bool soft)
{
	const struct proto_config *old_cf = p->cf;
	struct config *old_config = p->config;
	const struct channel_config *ch;
	struct proto_channel *pc = cds_list_first_entry(&p->channels, struct proto_channel, node);

	config_hold(c);
	p->cf = cf;
	p->config = c;
	cds_list_for_each_entry(ch, &cf->channels, node)
	{
		if (ch->inert)
			continue;
		pc->cf = ch;
		pc = cds_list_entry(pc->node.next, struct proto_channel, node);
	}
	if (soft)
		change = (change & ~(uint32_t)(PROTO_IMPORT_CHANGED | PROTO_EXPORT_CHANGED)) | PROTO_SOFT;
	if (p->ops && p->ops->reconfigure && p->state != PS_DOWN)
		p->ops->reconfigure(p, old_cf, change);
	config_release(old_config);
}

static void update(struct proto *p, const struct proto_config *cf, struct config *c, bool soft)
{
	uint32_t change;

	if (p->next_cf) { /* still stopping for an earlier reload: only the target moves */
		proto_replace(p, cf, c);
		return;
	}
	change = diff(p->cf, cf);
	/* What the operator disabled by hand is as the file says again. */
	if (!(change & PROTO_RESTART) && cf->disabled == p->disabled) {
		if (change && (cf->debug & (DBG_STATES | DBG_EVENTS)))
			log_msg(LOG_CLASS_TRACE, "%s: Reconfigured", cf->name);
		take_over(p, cf, c, change, soft);
		return;
	}
	if (!p->disabled || !cf->disabled)
		log_msg(LOG_CLASS_INFO, "%s protocol %s",
			cf->disabled  ? "Disabling"
			: p->disabled ? "Enabling"
				      : "Restarting",
			cf->name);
	proto_replace(p, cf, c);
}

static void configure_log(const struct daemon *d, const struct config *c)
{
	const struct log_sink everything = {.kind = LOG_SINK_SYSLOG, .classes = UINT32_MAX};
	struct log_sink *sinks = calloc(c->n_log_sinks + 3, sizeof(*sinks));
	unsigned n = c->n_log_sinks;
	int rc;

	if (!sinks)
		abort();
	if (n)
		memcpy(sinks, c->log_sinks, n * sizeof(*sinks));
	else
		sinks[n++] = everything;
	if (d->log_stderr)
		sinks[n++] = (struct log_sink){.kind = LOG_SINK_STDERR, .classes = UINT32_MAX};
	if (d->log_file)
		sinks[n++] =
			(struct log_sink){.kind = LOG_SINK_FILE, .classes = UINT32_MAX, .path = d->log_file};
	rc = log_configure(sinks, n, c->tf_log);
	if (rc < 0)
		log_msg(LOG_CLASS_ERROR, "Cannot open a log destination: %s", strerror(-rc));
	free(sinks);
}

/* Before the protocols are told: they hand it to their sessions. */
static void open_mrt_messages(struct daemon *d, const struct config *c)
{
	const char *path = c->mrtdump_file;

	if (path && d->mrt_messages && strcmp(path, mrt_messages_path(d->mrt_messages)) == 0)
		return;
	mrt_messages_release(d->mrt_messages);
	d->mrt_messages = path ? mrt_messages_open(path) : NULL;
	if (path && !d->mrt_messages)
		log_msg(LOG_CLASS_ERROR, "Unable to open MRT file '%s': %s", path, strerror(errno));
}

/*
 * The protocols of the configuration by name: each is looked for once, among as many.
 */
struct by_name {
	struct proto **slot;
	size_t mask;
};

static size_t hash_name(const char *s)
{
	uint64_t h = 1469598103934665603u;

	for (; *s; s++)
		h = (h ^ (unsigned char)*s) * 1099511628211u;
	return (size_t)(h ^ h >> 32);
}

static struct proto **slot_of(const struct by_name *n, const char *name)
{
	size_t i = hash_name(name) & n->mask;

	while (n->slot[i] && strcmp(n->slot[i]->cf->name, name))
		i = (i + 1) & n->mask;
	return &n->slot[i];
}

static struct by_name index_protocols(struct daemon *d, const struct config *c)
{
	struct by_name n = {.mask = 63};
	const struct proto_config *cf;
	struct proto *p;
	size_t count = 0;

	cds_list_for_each_entry(p, &d->protos, node) count++;
	cds_list_for_each_entry(cf, &c->protocols, node) count++;
	while (n.mask < 2 * count)
		n.mask = 2 * n.mask + 1;
	n.slot = calloc(n.mask + 1, sizeof(*n.slot));
	if (!n.slot)
		abort();
	/* Several may have one name: one that is here, and others on their way out. */
	cds_list_for_each_entry(p, &d->protos, node)
	{
		struct proto **at = slot_of(&n, p->cf->name);

		if (!*at || (*at)->gone)
			*at = p;
	}
	return n;
}

/* A spawned child lives as long as its parent, and as nobody else wants its name. */
static bool keeps(const struct config *c, const struct proto *p)
{
	const struct proto *parent = p->parent;

	if (!p->own_cf)
		return config_find_protocol(c, p->cf->name) != NULL;
	return parent && !parent->gone && !parent->next_cf && !config_find_protocol(c, p->cf->name);
}

static void commit_protocols(struct daemon *d, struct config *c, bool soft, bool first)
{
	const struct proto_config *cf;
	struct proto *p, *tmp;
	struct by_name known;

	cds_list_for_each_entry_safe(p, tmp, &d->protos, node) if (!p->gone && !keeps(c, p))
	{
		log_msg(LOG_CLASS_INFO, "Removing protocol %s", p->cf->name);
		proto_remove(p);
	}
	known = index_protocols(d, c);
	cds_list_for_each_entry(cf, &c->protocols, node)
	{
		struct proto **at = slot_of(&known, cf->name);

		p = *at;
		if (p && p->gone && !p->own_cf) {
			/* It is going away and comes back: one protocol with a next configuration. */
			p->gone = false;
			proto_replace(p, cf, c);
		} else if (p && !p->gone) {
			update(p, cf, c, soft);
		} else {
			if (!first)
				log_msg(LOG_CLASS_INFO, "Adding protocol %s", cf->name);
			p = *at = proto_create(d, cf, c);
		}
		/* The list in the order of the file. */
		cds_list_del(&p->node);
		cds_list_add_tail(&p->node, &d->protos);
	}
	cds_list_for_each_entry_safe(p, tmp, &d->protos, node) if (p->own_cf && p->parent)
	{
		cds_list_del(&p->node);
		cds_list_add(&p->node, &p->parent->node);
	}
	/* All exist before the first one starts: they may look for each other. Caches come first: a table
	 * that one of them holds is held before there is a route. */
	for (unsigned others = 0; others < 2; others++)
		cds_list_for_each_entry(cf, &c->protocols, node)
		{
			p = *slot_of(&known, cf->name);
			if ((cf->type != PROTO_RPKI) == others && p->state == PS_DOWN && !p->disabled &&
				!p->next_cf)
				proto_start(p);
		}
	free(known.slot);
}

int daemon_check(struct daemon *d, const struct config *c, char *err, size_t size)
{
	if (d->bgp)
		return bgp_engine_listen(d->bgp, c, err, size);
	return 0;
}

static void put_in_force(struct daemon *d, struct config *c, bool soft)
{
	uint32_t id = choose_router_id(d, c);
	bool first = !d->config;

	configure_log(d, c);
	open_mrt_messages(d, c);
	if (!first)
		log_msg(LOG_CLASS_INFO, "Reconfiguring");
	if (d->router_id && id != d->router_id)
		log_msg(LOG_CLASS_INFO, "Router ID changed");
	if (id && !c->router_id && id != d->router_id) {
		struct ipaddr a = ipaddr_v4(htonl(id));
		char text[IPADDR_STRLEN];

		log_msg(LOG_CLASS_INFO, "Chosen router ID %s", ipaddr_format(&a, text));
	}
	d->router_id = id;
	hold_tables(d, c);
	d->config = c;
	d->reconfig_wall_ns = clock_wall_ns();
	d->reloading = false;
	commit_protocols(d, c, soft, first);
	if (d->configured)
		d->configured(d);
	if (first)
		return;
	if (daemon_reload_pending(d))
		d->reloading = true;
	else
		log_msg(LOG_CLASS_INFO, "Reconfigured");
}

static void stop_undo_timer(struct daemon *d)
{
	if (!d->undo_timer)
		return;
	ev_timer_stop(loop_ev(d->main), d->undo_timer);
	free(d->undo_timer);
	d->undo_timer = NULL;
	d->undo_expired = NULL;
	d->undo_asker = NULL;
}

static void undo_expired(struct ev_loop *ev, ev_timer *w, int revents)
{
	struct daemon *d = w->data;

	(void)ev, (void)revents;
	log_msg(LOG_CLASS_INFO, "Config timeout expired, starting undo");
	if (d->undo_expired)
		d->undo_expired(d->undo_asker);
	daemon_undo(d);
}

unsigned daemon_reload_pending(struct daemon *d)
{
	unsigned n = 0;
	struct proto *p;

	cds_list_for_each_entry(p, &d->protos, node) n += (p->gone && p->state != PS_DOWN) || p->next_cf;
	return n;
}

enum reload_result daemon_commit(struct daemon *d, struct config *c, bool soft, unsigned undo_timeout_s)
{
	struct config *before = d->config;

	if (d->shutting_down) {
		config_release(c);
		return RELOAD_SHUTDOWN;
	}
	stop_undo_timer(d);
	put_in_force(d, c, soft);
	if (d->old_config)
		config_release(d->old_config);
	d->old_config = before;
	d->undo_available = true;
	if (undo_timeout_s && before) {
		d->undo_timer = calloc(1, sizeof(*d->undo_timer));
		if (!d->undo_timer)
			abort();
		ev_timer_init(d->undo_timer, undo_expired, undo_timeout_s, 0);
		d->undo_timer->data = d;
		ev_timer_start(loop_ev(d->main), d->undo_timer);
	}
	return daemon_reload_pending(d) ? RELOAD_IN_PROGRESS : RELOAD_DONE;
}

int daemon_undo(struct daemon *d)
{
	struct config *c = d->old_config;
	char err[512];

	stop_undo_timer(d);
	if (!c || !d->undo_available)
		return -ENOENT;
	d->undo_available = false;
	if (daemon_check(d, c, err, sizeof(err)) < 0)
		log_msg(LOG_CLASS_ERROR, "%s", err);
	d->old_config = d->config;
	put_in_force(d, c, false);
	return 0;
}

int daemon_confirm(struct daemon *d)
{
	if (!d->undo_timer)
		return -ENOENT;
	stop_undo_timer(d);
	return 0;
}

struct config_call {
	struct daemon *d;
	struct config *c;
};

static void take_config(void *arg)
{
	struct config_call *cc = arg;

	cc->c = cc->d->config;
	config_hold(cc->c);
}

struct config *daemon_config(struct daemon *d)
{
	struct config_call cc = {.d = d};

	loop_call_sync(d->main, take_config, &cc);
	return cc.c;
}

static void give_config(void *arg)
{
	config_release(arg);
}

void daemon_config_release(struct daemon *d, struct config *c)
{
	loop_call(d->main, give_config, c);
}
