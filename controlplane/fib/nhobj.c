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

static void fill_entry(struct plan_entry *e, struct nhobj *o, const struct link *k)
{
	*e = (struct plan_entry){.obj = o, .id = o->id, .family = o->family};
	/* A recursive owner's loss says nothing of the gateway, and that is what a packet shows. */
	if (o->redirected && ipaddr_equal(&k->addr, &o->hop.gw))
		e->slot = o->slot;
	if (!o->substitute || !o->substitute->id)
		return;
	e->has_substitute = true;
	e->substitute = o->substitute->hop;
	for (unsigned i = 0; i < HOP_LINKS; i++) {
		e->substitute_link[i] = o->substitute->use[i].link;
		if (e->substitute_link[i])
			e->substitute_downs[i] = o->substitute->use[i].link->seen_downs;
	}
}

static uint32_t bucket(const struct nexthops *nh, uint8_t family, enum nh_role role, const struct hop *h)
{
	uint64_t x = hash_ipaddr(&h->gw, (uint64_t)h->ifindex << 8 | family << 4 | role << 1 | h->onlink);

	return (uint32_t)(x >> 32) & nh->objs_mask;
}

static bool same_hop(const struct hop *a, const struct hop *b)
{
	return a->ifindex == b->ifindex && a->onlink == b->onlink && ipaddr_equal(&a->gw, &b->gw);
}

static struct nhobj **nhobj_chain(struct fib *f, const struct nhobj *o, enum nh_role role)
{
	return &f->nh.objs[bucket(&f->nh, o->family, role, &o->hop)];
}

/* ---- redirection: redirect.h ---- */

static bool leads_there(const struct nhobj *x, const struct nhobj *o, enum nh_role role)
{
	return x != o && x->family == o->family && x->role == role && same_hop(&x->hop, &o->hop);
}

/* Nothing else leads to the same gateway: one that is recursive over it may live on when this is lost. */
static bool alone(struct fib *f, const struct nhobj *o)
{
	for (const struct nhobj *x = *nhobj_chain(f, o, NH_PROTECTED); x; x = x->next)
		if (leads_there(x, o, NH_PROTECTED) && in_plan(x))
			return false;
	return true;
}

/* Routes that have nobody else lead to it, too: they must not follow its substitute. */
static bool sole_way(struct fib *f, const struct nhobj *o)
{
	for (const struct nhobj *x = *nhobj_chain(f, o, NH_STANDBY); x; x = x->next)
		if (leads_there(x, o, NH_STANDBY) && x->sole)
			return true;
	return false;
}

/* The kernel's redirection takes off an Ethernet header and checks no size; and of a port in another VRF the
 * table would be asked that is its own. */
static bool fits(struct fib *f, uint32_t from, uint32_t to)
{
	struct iface_view a, b;

	return !f->ifaces || (ifaces_by_index(f->ifaces, from, &a) && ifaces_by_index(f->ifaces, to, &b) &&
				     a.ethernet && b.ethernet && b.mtu >= a.mtu && a.master == b.master);
}

static void no_redirection(struct fib *f, struct nhobj *o)
{
	if (!o->redirected)
		return;
	o->redirected = false;
	redirect_unset(f->redirect, o->family, &o->hop);
	redirect_clear(f->redirect, o->slot);
}

/* Where its packets can go at once when it is lost. */
static bool redirection(struct fib *f, const struct nhobj *o, uint32_t *port, struct ipaddr *gw)
{
	*port = o->other_port;
	*gw = (struct ipaddr){0};
	if (!f->redirect || !in_plan(o) || !*port || ipaddr_is_zero(&o->hop.gw) || !alone(f, o) ||
		!fits(f, o->hop.ifindex, *port))
		return false;
	/* Asked for a port, the kernel's IPv6 table names the first member of a group, wherever that is. */
	if (o->family == 4 && *port != o->hop.ifindex)
		return true;
	if (!o->substitute || sole_way(f, o))
		return false;
	*gw = o->substitute->hop.gw;
	return !ipaddr_is_zero(gw);
}

