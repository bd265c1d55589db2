/* SPDX-License-Identifier: BSD-2-Clause */
#include "controlplane/fib/nhobj.h"
#include "controlplane/fib/mem.h"
#include "shared/hash.h"
#include <errno.h>
#include <linux/nexthop.h>

/* ---- ids ---- */

uint32_t nexthop_new_id(struct fib *f, unsigned range)
{
	uint32_t first = NH_ID_FIRST + range * NH_ID_RANGE;
	uint32_t *next = &f->nh.next_id[range];

	if (*next < first || *next >= first + NH_ID_RANGE - 1)
		*next = first;
	return (*next)++;
}

void nexthop_put_delete(struct fib *f, uint32_t id)
{
	if (!batch_room(&f->ctl, BATCH_MESSAGE_MAX))
		batch_flush(&f->ctl, NULL, NULL);
	batch_add(&f->ctl, RTM_DELNEXTHOP, 0, sizeof(struct nhmsg));
	batch_put_u32(&f->ctl, NHA_ID, id);
}

/* ---- plans ---- */

void link_stale(struct fib *f, struct link *k)
{
	if (k->plan_stale)
		return;
	k->plan_stale = true;
	k->next_stale = f->nh.stale_links;
	f->nh.stale_links = k;
}

static void links_stale(struct fib *f, struct nhobj *o)
{
	for (unsigned i = 0; i < HOP_LINKS; i++)
		if (o->use[i].link)
			link_stale(f, o->use[i].link);
}

static bool in_plan(const struct nhobj *o)
{
	return o->role == NH_PROTECTED && o->id && atomic_load_explicit(&o->groups, memory_order_relaxed);
}

static void plan_free(struct rcu_head *head)
{
	rcu_callback_begin(head);
	free(caa_container_of(head, struct plan, rcu));
}

static void fill_entry(struct plan_entry *e, struct nhobj *o)
{
	*e = (struct plan_entry){.obj = o, .id = o->id, .family = o->family};
	if (!o->substitute || o->many_substitutes || !o->substitute->id)
		return;
	e->has_substitute = true;
	e->substitute = o->substitute->hop;
	for (unsigned i = 0; i < HOP_LINKS; i++) {
		e->substitute_link[i] = o->substitute->use[i].link;
		if (e->substitute_link[i])
			e->substitute_downs[i] = o->substitute->use[i].link->seen_downs;
	}
}

static void publish(struct link *k)
{
	struct link_use *u;
	struct plan *p, *old;
	unsigned n = 0;

	cds_list_for_each_entry(u, &k->uses, node) n += in_plan(u->obj);
	p = mem_grow(NULL, sizeof(*p) + n * sizeof(p->e[0]));
	p->n = 0;
	cds_list_for_each_entry(u, &k->uses, node) if (in_plan(u->obj)) fill_entry(&p->e[p->n++], u->obj);
	old = rcu_xchg_pointer(&k->plan, p);
	if (old)
		call_rcu(&old->rcu, plan_free);
}

void nexthops_publish(struct fib *f)
{
	do {
		struct link *k;
		while ((k = f->nh.stale_links)) { /* F2 */
			f->nh.stale_links = k->next_stale;
			k->plan_stale = false;
			publish(k);
		}
		atomic_thread_fence(memory_order_seq_cst);
		if (atomic_load(&f->links.events) != f->nh.seen_events) /* F3 */
			nexthops_links_changed(f);
	} while (f->nh.stale_links);
}

/* ---- attachment to links ---- */

static void attach(struct fib *f, struct nhobj *o, unsigned i, struct link *k)
{
	struct link_use *u = &o->use[i];

	if (!k || u->link)
		return;
	u->link = k;
	u->obj = o;
	cds_list_add_tail(&u->node, &k->uses);
	link_stale(f, k);
}

