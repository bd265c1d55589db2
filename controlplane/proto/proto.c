/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The life of a protocol. Main thread only; see proto.h.
 *
 * A protocol says PS_DOWN when it has stopped its own work; what is left then is
 * generic: its channels give back their routes, which the shards do in their
 * own time. Until they have, the protocol is shown as "stop". Only then may it
 * start again, take its next configuration or be freed (settle()).
 */
#include "controlplane/proto/proto.h"
#include "shared/clock.h"
#include "shared/log.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

const char *proto_state_name(enum proto_state s)
{
	static const char *const names[] = {"down", "start", "up", "stop"};

	return names[s];
}

static const struct proto_ops *ops_for(enum proto_type t)
{
	static const struct proto_ops *const all[] = {&device_ops, &direct_ops, &static_ops, &kernel_ops,
		&bfd_ops, &bgp_ops, &pipe_ops, &rpki_ops, &mrt_ops, &bmp_ops};

	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
		if (all[i]->type == t)
			return all[i];
	return NULL;
}

static void debug_states(const struct proto *p, const char *what)
{
	if (p->cf->debug & DBG_STATES)
		log_msg(LOG_CLASS_TRACE, "%s: %s", p->cf->name, what);
}

/* ---- channels ---- */

static void channels_free(struct proto *p)
{
	struct proto_channel *c, *tmp;

	cds_list_for_each_entry_safe(c, tmp, &p->channels, node)
	{
		if (c->table)
			rib_table_close(c->table);
		cds_list_del(&c->node);
		free(c);
	}
}

static void channels_make(struct proto *p)
{
	const struct channel_config *cf;

	cds_list_for_each_entry(cf, &p->cf->channels, node)
	{
		struct proto_channel *c;

		if (cf->inert)
			continue;
		c = calloc(1, sizeof(*c));
		if (!c)
			abort();
		c->proto = p;
		c->cf = cf;
		c->since_ns = clock_wall_ns();
		cds_list_add_tail(&c->node, &p->channels);
	}
}

void proto_channel_set_state(struct proto_channel *c, enum channel_state s)
{
	if (c->state == s)
		return;
	c->state = s;
	c->since_ns = clock_wall_ns();
}

/* ---- limits of protocols that have no session of their own to end ---- */

struct limit_call {
	struct proto_channel *c;
	bool import;
	enum limit_action action;
};

const char *proto_limit_action_name(enum limit_action a)
{
	static const char *const names[] = {"none", "warn", "block", "restart", "disable"};

	return names[a];
}

void proto_limit_hit(struct proto *p, const char *direction, uint32_t value, enum limit_action action)
{
	log_msg(LOG_CLASS_WARNING, "Protocol %s hits route %s limit (%u), action: %s", p->cf->name, direction,
		value, proto_limit_action_name(action));
	if (p->state != PS_UP)
		return;
	if (action == LIMIT_RESTART)
		proto_restart(p, NULL);
	else if (action == LIMIT_DISABLE)
		proto_disable(p, NULL);
}

static void channel_limit(void *arg)
{
	struct limit_call *l = arg;
	struct proto_channel *c = l->c;

	if (c->source && l->action != LIMIT_NONE)
		proto_limit_hit(c->proto, l->import ? "import" : "receive",
			l->import ? c->cf->import_limit.value : c->cf->receive_limit.value, l->action);
	free(l);
}

/* A shard's thread. This call reaches main before the one that says that the source is closed: the channel is
 * still there then. */
static void channel_limit_in_shard(void *ctx, bool import, enum limit_action action)
{
	struct proto_channel *c = ctx;
	struct limit_call *l = malloc(sizeof(*l));

	if (!l)
		abort();
	*l = (struct limit_call){c, import, action};
	loop_call(c->proto->daemon->main, channel_limit, l);
}

