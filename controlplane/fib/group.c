/* SPDX-License-Identifier: BSD-2-Clause */
/* Nexthop groups: when one is written, when it goes. See nexthop.h; what is in one: group_want.c. */
#include "controlplane/fib/group_want.h"
#include "controlplane/fib/mem.h"
#include "controlplane/fib/nhobj.h"
#include "shared/clock.h"
#include "shared/hash.h"
#include <errno.h>
#include <linux/nexthop.h>
#include <net/if.h>

#define UNUSED_AFTER_NS (2 * NS_PER_S)
#define FIRST_INDEX 256

/* ---- accounting: for plans, and which objects are kept ---- */

static void keep_members(const struct group *g, int sign)
{
	for (unsigned i = 0; i < g->n_members; i++)
		if (g->member[i].obj)
			g->member[i].obj->kept += (unsigned)sign;
}

/* The port of all that would carry on without it; 0: there are several; PORT_NONE: nobody would. */
static uint32_t rest_port(const struct group *g, unsigned of, unsigned primaries)
{
	const struct nhobj *lost = g->member[of].obj;
	uint32_t port = PORT_NONE;

	for (unsigned i = 0; i < g->n_members; i++) {
		const struct nhobj *o = g->member[i].obj;
		if (!o || hop_same_gateway(&o->hop, &lost->hop) || (primaries > 1 && !g->member[i].primary))
			continue;
		if (port != PORT_NONE && port != o->hop.ifindex)
			return 0;
		port = o->hop.ifindex;
		if (primaries == 1)
			break; /* the first in line */
	}
	return port;
}

/* Around every change of the members. */
static void account(struct fib *f, struct group *g, int sign)
{
	struct nhobj *substitute = NULL;
	unsigned primaries = 0;

	for (unsigned i = 0; i < g->n_members; i++)
		primaries += g->member[i].primary;
	if (primaries == 1 && g->n_members > 1)
		substitute = g->member[1].obj;
	for (unsigned i = 0; i < g->n_members; i++)
		if (g->member[i].primary && g->member[i].obj && g->member[i].obj->role == NH_PROTECTED)
			nhobj_account(
				f, g->member[i].obj, sign, g->refs, substitute, rest_port(g, i, primaries));
		else if (g->member[i].primary && g->member[i].obj)
			nhobj_account_sole(f, g->member[i].obj, sign);
	if (g->kept)
		keep_members(g, sign);
}

void group_ref(struct fib *f, struct group *g)
{
	g->refs++;
	g->unused_since_ns = 0;
	for (unsigned i = 0; i < g->n_members; i++)
		if (g->member[i].primary && g->member[i].obj)
			atomic_store_explicit(&g->member[i].obj->prefixes,
				atomic_load_explicit(&g->member[i].obj->prefixes, memory_order_relaxed) + 1,
				memory_order_relaxed);
}

void group_unref(struct fib *f, struct group *g)
{
	g->refs--;
	for (unsigned i = 0; i < g->n_members; i++)
		if (g->member[i].primary && g->member[i].obj)
			atomic_store_explicit(&g->member[i].obj->prefixes,
				atomic_load_explicit(&g->member[i].obj->prefixes, memory_order_relaxed) - 1,
				memory_order_relaxed);
}

void group_keep(struct group *g, bool on)
{
	if (g->kept == on)
		return;
	g->kept = on;
	keep_members(g, on ? 1 : -1);
}

/* ---- into the kernel ---- */

static void put_group(
	struct fib *f, const struct group *g, uint32_t id, uint16_t flags, const struct member *m, unsigned n)
{
	struct batch *b = &f->ctl;
	struct nexthop_grp *e;
	uint16_t type = NEXTHOP_GRP_TYPE_RES;
	struct nhmsg *h = NLMSG_DATA(batch_add(b, RTM_NEWNEXTHOP, flags, sizeof(*h)));

