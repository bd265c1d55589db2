/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Verdicts of import filters, by attribute set.
 *
 * A filter that reads nothing but attributes gives the same answer for every
 * prefix with the same attributes; routes come in runs of equal ones, and the same set
 * comes again from a neighbour that flaps. One that reads who the route is from is
 * remembered by source as well. Others are run each time.
 *
 * The memo is small (it is to stay in the cache) and holds references to the
 * sets it names, so that their ids mean what they meant; an idle shard drops
 * them. References to results are taken in packs, so that handing one out is
 * not an atomic operation. Shard's thread only.
 */
#include "controlplane/rib/internal.h"

enum { SETS = 2048, WAYS = 2, PACK = 64 };

struct entry {
	uint32_t filter, received, origin; /* filter 0: free */
	uint32_t attrs, spare;             /* spare: references in hand */
	bool accepted;
};

struct memo {
	unsigned used;
	struct entry set[SETS][WAYS];
};

struct memo *memo_create(void)
{
	return memory_map(sizeof(struct memo));
}

static void forget(struct rib_shard *s, struct entry *e)
{
	if (!e->filter)
		return;
	shard_drop(s, e->received, 1);
	shard_drop(s, e->attrs, 1 + e->spare);
	*e = (struct entry){0};
}

void memo_forget(struct rib_shard *s, struct memo *m)
{
	if (!m->used)
		return;
	for (unsigned i = 0; i < SETS; i++)
		for (unsigned w = 0; w < WAYS; w++)
			forget(s, &m->set[i][w]);
	m->used = 0;
}

void memo_destroy(struct memo *m)
{
	memory_unmap(m, sizeof(*m));
}

static struct entry *find(
	struct memo *m, uint32_t filter, uint32_t received, uint32_t origin, struct entry **victim)
{
	struct entry *set = m->set[hash_u64((uint64_t)received << 32 | filter, origin) % SETS];

	for (unsigned w = 0; w < WAYS; w++)
		if (set[w].filter == filter && set[w].received == received && set[w].origin == origin) {
			if (w) { /* most recent first */
				struct entry e = set[w];

				set[w] = set[0];
				set[0] = e;
			}
			return &set[0];
		}
	*victim = &set[WAYS - 1];
	return NULL;
}

static struct verdict run(struct rib_shard *s, const struct local_source *l, const uint32_t *key,
	uint32_t origin, uint32_t received)
{
	const struct rib_source_config *c = &l->conf->c, *from = c;
	const struct local_source *o = origin == l->id ? l : shard_source(s, origin);
	const struct attrs *a = attrs_get(received);
	struct verdict v = {0};
	struct filter_route r;
	struct attrs out;
	bool changed = false;
	struct net net;

	if (o)
		from = &o->conf->c;
	key_net(l->source->table->net, key, &net);
	r = (struct filter_route){
		.net = &net,
		.attrs = a,
		.proto_name = from->proto_name,
		.source = (uint8_t)from->source,
		.from = a->present & ATTR_FROM ? a->from : from->peer.addr,
		.ifindex = from->peer.ifindex,
	};
	v.accepted = filter_run(s->vm, c->import.filter, &r, &changed, &out) == FILTER_ACCEPT;
	if (v.accepted || c->keep_filtered)
		v.attrs = changed ? attrs_intern(&out) : received;
	if (changed && v.attrs == received) /* changed and changed back */
		attrs_release(v.attrs);
	return v;
}

static struct verdict filtered(struct rib_shard *s, const struct local_source *l, const uint32_t *key,
	uint32_t origin, uint32_t received)
{
	const struct source_conf *conf = l->conf;
	struct verdict v;
	struct entry *e, *victim = NULL;
	uint32_t who;

	if (conf->c.import.kind == FILTER_ALL)
		return (struct verdict){.accepted = true, .attrs = received};
	if (conf->c.import.kind == FILTER_NONE)
		return (struct verdict){.attrs = conf->c.keep_filtered ? received : 0};
	if (conf->filter_reads & (FILTER_READS_NET | FILTER_READS_ROA | FILTER_READS_STATE | FILTER_PRINTS))
		return run(s, l, key, origin, received);

	/* keep_filtered decides about what a rejection leaves: it is part of the key. */
	who = (conf->filter_reads & FILTER_READS_SOURCE ? origin : 0) << 1 | conf->c.keep_filtered;
	e = find(s->memo, conf->filter_uid, received, who, &victim);
	if (!e) {
		v = run(s, l, key, origin, received);
		e = victim;
		forget(s, e);
		/* The old one's place is the last; the new one goes there too and moves up when it is used
		 * again. */
		*e = (struct entry){.filter = conf->filter_uid,
			.received = received,
			.origin = who,
			.attrs = v.attrs,
			.accepted = v.accepted};
		attrs_hold(received);
		if (v.attrs == received)
			attrs_hold(received);
		else if (v.attrs)
			attrs_hold(v.attrs); /* the memo's; the run's is the caller's */
		s->memo->used++;
		return v;
	}
	v = (struct verdict){.accepted = e->accepted, .attrs = e->attrs};
	if (v.attrs && v.attrs != received) {
		if (!e->spare) {
			attrs_hold_n(e->attrs, PACK);
			e->spare = PACK;
		}
		e->spare--;
	}
	return v;
}

/* A flow rule that the base table does not allow comes to the filter as an unreachable route. */
static struct verdict filtered_unreachable(struct rib_shard *s, const struct local_source *l,
	const uint32_t *key, uint32_t origin, uint32_t received)
{
	struct attrs edit = *attrs_get(received);
	struct verdict v;
	uint32_t id;

	edit.dest = RTD_UNREACHABLE;
	id = attrs_intern(&edit);
	v = filtered(s, l, key, origin, id);
	if (v.attrs != id)
		attrs_release(id);
	if (v.attrs == received) /* the filter has made it reachable */
		attrs_release(received);
	return v;
}

struct verdict import_verdict(struct rib_shard *s, const struct local_source *l, const uint32_t *key,
	uint32_t origin, uint32_t received)
{
	const struct source_conf *conf = l->conf;
	struct net net;

	if (!conf->base || origin != l->id)
		return filtered(s, l, key, origin, received);
	key_net(l->source->table->net, key, &net);
	if (flow_base_allows(conf->base, &net, attrs_get(received), &conf->c.peer))
		return filtered(s, l, key, origin, received);
	return filtered_unreachable(s, l, key, origin, received);
}

bool memo_in_use(const struct memo *m)
{
	return m->used != 0;
}