int proto_channel_open(struct proto_channel *c, const struct rib_source_config *given)
{
	struct rib_source_config sc = *given;
	struct proto *p = c->proto;

	if (!c->table)
		c->table = rib_table_open(
			p->daemon->rib, c->cf->table->name, c->cf->table->net, c->cf->table->sorted);
	if (!c->table)
		return -ENOMEM;
	sc.proto_name = p->cf->name;
	sc.channel_name = c->cf->name;
	sc.type_name = p->cf->type_name;
	sc.import = c->cf->import;
	sc.keep_filtered = c->cf->import_keep_filtered;
	sc.receive_limit = c->cf->receive_limit;
	sc.import_limit = c->cf->import_limit;
	sc.no_roa_reload = !c->cf->rpki_reload;
	if (!sc.limit_hit) {
		sc.limit_hit = channel_limit_in_shard;
		sc.ctx = c;
	}
	c->source = rib_source_open(c->table, &sc);
	if (!c->source)
		return -ENOMEM;
	proto_channel_set_state(c, CS_UP);
	return 0;
}

enum rib_reevaluate proto_reevaluate(uint32_t change, uint32_t bit)
{
	return change & PROTO_SOFT ? RIB_NEVER : change & bit ? RIB_ALWAYS : RIB_IF_CHANGED;
}

void proto_channels_reconfigure(struct proto *p, uint32_t change)
{
	struct proto_channel *c;

	cds_list_for_each_entry(c, &p->channels, node)
	{
		struct rib_source_config sc;

		if (!c->source)
			continue;
		sc = *rib_source_config(c->source);
		sc.proto_name = p->cf->name;
		sc.channel_name = c->cf->name;
		sc.type_name = p->cf->type_name;
		sc.import = c->cf->import;
		sc.keep_filtered = c->cf->import_keep_filtered;
		sc.receive_limit = c->cf->receive_limit;
		sc.import_limit = c->cf->import_limit;
		sc.no_roa_reload = !c->cf->rpki_reload;
		rib_source_reconfigure(c->source, &sc, proto_reevaluate(change, PROTO_IMPORT_CHANGED));
	}
}

/* The flush of a closed source ends in a shard's thread; the answer comes back to main as a call. */
struct closing {
	struct proto_channel *c; /* stays: a channel is not freed while it flushes */
	struct daemon *daemon;
	void (*done)(struct proto_channel *, void *);
	void *arg;
};

static void settle(struct proto *p);

static void channel_flushed(void *arg)
{
	struct closing *cl = arg;
	struct proto *p = cl->c->proto;

	cl->c->flushing--;
	if (!cl->c->flushing && cl->c->state == CS_FLUSHING)
		proto_channel_set_state(cl->c, CS_DOWN);
	if (cl->done)
		cl->done(cl->c, cl->arg); /* the channel may have gone with it */
	settle(p);
	free(cl);
}

static void channel_flushed_in_shard(void *ctx)
{
	struct closing *cl = ctx;

	loop_call(cl->daemon->main, channel_flushed, cl);
}

void proto_channel_close(struct proto_channel *c, void (*done)(struct proto_channel *, void *), void *arg)
{
	struct rib_source *s = c->source;
	struct closing *cl;

	if (!s) {
		if (!c->flushing)
			proto_channel_set_state(c, CS_DOWN);
		if (done)
			done(c, arg);
		return;
	}
	cl = calloc(1, sizeof(*cl));
	if (!cl)
		abort();
	*cl = (struct closing){c, c->proto->daemon, done, arg};
	c->source = NULL;
	c->flushing++;
	proto_channel_set_state(c, CS_FLUSHING);
	rib_source_close(s, channel_flushed_in_shard, cl);
}

/* ---- states ---- */

static void start(struct proto *p)
{
	int rc;

	if (!p->ops || p->disabled || p->daemon->shutting_down)
		return;
	debug_states(p, "Starting");
	rc = p->ops->start(p);
	if (rc < 0) {
		log_msg(LOG_CLASS_ERROR, "%s: Cannot start: %s", p->cf->name, strerror(-rc));
		p->disabled = true;
		proto_set_state(p, PS_DOWN);
	}
}

static void free_proto(struct proto *p)
{
	if (p->ops && p->ops->destroy && p->data)
		p->ops->destroy(p);
	channels_free(p);
	cds_list_del(&p->node);
	if (p->config)
		config_release(p->config);
	if (p->next_config)
		config_release(p->next_config);
	if (p->own_cf) {
		free((char *)p->own_cf->name);
		free(p->own_cf);
	}
	free(p->message);
	free(p);
}