	h->nh_protocol = f->o.rtproto;
	batch_put_u32(b, NHA_ID, id);
	e = batch_put(b, NHA_GROUP, NULL, n * sizeof(*e));
	for (unsigned i = 0; i < n; i++)
		e[i] = (struct nexthop_grp){.id = m[i].obj->id, .weight = (uint8_t)(m[i].weight - 1)};
	if (!g->buckets)
		return;
	batch_put(b, NHA_GROUP_TYPE, &type, sizeof(type));
	struct nlattr *nest = batch_nest(b, NHA_RES_GROUP | NLA_F_NESTED);
	batch_put(b, NHA_RES_GROUP_BUCKETS, &g->buckets, sizeof(g->buckets));
	batch_put_u32(b, NHA_RES_GROUP_IDLE_TIMER, 0); /* flows move at once */
	batch_nest_end(b, nest);
}

static bool same_members(const struct group *g, const struct member *m, unsigned n)
{
	if (g->n_members != n)
		return false;
	for (unsigned i = 0; i < n; i++)
		if (g->member[i].obj != m[i].obj || g->member[i].weight != m[i].weight)
			return false;
	return true;
}

static void set_members(struct fib *f, struct group *g, const struct member *m, unsigned n)
{
	struct member *old = g->member;
	unsigned n_old = g->n_members;

	account(f, g, -1);
	g->member = n ? mem_grow(NULL, n * sizeof(*m)) : NULL;
	if (n)
		memcpy(g->member, m, n * sizeof(*m));
	g->n_members = n;
	account(f, g, 1);
	for (unsigned i = 0; i < n_old; i++)
		if (old[i].obj)
			nhobj_put(f, old[i].obj, false);
	free(old);
	batch_flush(&f->ctl, NULL, NULL); /* deletions of objects that nobody uses */
}

/* An earlier run's group with just this content becomes g's: the routes on it are right already. Moves its
 * place in fib.groups, its references and id into g, and g's number is given up. */
static bool claim(struct fib *f, struct group *g, const struct member *m, unsigned n)
{
	struct nexthops *nh = &f->nh;

	for (uint32_t i = GROUP_INDEX_PROHIBIT + 1; i < nh->n_groups; i++) {
		struct group *o = nh->groups[i];
		if (!o || !o->left_over || o->buckets != g->buckets || !same_members(o, m, n))
			continue;
		/* Routes name groups by number: the two change places. */
		nh->groups[o->index] = g;
		nh->groups[g->index] = o;
		uint32_t index = g->index;
		group_keep(g, o->kept);
		group_keep(o, false);
		account(f, o, -1);
		for (unsigned k = 0; k < o->n_members; k++)
			o->member[k].primary = false;
		g->index = o->index;
		o->index = index;
		g->id = o->id;
		g->refs = o->refs;
		o->id = 0;
		o->refs = 0;
		o->left_over = false;
		o->unused_since_ns = 1;
		return true;
	}
	return false;
}

static int write_group(
	struct fib *f, struct group *g, const struct member *m, unsigned n, char text[BATCH_TEXT])
{
	uint32_t id = g->id;
	int rc;

	if (!id && !g->refs && claim(f, g, m, n))
		return 0;
	batch_flush(&f->ctl, NULL, NULL);
	do {
		if (!g->id)
			id = nexthop_new_id(f, ID_RANGE_GROUPS + (g->key->family == 6));
		/* Never both: a group that somebody has removed took its routes along, and would come back
		 * without them. */
		put_group(f, g, id, g->id ? NLM_F_REPLACE : NLM_F_CREATE | NLM_F_EXCL, m, n);
		rc = batch_flush_simple(&f->ctl, text);
		if (rc == -ENOENT && g->id && g->refs) {
			nexthops_lose_group(f, g);
			return rc;
		}
		if (rc == -ENOENT && g->id) {
			g->id = 0;
			rc = -EEXIST;
		}
	} while (rc == -EEXIST && !g->id);
	if (rc == 0)
		g->id = id;
	return rc;
}

static void unindex(struct fib *f, struct group *g)
{
	struct group **at;

	f->nh.changes++;
	if (!g->indexed)
		return;
	for (at = &f->nh.index[g->hash & f->nh.index_mask]; *at != g; at = &(*at)->next)
		;
	*at = g->next;
	g->indexed = false;
}