void nhobj_attach_link(struct fib *f, struct link *k)
{
	if (k->attached)
		return;
	k->attached = true;
	for (uint32_t b = 0; b <= f->nh.objs_mask; b++)
		for (struct nhobj *o = f->nh.objs[b]; o; o = o->next) {
			struct link *links[HOP_LINKS];
			links_of_hop(&f->links, &o->hop, links);
			for (unsigned i = 0; i < HOP_LINKS; i++)
				if (links[i] == k)
					attach(f, o, i, k);
		}
}

/* ---- objects ---- */

static uint32_t slot(const struct nexthops *nh, uint8_t family, enum nh_role role, const struct hop *h)
{
	uint64_t x = hash_ipaddr(&h->gw, (uint64_t)h->ifindex << 8 | family << 4 | role << 1 | h->onlink);

	return (uint32_t)(x >> 32) & nh->objs_mask;
}

static bool same_hop(const struct hop *a, const struct hop *b)
{
	return a->ifindex == b->ifindex && a->onlink == b->onlink && ipaddr_equal(&a->gw, &b->gw);
}

static void grow(struct nexthops *nh)
{
	struct nhobj **old = nh->objs;
	uint32_t old_mask = nh->objs_mask;

	nh->objs_mask = old_mask * 2 + 1;
	nh->objs = mem_zero((size_t)(nh->objs_mask + 1) * sizeof(*nh->objs));
	for (uint32_t b = 0; b <= old_mask; b++)
		for (struct nhobj *o = old[b], *next; o; o = next) {
			next = o->next;
			struct nhobj **at = &nh->objs[slot(nh, o->family, o->role, &o->hop)];
			o->next = *at;
			*at = o;
		}
	free(old);
}

/* An object of an earlier run for the same hop is taken over: what it led through is not in it. */
static struct nhobj *find(
	struct fib *f, uint8_t family, enum nh_role role, const struct hop *h, bool *claimed)
{
	struct nhobj *left_over = NULL;

	for (struct nhobj *o = f->nh.objs[slot(&f->nh, family, role, h)]; o; o = o->next) {
		if (o->family != family || o->role != role || !same_hop(&o->hop, h))
			continue;
		if (o->left_over)
			left_over = o;
		else if (ipaddr_equal(&o->hop.owner, &h->owner))
			return o;
	}
	if (left_over) {
		left_over->left_over = false;
		left_over->hop.owner = h->owner;
		*claimed = true;
	}
	return left_over;
}

static struct nhobj *make(struct fib *f, uint8_t family, enum nh_role role, const struct hop *h)
{
	struct nhobj *o = mem_zero(sizeof(*o)), **at;

	if (f->nh.n_objs > f->nh.objs_mask)
		grow(&f->nh);
	o->hop = *h;
	o->hop.weight = 0;
	o->family = family;
	o->role = role;
	at = &f->nh.objs[slot(&f->nh, family, role, h)];
	o->next = *at;
	*at = o;
	f->nh.n_objs++;
	return o;
}

struct nhobj *nhobj_add_left_over(
	struct fib *f, uint8_t family, enum nh_role role, const struct hop *h, uint32_t id)
{
	struct nhobj *o = make(f, family, role, h);

	o->id = id;
	o->left_over = true;
	return o;
}

struct nhobj *nhobj_get(struct fib *f, uint8_t family, enum nh_role role, const struct hop *h)
{
	bool claimed = false;
	struct nhobj *o = find(f, family, role, h, &claimed);
	struct link *links[HOP_LINKS];

	if (!o)
		o = make(f, family, role, h);
	if (!o->refs || claimed) {
		links_of_hop(&f->links, &o->hop, links);
		for (unsigned i = 0; i < HOP_LINKS; i++)
			attach(f, o, i, links[i]);
	}
	o->refs++;
	return o;
}

static void obj_free(struct rcu_head *head)
{
	rcu_callback_begin(head);
	free(caa_container_of(head, struct nhobj, rcu));
}