static void follow_redirection(struct fib *f, struct nhobj *o)
{
	struct ipaddr gw;
	uint32_t port;
	bool ok = redirection(f, o, &port, &gw);

	if (ok && o->redirected && o->redirected_port == port && ipaddr_equal(&o->redirected_gw, &gw))
		return;
	if (ok && !o->slot)
		o->slot = redirect_slot(f->redirect);
	if (!ok || !o->slot) {
		no_redirection(f, o);
		return;
	}
	/* It comes into a plan anew, alive: what a loss before that has left is over. */
	if (!o->redirected)
		redirect_clear(f->redirect, o->slot);
	if (redirect_port(f->redirect, o->hop.ifindex) < 0 || redirect_port(f->redirect, port) < 0 ||
		redirect_set(f->redirect, o->slot, o->family, &o->hop, port,
			ipaddr_is_zero(&gw) ? NULL : &gw) < 0) {
		no_redirection(f, o);
		return;
	}
	o->redirected = true;
	o->redirected_port = port;
	o->redirected_gw = gw;
}

static void reconsider(struct fib *f, struct nhobj *o)
{
	if (o->redirected && !redirection(f, o, &(uint32_t){0}, &(struct ipaddr){0}))
		no_redirection(f, o);
	links_stale(f, o);
}

/* Somebody else leads to the same gateway from now on, or no longer does. */
static void reconsider_redirections(struct fib *f, const struct nhobj *o)
{
	for (struct nhobj *x = *nhobj_chain(f, o, NH_PROTECTED); x; x = x->next)
		if (leads_there(x, o, NH_PROTECTED))
			reconsider(f, x);
}

void nhobj_port_changed(struct fib *f, uint32_t ifindex)
{
	if (!f->redirect)
		return;
	redirect_port_changed(f->redirect, ifindex);
	for (uint32_t b = 0; b <= f->nh.objs_mask; b++)
		for (struct nhobj *o = f->nh.objs[b]; o; o = o->next)
			if (o->role == NH_PROTECTED &&
				(o->hop.ifindex == ifindex || o->other_port == ifindex ||
					o->redirected_port == ifindex))
				reconsider(f, o);
}

static void publish(struct fib *f, struct link *k)
{
	struct link_use *u;
	struct plan *p, *old;
	unsigned n = 0;

	cds_list_for_each_entry(u, &k->uses, node)
	{
		follow_redirection(f, u->obj);
		n += in_plan(u->obj);
	}
	p = mem_grow(NULL, sizeof(*p) + n * sizeof(p->e[0]));
	p->n = 0;
	cds_list_for_each_entry(u, &k->uses, node) if (in_plan(u->obj)) fill_entry(&p->e[p->n++], u->obj, k);
	old = rcu_xchg_pointer(&k->plan, p);
	if (old)
		call_rcu(&old->rcu, plan_free);
}

/* A loss may have been written down after its entry was gone, or when it had come back already, by a link
 * thread that had the plan before. When none is at work and we have seen all of them, none is left. */
void nhobj_settle_redirections(struct fib *f)
{
	bool quiet;

	if (!f->redirect || !redirect_active(f->redirect))
		return;
	quiet = !atomic_load(&f->links.urgent) && atomic_load(&f->links.events) == f->nh.seen_events;
	for (uint32_t b = 0; b <= f->nh.objs_mask; b++)
		for (const struct nhobj *o = f->nh.objs[b]; o; o = o->next)
			if (o->slot && (quiet || !o->redirected))
				redirect_clear(f->redirect, o->slot);
}