static struct group *find(struct fib *f, const struct group_key *k, uint64_t hash)
{
	struct group *g = f->nh.index[hash & f->nh.index_mask];

	while (g && !(g->hash == hash && group_key_size(g->key) == group_key_size(k) &&
			    !memcmp(g->key, k, group_key_size(k))))
		g = g->next;
	return g;
}

static void reindex(struct fib *f, struct group *g)
{
	struct group **at;

	if (g->indexed || find(f, g->key, g->hash))
		return;
	at = &f->nh.index[g->hash & f->nh.index_mask];
	g->next = *at;
	*at = g;
	g->indexed = true;
}

static void sweep_all(struct fib *f)
{
	struct fib_channel *ch;

	cds_list_for_each_entry(ch, &f->channels, node) route_start_sweep(ch);
	fib_wake(f);
}

/* Its routes go to another group with the same key, which is made when the first of them asks. */
static void move_routes(struct fib *f, struct group *g)
{
	unindex(f, g);
	g->moving = true;
	sweep_all(f);
}

static void update_plain(struct fib *f, struct group *g, const struct wanted *w)
{
	struct member m[MEMBERS_MAX];
	bool same = g->n_members == w->n;

	for (unsigned i = 0; i < w->n; i++) {
		m[i] = (struct member){.hop = w->m[i].hop, .weight = w->m[i].weight, .primary = true};
		same = same && g->member[i].weight == m[i].weight &&
		       hop_same_gateway(&g->member[i].hop, &m[i].hop);
	}
	if (same)
		return;
	if (g->n_members && g->refs && w->n)
		move_routes(f, g);
	else
		set_members(f, g, m, w->n);
}

/* Makes the kernel's group what it should be now. 0, or -errno when there is no way at present. */
static int update(struct fib *f, struct group *g, bool in_place)
{
	bool bad[HOPS_MAX] = {false};
	char text[BATCH_TEXT] = "";
	struct member m[MEMBERS_MAX];
	struct wanted w;
	unsigned n_best;
	int rc;

	if (!g->key || g->key->kind != GROUP_UNICAST || g->lost || g->moving)
		return 0;
	n_best = group_resolve(f, g);
again:
	group_want(f, g, bad, n_best, &w);
	if (!w.n)
		return g->error = -ENETUNREACH; /* what the kernel has stays: the RIB will tell */
	if (g->key->plain) {
		update_plain(f, g, &w);
		return 0;
	}
	if (!g->buckets && g->can_grow && f->nh.resilient)
		g->buckets = group_choose_buckets(&w);
	for (unsigned i = 0; i < w.n; i++) {
		m[i] = (struct member){.weight = w.m[i].weight,
			.primary = w.m[i].primary,
			.obj = nhobj_get(f, g->key->family, w.m[i].role, &w.m[i].hop)};
		rc = nhobj_ensure(f, m[i].obj, text);
		if (rc < 0) {
			g->error = rc;
			for (unsigned k = 0; k < g->n_hops; k++)
				bad[k] = bad[k] || hop_same_gateway(&g->hops[k], &w.m[i].hop);
			for (unsigned k = 0; k <= i; k++)
				nhobj_put(f, m[k].obj, false);
			goto again;
		}
	}
	if (g->id && same_members(g, m, w.n)) {
		for (unsigned i = 0; i < w.n; i++)
			nhobj_put(f, m[i].obj, false);
		return g->error = 0;
	}
	if (g->id && !in_place && g->key->family == 6 && g->refs > IPV6_REPLACE_MAX) {
		for (unsigned i = 0; i < w.n; i++)
			nhobj_put(f, m[i].obj, false);
		move_routes(f, g);
		return 0;
	}
	rc = write_group(f, g, m, w.n, text);
	if (rc < 0) {
		/* A member went while we wrote (its link was lost, its interface): the event for that is on
		 * its way. */
		for (unsigned i = 0; i < w.n; i++)
			nhobj_put(f, m[i].obj, false);
		return g->error = rc;
	}
	set_members(f, g, m, w.n);
	if (g->missing)
		sweep_all(f);
	return g->error = 0;
}