void nhobj_put(struct fib *f, struct nhobj *o, bool keep)
{
	struct nhobj **at = &f->nh.objs[slot(&f->nh, o->family, o->role, &o->hop)];

	if (o->refs && --o->refs)
		return;
	if (o->id && !keep && !o->kept)
		nexthop_put_delete(f, o->id);
	o->id = 0;
	while (*at != o)
		at = &(*at)->next;
	*at = o->next;
	f->nh.n_objs--;
	/* No plan may name it when its grace period begins. */
	for (unsigned i = 0; i < HOP_LINKS; i++)
		if (o->use[i].link) {
			cds_list_del(&o->use[i].node);
			publish(o->use[i].link);
		}
	call_rcu(&o->rcu, obj_free);
}

void nhobj_gone(struct fib *f, struct nhobj *o)
{
	o->id = 0;
	links_stale(f, o);
}

static void put_create(struct fib *f, const struct nhobj *o, uint32_t id)
{
	struct batch *b = &f->ctl;
	struct nhmsg *m = NLMSG_DATA(batch_add(b, RTM_NEWNEXTHOP, NLM_F_CREATE | NLM_F_EXCL, sizeof(*m)));

	m->nh_family = hop_family(&o->hop, o->family);
	m->nh_protocol = f->o.rtproto;
	m->nh_flags = o->hop.onlink ? RTNH_F_ONLINK : 0;
	batch_put_u32(b, NHA_ID, id);
	if (!ipaddr_is_zero(&o->hop.gw))
		batch_put_addr(b, NHA_GATEWAY, &o->hop.gw);
	batch_put_u32(b, NHA_OIF, o->hop.ifindex);
}

int nhobj_ensure(struct fib *f, struct nhobj *o, char text[BATCH_TEXT])
{
	uint32_t id;
	int rc;

	if (o->id)
		return 0;
	batch_flush(&f->ctl, NULL, NULL);
	do { /* F1 */
		id = nexthop_new_id(f, o->role * 2 + (o->family == 6));
		put_create(f, o, id);
		rc = batch_flush_simple(&f->ctl, text);
	} while (rc == -EEXIST); /* somebody else's number */
	o->error = rc;
	if (rc == 0) {
		o->id = id;
		links_stale(f, o);
	}
	return rc;
}

void nhobj_account(struct fib *f, struct nhobj *o, int sign, uint32_t routes, struct nhobj *substitute)
{
	uint32_t groups = atomic_load_explicit(&o->groups, memory_order_relaxed);
	uint64_t prefixes = atomic_load_explicit(&o->prefixes, memory_order_relaxed);

	if (sign > 0) {
		if (!groups) {
			o->substitute = substitute;
			o->many_substitutes = !substitute;
			links_stale(f, o);
		} else if (!o->many_substitutes && o->substitute != substitute) {
			o->many_substitutes = true;
			links_stale(f, o);
		}
		groups++;
		prefixes += routes;
	} else {
		groups--;
		prefixes -= routes;
		if (!groups) {
			o->substitute = NULL;
			o->many_substitutes = false;
			links_stale(f, o);
		}
	}
	atomic_store_explicit(&o->groups, groups, memory_order_relaxed);
	atomic_store_explicit(&o->prefixes, prefixes, memory_order_relaxed);
}

struct carried nexthops_carried(struct fib *f, uint32_t ifindex)
{
	struct carried c = {0};

	for (uint32_t b = 0; b <= f->nh.objs_mask; b++)
		for (const struct nhobj *o = f->nh.objs[b]; o; o = o->next) {
			if (o->hop.ifindex != ifindex || !in_plan(o))
				continue;
			c.objects++;
			c.groups += atomic_load_explicit(&o->groups, memory_order_relaxed);
			c.prefixes += atomic_load_explicit(&o->prefixes, memory_order_relaxed);
		}
	return c;
}

void nhobj_drop_left_overs(struct fib *f)
{
	for (uint32_t b = 0; b <= f->nh.objs_mask; b++)
		for (struct nhobj *o = f->nh.objs[b], *next; o; o = next) {
			next = o->next;
			if (o->left_over && !o->refs)
				nhobj_put(f, o, false);
		}
	batch_flush(&f->ctl, NULL, NULL);
}