void nexthops_publish(struct fib *f)
{
	do {
		struct link *k;
		while ((k = f->nh.stale_links)) { /* F2 */
			f->nh.stale_links = k->next_stale;
			k->plan_stale = false;
			publish(f, k);
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

static void grow(struct nexthops *nh)
{
	struct nhobj **old = nh->objs;
	uint32_t old_mask = nh->objs_mask;

	nh->objs_mask = old_mask * 2 + 1;
	nh->objs = mem_zero((size_t)(nh->objs_mask + 1) * sizeof(*nh->objs));
	for (uint32_t b = 0; b <= old_mask; b++)
		for (struct nhobj *o = old[b], *next; o; o = next) {
			next = o->next;
			struct nhobj **at = &nh->objs[bucket(nh, o->family, o->role, &o->hop)];
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

	for (struct nhobj *o = f->nh.objs[bucket(&f->nh, family, role, h)]; o; o = o->next) {
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
	at = &f->nh.objs[bucket(&f->nh, family, role, h)];
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
	struct nhobj *o = caa_container_of(head, struct nhobj, rcu);

	rcu_callback_begin(head);
	free(o->rest);
	free(o);
}

void nhobj_put(struct fib *f, struct nhobj *o, bool keep)
{
	struct nhobj **at = &f->nh.objs[bucket(&f->nh, o->family, o->role, &o->hop)];

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
			publish(f, o->use[i].link);
		}
	if (f->redirect) {
		no_redirection(f, o);
		if (o->slot)
			redirect_slot_free(f->redirect, o->slot);
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
		if (f->redirect)
			reconsider_redirections(f, o);
	}
	return rc;
}

/* One substitute, and one port, for all groups? */
static void look_at_rest(struct fib *f, struct nhobj *o)
{
	struct nhobj *substitute = o->n_rest ? o->rest[0].substitute : NULL;
	uint32_t port = PORT_NONE;

	for (unsigned i = 0; i < o->n_rest && (substitute || port); i++) {
		const struct rest *r = &o->rest[i];
		if (r->substitute != substitute)
			substitute = NULL;
		if (r->port != PORT_NONE && r->port != port)
			port = port == PORT_NONE ? r->port : 0;
	}
	if (port == PORT_NONE)
		port = 0;
	if (substitute == o->substitute && port == o->other_port)
		return;
	o->substitute = substitute;
	o->other_port = port;
	links_stale(f, o);
}

static void count_rest(struct nhobj *o, int sign, struct nhobj *substitute, uint32_t port)
{
	unsigned i = 0;

	while (i < o->n_rest && (o->rest[i].substitute != substitute || o->rest[i].port != port))
		i++;
	if (i == o->n_rest) {
		if (o->n_rest == o->cap_rest) {
			o->cap_rest = o->cap_rest ? o->cap_rest * 2 : 1;
			o->rest = mem_grow(o->rest, o->cap_rest * sizeof(*o->rest));
		}
		o->rest[o->n_rest++] = (struct rest){.substitute = substitute, .port = port};
	}
	o->rest[i].groups += (uint32_t)sign;
	if (!o->rest[i].groups)
		o->rest[i] = o->rest[--o->n_rest];
}

void nhobj_account(
	struct fib *f, struct nhobj *o, int sign, uint32_t routes, struct nhobj *substitute, uint32_t port)
{
	uint32_t groups = atomic_load_explicit(&o->groups, memory_order_relaxed) + (uint32_t)sign;
	uint64_t prefixes = atomic_load_explicit(&o->prefixes, memory_order_relaxed) +
			    (sign > 0 ? routes : -(uint64_t)routes);

	count_rest(o, sign, substitute, port);
	atomic_store_explicit(&o->groups, groups, memory_order_relaxed);
	atomic_store_explicit(&o->prefixes, prefixes, memory_order_relaxed);
	look_at_rest(f, o);
	if (groups != (sign > 0)) /* neither its first nor its last */
		return;
	links_stale(f, o);
	if (f->redirect)
		reconsider_redirections(f, o);
}

void nhobj_account_sole(struct fib *f, struct nhobj *o, int sign)
{
	o->sole += (unsigned)sign;
	if (f->redirect && o->sole == (sign > 0))
		reconsider_redirections(f, o);
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