/* ---- life ---- */

struct group *group_at(struct fib *f, uint32_t index)
{
	return index < f->nh.n_groups ? f->nh.groups[index] : NULL;
}

static struct group *new_group(struct fib *f)
{
	struct nexthops *nh = &f->nh;
	struct group *g = mem_zero(sizeof(*g));

	if (nh->n_free) {
		g->index = nh->free_index[--nh->n_free];
	} else {
		if (nh->n_groups == nh->cap_groups) {
			nh->cap_groups *= 2;
			nh->groups = mem_grow(nh->groups, nh->cap_groups * sizeof(*nh->groups));
			nh->free_index = mem_grow(nh->free_index, nh->cap_groups * sizeof(*nh->free_index));
		}
		g->index = nh->n_groups++;
	}
	nh->groups[g->index] = g;
	nh->live_groups++;
	g->epoch = nh->epoch;
	return g;
}

static void grow_index(struct nexthops *nh)
{
	struct group **old = nh->index;
	uint32_t old_mask = nh->index_mask;

	nh->index_mask = old_mask * 2 + 1;
	nh->index = mem_zero((size_t)(nh->index_mask + 1) * sizeof(*nh->index));
	for (uint32_t b = 0; b <= old_mask; b++)
		for (struct group *g = old[b], *next; g; g = next) {
			next = g->next;
			g->next = nh->index[g->hash & nh->index_mask];
			nh->index[g->hash & nh->index_mask] = g;
		}
	free(old);
}

static void track(struct fib *f, const struct group *g, bool on)
{
	const struct group_key *k = g->key;

	for (unsigned i = 0; f->o.nht && i < (unsigned)k->n_best + k->n_backup; i++) {
		if (!(k->spec[i].flags & NH_RECURSIVE))
			continue;
		if (on)
			nht_track(f->o.nht, k->spec[i].igp, &k->spec[i].gw);
		else
			nht_untrack(f->o.nht, k->spec[i].igp, &k->spec[i].gw);
	}
}

struct group *group_get(struct fib *f, const struct group_key *key)
{
	struct nexthops *nh = &f->nh;
	uint64_t hash;
	struct group *g;

	if (key->kind != GROUP_UNICAST)
		return nh->groups[key->kind];
	hash = hash_bytes(key, group_key_size(key), 0);
	g = find(f, key, hash);
	if (g) {
		/* With routes waiting for it, it is tried again by the clock. */
		if (!g->refs && !group_usable(g))
			update(f, g, false);
		return g;
	}
	if (key->n_backup && nh->live_groups >= GROUPS_MAX) {
		struct group_key alone = *key;
		if (!nh->said_full)
			log_msg(LOG_CLASS_WARNING,
				"FIB: more than %u pairs of next hops: further ones are installed without "
				"their "
				"backup",
				GROUPS_MAX);
		nh->said_full = true;
		alone.n_backup = 0;
		return group_get(f, &alone);
	}
	if (nh->live_groups > nh->index_mask)
		grow_index(nh);
	g = new_group(f);
	g->key = mem_grow(NULL, group_key_size(key));
	memcpy(g->key, key, group_key_size(key));
	g->hash = hash;
	g->can_grow = key->n_best + key->n_backup > 1;
	for (unsigned i = 0; i < (unsigned)key->n_best + key->n_backup; i++) {
		g->dynamic = g->dynamic || (key->spec[i].flags & NH_RECURSIVE) || !key->spec[i].ifindex;
		g->can_grow = g->can_grow || (key->spec[i].flags & NH_RECURSIVE);
	}
	reindex(f, g);
	track(f, g, true);
	update(f, g, false);
	return g;
}