/*
 * Protocols that are gone are freed here and nowhere else, in a call of its own: whoever walks the list, or
 * has a protocol in his hand when it comes to rest, need not fear for it.
 */
static void sweep(void *arg)
{
	struct daemon *d = arg;
	struct proto *p, *tmp;

	cds_list_for_each_entry_safe(p, tmp, &d->protos, node) if (p->gone && p->state == PS_DOWN)
		free_proto(p);
}

static void next_configuration(struct proto *p)
{
	if (p->ops && p->ops->destroy && p->data)
		p->ops->destroy(p);
	p->data = NULL;
	channels_free(p);
	config_release(p->config);
	p->cf = p->next_cf;
	p->config = p->next_config;
	p->next_cf = NULL;
	p->next_config = NULL;
	p->ops = ops_for(p->cf->type); /* the name may have become another kind of protocol's */
	p->disabled = p->cf->disabled;
	p->restart_wanted = false;
	channels_make(p);
}

/* Looks whether a stopping protocol has come to rest, and does what was wanted of it then. */
static void settle(struct proto *p)
{
	struct daemon *d = p->daemon;
	struct proto_channel *c;
	struct proto *q;

	if (p->state != PS_STOP || !p->stopped)
		return;
	cds_list_for_each_entry(c, &p->channels, node) if (c->flushing) return;
	p->state = PS_DOWN;
	p->since_wall_ns = clock_wall_ns();
	debug_states(p, "State changed to down");
	if (p->gone) {
		loop_call(d->main, sweep, d);
	} else if (p->next_cf) {
		next_configuration(p);
		start(p);
	} else if (p->restart_wanted) {
		p->restart_wanted = false;
		start(p);
	}
	if (d->reloading && !daemon_reload_pending(d)) {
		d->reloading = false;
		log_msg(LOG_CLASS_INFO, "Reconfigured");
	}
	if (!d->shutting_down || !d->on_down)
		return;
	cds_list_for_each_entry(q, &d->protos, node) if (q->state != PS_DOWN) return;
	d->on_down(d);
}

void proto_set_state(struct proto *p, enum proto_state s)
{
	struct proto_channel *c;

	if (s == PS_DOWN) {
		p->stopped = true;
		if (p->state != PS_STOP) {
			p->state = PS_STOP;
			p->since_wall_ns = clock_wall_ns();
		}
		cds_list_for_each_entry(c, &p->channels, node) proto_channel_close(c, NULL, NULL);
		settle(p);
		return;
	}
	if (s == p->state)
		return;
	p->stopped = false;
	p->state = s;
	p->since_wall_ns = clock_wall_ns();
	debug_states(p, s == PS_UP      ? "State changed to up"
			: s == PS_START ? "State changed to start"
					: "State changed to stop");
}

static void stop(struct proto *p, const char *message)
{
	if (p->state == PS_DOWN || p->state == PS_STOP)
		return;
	debug_states(p, "Shutting down");
	proto_set_state(p, PS_STOP);
	p->ops->stop(p, message);
}

static void set_message(struct proto *p, const char *message)
{
	free(p->message);
	p->message = message ? strdup(message) : NULL;
}

struct proto *proto_find(struct daemon *d, const char *name)
{
	struct proto *p;

	cds_list_for_each_entry(p, &d->protos, node) if (!p->gone && !strcmp(p->cf->name, name)) return p;
	return NULL;
}

int proto_enable(struct proto *p)
{
	if (!p->disabled)
		return -EALREADY;
	log_msg(LOG_CLASS_INFO, "Enabling protocol %s", p->cf->name);
	p->disabled = false;
	set_message(p, NULL);
	if (p->state == PS_DOWN)
		start(p);
	else
		p->restart_wanted = true;
	return 0;
}

int proto_disable(struct proto *p, const char *message)
{
	if (p->disabled)
		return -EALREADY;
	log_msg(LOG_CLASS_INFO, "Disabling protocol %s", p->cf->name);
	p->disabled = true;
	p->restart_wanted = false;
	set_message(p, message);
	stop(p, message);
	return 0;
}

