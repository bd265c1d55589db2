/* SPDX-License-Identifier: BSD-2-Clause */
#include "controlplane/export/policy.h"
#include "shared/hash.h"
#include "shared/rcu.h"
#include <stdlib.h>

#define MEMO_FIRST 256u
#define MEMO_MOST 65536u

struct policy_memo {
	uint32_t attrs,
		source; /* attrs 0: empty; a reference is held, so that the number cannot mean another set */
	uint32_t out;   /* a reference is held; 0 unless accepted */
	uint64_t key;
};

bool policy_is_shared(const struct filter *f)
{
	return !(filter_reads(f) & (FILTER_READS_ROA | FILTER_READS_STATE | FILTER_PRINTS)) &&
	       filter_net_use(f) != FILTER_NET_FREE;
}

bool policy_reads_roa(const struct filter_ref *f)
{
	return f->kind == FILTER_PROGRAM && (filter_reads(f->filter) & FILTER_READS_ROA);
}

void policy_init(struct policy *p, const struct filter_ref *f, const struct bgp_export_class *class)
{
	*p = (struct policy){.filter = *f};
	if (class)
		p->class = *class;
	p->may_memo = true;
	filter_ref_hold(f);
	if (f->kind == FILTER_PROGRAM) {
		p->may_memo = policy_is_shared(f->filter);
		p->keyed = filter_net_use(f->filter) == FILTER_NET_CONDITIONS;
	}
}

static void memo_drop(struct policy_memo *m)
{
	if (!m->attrs)
		return;
	attrs_release(m->attrs);
	if (m->out)
		attrs_release(m->out);
	m->attrs = 0;
}

void policy_free(struct policy *p)
{
	for (uint32_t i = 0; p->memo && i <= p->memo_mask; i++)
		memo_drop(&p->memo[i]);
	free(p->memo);
	free(p->scratch);
	filter_ref_release(&p->filter);
}

static struct policy_memo *memo_slot(const struct policy *p, uint32_t attrs, uint32_t source, uint64_t key)
{
	return &p->memo[hash_u64(((uint64_t)source << 32 | attrs) ^ key * 0x9e3779b97f4a7c15, 0) &
			p->memo_mask];
}

/* Twice as large: entries that fall together lose, it is a cache. */
static void memo_grow(struct policy *p)
{
	uint32_t n = p->memo ? 2 * (p->memo_mask + 1) : MEMO_FIRST, old_n = p->memo ? p->memo_mask + 1 : 0;
	struct policy_memo *old = p->memo;

	p->memo = calloc(n, sizeof(*p->memo));
	if (!p->memo)
		abort();
	p->memo_mask = n - 1;
	p->memo_used = 0;
	for (uint32_t i = 0; i < old_n; i++) {
		struct policy_memo *to;

		if (!old[i].attrs)
			continue;
		to = memo_slot(p, old[i].attrs, old[i].source, old[i].key);
		if (to->attrs)
			memo_drop(to);
		else
			p->memo_used++;
		*to = old[i];
	}
	free(old);
}

bool policy_filter(const struct filter_ref *f, struct filter_vm *vm, const struct net *n,
	const struct attrs *a, const struct rib_source_config *from, bool *changed, struct attrs *out)
{
	struct filter_route fr = {.net = n, .attrs = a, .proto_name = ""};

	*changed = false;
	if (f->kind != FILTER_PROGRAM)
		return f->kind == FILTER_ALL;
	if (from) {
		fr.proto_name = from->proto_name;
		fr.source = from->source;
		fr.from = from->peer.addr;
		fr.ifindex = from->peer.ifindex;
	}
	return filter_run(vm, f->filter, &fr, changed, out) == FILTER_ACCEPT;
}

static const struct rib_source_config *from_of(struct rib_shard *s, const struct rib_route_view *r)
{
	const struct rib_source *src = rib_source_by_id(rib_shard_rib(s), r->source);

	return src ? rib_source_config(src) : NULL;
}

bool policy_allowed(const struct policy *p, struct rib_shard *s, const struct rib_route_view *r)
{
	return bgp_export_allowed(&p->class, attrs_get(r->attrs), from_of(s, r));
}

uint32_t policy_distance(bool aigp, struct rib_shard *s, const struct rib_route_view *r)
{
	const struct attrs *a = aigp ? attrs_get(r->attrs) : NULL;

	/* The filter may give it an AIGP of its own, but seldom: so it is not asked whether there is one. */
	return a && (a->derived & ATTRD_RECURSIVE) ? rib_distance(rib_shard_rib(s), r->source, a) : 0;
}

bool policy_send(struct policy *p, struct rib_shard *s, const struct net *n, const struct rib_route_view *r,
	const struct bgp_encode_class *c, struct sents *sents, uint32_t *out)
{
	const struct rib_source_config *from = from_of(s, r);
	const struct attrs *before = attrs_get(r->attrs), *a = before;
	struct attrs filtered, sent;
	uint32_t distance = policy_distance(p->class.aigp, s, r);
	bool changed;
	size_t need;

	if (!policy_filter(&p->filter, rib_shard_vm(s), n, a, from, &changed, &filtered))
		return false;
	if (changed)
		a = &filtered;
	need = BGP_EXPORT_SCRATCH(a);
	if (need > p->scratch_size) {
		p->scratch_size = 2 * need;
		p->scratch = realloc(p->scratch, p->scratch_size);
		if (!p->scratch)
			abort();
	}
	if (!bgp_export_attrs(&p->class, a, before, from, distance, &sent, p->scratch, p->scratch_size))
		return false;
	*out = sent_intern(sents, c, &sent);
	return true;
}

static bool compute(struct policy *p, struct rib_shard *s, const struct net *n,
	const struct rib_route_view *r, uint32_t *out)
{
	struct attrs filtered;
	bool accepted, changed;

	rcu_read_lock();
	accepted = policy_filter(
		&p->filter, rib_shard_vm(s), n, attrs_get(r->attrs), from_of(s, r), &changed, &filtered);
	if (accepted && changed) {
		*out = attrs_intern(&filtered);
	} else if (accepted) {
		*out = r->attrs;
		attrs_hold(*out);
	}
	rcu_read_unlock();
	return accepted;
}

bool policy_run(struct policy *p, struct rib_shard *s, const struct net *n, const struct rib_route_view *r,
	uint32_t *out)
{
	struct policy_memo *m;
	uint64_t key;

	if (!p->may_memo)
		return compute(p, s, n, r, out);
	key = p->keyed ? filter_net_key(rib_shard_vm(s), p->filter.filter, n) : 0;
	if (!p->memo || (p->memo_used > p->memo_mask / 2 && p->memo_mask + 1 < MEMO_MOST))
		memo_grow(p);
	m = memo_slot(p, r->attrs, r->source, key);
	if (m->attrs != r->attrs || m->source != r->source || m->key != key) {
		uint32_t id = 0;

		compute(p, s, n, r, &id);
		if (m->attrs)
			memo_drop(m);
		else
			p->memo_used++;
		attrs_hold(r->attrs);
		*m = (struct policy_memo){r->attrs, r->source, id, key};
	}
	*out = m->out;
	attrs_hold(*out);
	return *out;
}