static void free_group(struct fib *f, struct group *g, bool keep)
{
	struct nexthops *nh = &f->nh;

	unindex(f, g);
	keep = keep || g->kept;
	g->kept = false; /* not so its objects: what is on them stays */
	if (g->id && !keep)
		nexthop_put_delete(f, g->id);
	account(f, g, -1);
	for (unsigned i = 0; i < g->n_members; i++)
		if (g->member[i].obj)
			nhobj_put(f, g->member[i].obj, keep);
	if (g->key)
		track(f, g, false);
	nh->groups[g->index] = NULL;
	nh->free_index[nh->n_free++] = g->index;
	nh->live_groups--;
	free(g->member);
	free(g->hops);
	free(g->key);
	free(g);
}

void nexthops_reap(struct fib *f, bool all)
{
	uint64_t now = clock_now_ns();

	for (uint32_t i = GROUP_INDEX_PROHIBIT + 1; i < f->nh.n_groups; i++) {
		struct group *g = f->nh.groups[i];
		if (!g || g->refs || g->left_over || g->kept)
			continue;
		if (!g->unused_since_ns)
			g->unused_since_ns = now;
		if (all || now - g->unused_since_ns > UNUSED_AFTER_NS)
			free_group(f, g, false);
	}
	batch_flush(&f->ctl, NULL, NULL);
}

/* ---- changes around it ---- */

/* Members whose object the kernel does not have any more are forgotten. */
static void drop_gone(struct fib *f, struct group *g)
{
	unsigned n = 0;
	bool gone = false;

	for (unsigned i = 0; i < g->n_members; i++)
		gone = gone || (g->member[i].obj && !g->member[i].obj->id);
	if (!gone)
		return;
	account(f, g, -1);
	for (unsigned i = 0; i < g->n_members; i++) {
		if (g->member[i].obj->id)
			g->member[n++] = g->member[i];
		else
			nhobj_put(f, g->member[i].obj, false);
	}
	g->n_members = n;
	/* The next in line carries the traffic now. */
	bool any = false;
	for (unsigned i = 0; i < n; i++)
		any = any || g->member[i].primary;
	for (unsigned i = 0; i < n && !any; i++)
		g->member[i].primary = true;
	account(f, g, 1);
	if (n)
		return;
	/* Without members the kernel has removed it, and its routes. */
	g->id = 0;
	g->kept = false;
	if (g->refs) {
		unindex(f, g);
		g->lost = true;
		sweep_all(f);
	}
}

static void retire(struct fib *f, struct group *g)
{
	if (g->left_over || g->lost || g->moving)
		return;
	unindex(f, g);
	g->retired = true;
}

static bool changed_link(struct fib *f, const struct group *g, uint64_t epoch)
{
	for (unsigned i = 0; i < g->n_hops; i++) {
		struct link *k[HOP_LINKS];
		links_of_hop(&f->links, &g->hops[i], k);
		for (unsigned j = 0; j < HOP_LINKS; j++)
			if (k[j] && k[j]->change_epoch == epoch)
				return true;
	}
	return false;
}

static void delete_objects(struct fib *f, struct link *k)
{
	struct link_use *u;

	cds_list_for_each_entry(u, &k->uses, node) if (u->obj->role == NH_PROTECTED && u->obj->id)
	{
		nexthop_put_delete(f, u->obj->id);
		nhobj_gone(f, u->obj);
	}
}

void nexthops_links_changed(struct fib *f)
{
	struct nexthops *nh = &f->nh;
	uint64_t events = atomic_load(&f->links.events);

	if (events == nh->seen_events)
		return;
	nh->seen_events = events;
	nh->epoch++;
	for (unsigned b = 0; b < LINK_BUCKETS; b++)
		for (struct link *k = rcu_dereference(f->links.bucket[b]); k; k = rcu_dereference(k->next)) {
			uint32_t changes = atomic_load(&k->changes), downs = atomic_load(&k->downs);
			if (changes == k->seen_changes)
				continue;
			nhobj_attach_link(f, k);
			k->seen_changes = changes;
			k->change_epoch = nh->epoch;
			link_stale(f, k);
			if (downs == k->seen_downs)
				continue;
			k->seen_downs = downs;
			k->down_epoch = nh->epoch;
			/* The link thread has done so where its plan had them; what it wrote over goes now,
			 * too. */
			delete_objects(f, k);
		}
	batch_flush(&f->ctl, NULL, NULL);
	for (uint32_t i = GROUP_INDEX_PROHIBIT + 1; i < nh->n_groups; i++) {
		struct group *g = nh->groups[i];
		if (!g || !g->key)
			continue;
		drop_gone(f, g);
		if (!changed_link(f, g, nh->epoch))
			continue;
		retire(f, g);
		if (!nh->resilient || g->key->plain)
			update(f, g, true); /* the kernel did nothing by itself */
	}
	batch_flush(&f->ctl, NULL, NULL);
}