int proto_restart(struct proto *p, const char *message)
{
	if (p->disabled)
		return -EALREADY;
	log_msg(LOG_CLASS_INFO, "Restarting protocol %s", p->cf->name);
	set_message(p, message);
	if (p->state == PS_DOWN) {
		start(p);
		return 0;
	}
	p->restart_wanted = true;
	stop(p, message);
	return 0;
}

/* ---- made and replaced by a reload ---- */

static struct proto *make(struct daemon *d, const struct proto_config *cf, struct config *config)
{
	struct proto *p = calloc(1, sizeof(*p));

	if (!p)
		abort();
	p->daemon = d;
	p->ops = ops_for(cf->type);
	p->cf = cf;
	p->config = config;
	config_hold(config);
	p->disabled = cf->disabled;
	p->since_wall_ns = clock_wall_ns();
	CDS_INIT_LIST_HEAD(&p->channels);
	channels_make(p);
	return p;
}

struct proto *proto_create(struct daemon *d, const struct proto_config *cf, struct config *config)
{
	struct proto *p = make(d, cf, config);

	/* Of those that the grammar skips as a whole (OSPF, ...) it has said so itself. */
	if (!p->ops && cf->type != PROTO_INERT)
		log_msg(LOG_CLASS_WARNING, "%s:%u: protocol %s %s is read but not run: it stays down",
			cf->file, cf->line, cf->word, cf->name);

	cds_list_add_tail(&p->node, &d->protos);
	return p;
}

void proto_start(struct proto *p)
{
	start(p);
}

int proto_reload(struct proto *p, bool in, bool out)
{
	struct proto_channel *c;

	log_msg(LOG_CLASS_INFO, "Reloading protocol %s", p->cf->name);
	if (p->ops && p->ops->reload)
		return p->ops->reload(p, in, out);
	/* What was received is kept: the import filter runs again. */
	cds_list_for_each_entry(c, &p->channels, node) if (in && c->source)
	{
		struct rib_source_config sc = *rib_source_config(c->source);

		rib_source_reconfigure(c->source, &sc, RIB_ALWAYS);
	}
	return 0;
}

struct proto *proto_spawn(struct proto *parent, const char *name)
{
	struct proto *p = make(parent->daemon, parent->cf, parent->config);
	struct proto_config *own = malloc(sizeof(*own));

	if (!own)
		abort();
	*own = *parent->cf; /* channels stay the parent's: a list head must not be walked from a copy */
	CDS_INIT_LIST_HEAD(&own->channels);
	own->name = strdup(name);
	if (!own->name)
		abort();
	own->disabled = false;
	p->cf = p->own_cf = own;
	p->parent = parent;
	p->disabled = false;
	cds_list_add(&p->node, &parent->node);
	start(p);
	return p;
}

void proto_remove(struct proto *p)
{
	p->gone = true;
	p->disabled = true;
	if (p->state == PS_DOWN)
		loop_call(p->daemon->main, sweep, p->daemon);
	else
		stop(p, NULL);
}

void proto_replace(struct proto *p, const struct proto_config *cf, struct config *config)
{
	if (p->next_config)
		config_release(p->next_config);
	p->next_cf = cf;
	p->next_config = config;
	config_hold(config);
	if (p->state == PS_DOWN) {
		p->state = PS_STOP; /* comes to rest at once */
		p->stopped = true;
		settle(p);
	} else {
		stop(p, NULL);
	}
}

void proto_shutdown_all(struct daemon *d)
{
	struct proto *p, *tmp;
	unsigned running = 0;

	cds_list_for_each_entry_safe(p, tmp, &d->protos, node)
	{
		p->restart_wanted = false;
		stop(p, NULL);
	}
	cds_list_for_each_entry(p, &d->protos, node) running += p->state != PS_DOWN;
	if (!running && d->on_down)
		d->on_down(d);
}

void proto_free_all(struct daemon *d)
{
	struct proto *p, *tmp;

	cds_list_for_each_entry_safe(p, tmp, &d->protos, node) free_proto(p);
}