void nexthops_restore(struct fib *f)
{
	for (uint32_t i = GROUP_INDEX_PROHIBIT + 1; i < f->nh.n_groups; i++) {
		struct group *g = f->nh.groups[i];
		if (!g || !g->retired || g->lost || g->moving)
			continue;
		g->retired = false;
		g->epoch = f->nh.epoch;
		if (!g->refs)
			continue;
		reindex(f, g);
		update(f, g, false);
		nexthops_publish(f); /* its neighbour may be lost before the last group's turn */
	}
	nexthops_publish(f);
}

static void update_all(struct fib *f, bool in_place, bool (*which)(const struct group *g, uint32_t ifindex),
	uint32_t ifindex)
{
	for (uint32_t i = GROUP_INDEX_PROHIBIT + 1; i < f->nh.n_groups; i++) {
		struct group *g = f->nh.groups[i];
		if (g && g->key && !g->retired && which(g, ifindex)) {
			update(f, g, in_place);
			nexthops_publish(f);
		}
	}
	nexthops_publish(f);
}

static bool on_interface(const struct group *g, uint32_t ifindex)
{
	if (g->dynamic)
		return true;
	for (unsigned i = 0; i < g->n_hops; i++)
		if (g->hops[i].ifindex == ifindex)
			return true;
	return false;
}

static bool is_dynamic(const struct group *g, uint32_t ifindex)
{
	(void)ifindex;
	return g->dynamic;
}

static bool is_absent(const struct group *g, uint32_t ifindex)
{
	(void)ifindex;
	return g->refs && !group_usable(g);
}

void nexthops_drop_gone(struct fib *f)
{
	for (uint32_t i = GROUP_INDEX_PROHIBIT + 1; i < f->nh.n_groups; i++)
		if (f->nh.groups[i])
			drop_gone(f, f->nh.groups[i]);
	batch_flush(&f->ctl, NULL, NULL);
}

/* The kernel has moved the traffic of what it removed with the interface: that is a failover like others. */
void nexthops_iface_changed(struct fib *f, uint32_t ifindex, uint64_t heard_ns)
{
	struct carried before, after;
	struct iface_view v;

	nexthops_links_changed(f);
	before = nexthops_carried(f, ifindex);
	nexthops_verify(f, ifindex);
	after = nexthops_carried(f, ifindex);
	nhobj_port_changed(f, ifindex);
	if (after.objects < before.objects && f->ifaces)
		links_note_interface(&f->links, ifindex,
			!ifaces_by_index(f->ifaces, ifindex, &v) ? "interface removed"
			: v.flags & IFF_UP                       ? "carrier"
								 : "interface down",
			heard_ns, before.groups - after.groups, before.prefixes - after.prefixes);
	update_all(f, false, on_interface, ifindex);
}

static bool is_any(const struct group *g, uint32_t ifindex)
{
	(void)g, (void)ifindex;
	return true;
}

void nexthops_update_all(struct fib *f)
{
	update_all(f, true, is_any, 0);
}

void nexthops_resolution_changed(struct fib *f)
{
	update_all(f, true, is_dynamic, 0);
}

void nexthops_retry(struct fib *f)
{
	update_all(f, false, is_absent, 0);
}

void nexthops_repair_group(struct fib *f, struct group *g)
{
	if (g->lost || g->moving || !g->key)
		return;
	/* As if we knew nothing of its content: it is written in any case. What it had is let go of
	 * afterwards: a group that loses all it has in the kernel goes, and its routes with it. */
	struct group was = {.member = g->member, .n_members = g->n_members, .refs = g->refs, .kept = g->kept};
	g->member = NULL;
	g->n_members = 0;
	update(f, g, true);
	/* Not before: meanwhile a plan may be published, and the kernel's group still has them. */
	account(f, &was, -1);
	if (!g->id)
		group_keep(g, false);
	for (unsigned i = 0; i < was.n_members; i++)
		if (was.member[i].obj)
			nhobj_put(f, was.member[i].obj, false);
	free(was.member);
	batch_flush(&f->ctl, NULL, NULL);
}

void nexthops_lose_group(struct fib *f, struct group *g)
{
	g->id = 0;
	group_keep(g, false); /* nothing is on it any more */
	if (!g->refs) {
		unindex(f, g);
		return;
	}
	unindex(f, g);
	g->lost = true;
	sweep_all(f);
}

void nexthops_drop_left_overs(struct fib *f)
{
	for (uint32_t i = GROUP_INDEX_PROHIBIT + 1; i < f->nh.n_groups; i++) {
		struct group *g = f->nh.groups[i];
		if (g && g->left_over && !g->refs)
			free_group(f, g, false);
	}
	nhobj_drop_left_overs(f);
}

struct group *nexthops_by_id(struct fib *f, uint32_t id)
{
	for (uint32_t i = GROUP_INDEX_PROHIBIT + 1; i < f->nh.n_groups; i++)
		if (f->nh.groups[i] && f->nh.groups[i]->id == id)
			return f->nh.groups[i];
	return NULL;
}

int nexthops_init(struct fib *f)
{
	static const enum group_kind kinds[] = {GROUP_BLACKHOLE, GROUP_UNREACHABLE, GROUP_PROHIBIT};
	struct nexthops *nh = &f->nh;

	memset(nh, 0, sizeof(*nh));
	nh->objs_mask = nh->index_mask = FIRST_INDEX - 1;
	nh->objs = mem_zero(FIRST_INDEX * sizeof(*nh->objs));
	nh->index = mem_zero(FIRST_INDEX * sizeof(*nh->index));
	nh->cap_groups = FIRST_INDEX;
	nh->groups = mem_zero(FIRST_INDEX * sizeof(*nh->groups));
	nh->free_index = mem_zero(FIRST_INDEX * sizeof(*nh->free_index));
	nh->n_groups = 1; /* 0 is a route without a group */
	for (unsigned i = 0; i < 3; i++) {
		struct group *g = new_group(f);
		g->key = mem_zero(sizeof(*g->key));
		g->key->kind = (uint8_t)kinds[i];
	}
	return 0;
}

/* Groups first: objects are in use by them. */
void nexthops_exit(struct fib *f, bool keep)
{
	for (uint32_t i = 1; i < f->nh.n_groups; i++)
		if (f->nh.groups[i])
			free_group(f, f->nh.groups[i], keep);
	if (!keep)
		nhobj_drop_left_overs(f);
	for (uint32_t b = 0; b <= f->nh.objs_mask; b++)
		while (f->nh.objs[b])
			nhobj_put(f, f->nh.objs[b], true);
	batch_flush(&f->ctl, NULL, NULL);
	free(f->nh.objs);
	free(f->nh.index);
	free(f->nh.groups);
	free(f->nh.free_index);
}

struct group *nexthops_add_left_over(
	struct fib *f, uint32_t id, uint16_t buckets, const struct member *m, unsigned n)
{
	struct group *g = new_group(f);

	g->id = id;
	g->buckets = buckets;
	g->left_over = true;
	g->member = mem_grow(NULL, n * sizeof(*m));
	memcpy(g->member, m, n * sizeof(*m));
	g->n_members = n;
	/* As want() makes them: what has a share carries. Its neighbour may be lost before anybody claims it.
	 */
	for (unsigned i = 0; i < n; i++) {
		g->member[i].obj->refs++;
		g->member[i].primary = !buckets || m[i].weight > 1 || i == 0;
	}
	account(f, g, 1);
	return g;
}
