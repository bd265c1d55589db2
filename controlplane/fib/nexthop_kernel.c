/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Nexthop objects as the kernel has them: what it can do, what an earlier run
 * left, and whether it still agrees with us.
 */
#include "controlplane/fib/mem.h"
#include "controlplane/fib/nhobj.h"
#include <errno.h>
#include <linux/nexthop.h>

struct kernel_nh {
	uint32_t id;
	bool group, onlink;
	uint8_t role, family; /* from the id's range */
	struct hop hop;
	uint16_t buckets;
	unsigned n;
	uint32_t *member; /* ids */
	uint16_t *weight;
};

struct stock {
	struct fib *f;
	struct kernel_nh *e;
	unsigned n, cap;
};

static void parse_group(struct kernel_nh *k, struct nlattr **tb)
{
	const struct nexthop_grp *g = nla_data(tb[NHA_GROUP]);
	struct nlattr *res[NHA_RES_GROUP_MAX + 1];

	k->group = true;
	k->n = (unsigned)nla_len(tb[NHA_GROUP]) / sizeof(*g);
	k->member = mem_grow(NULL, k->n * sizeof(*k->member));
	k->weight = mem_grow(NULL, k->n * sizeof(*k->weight));
	for (unsigned i = 0; i < k->n; i++) {
		k->member[i] = g[i].id;
		k->weight[i] = (uint16_t)(g[i].weight + 1);
	}
	if (tb[NHA_RES_GROUP] && nla_parse_nested(res, NHA_RES_GROUP_MAX, tb[NHA_RES_GROUP], NULL) == 0 &&
		res[NHA_RES_GROUP_BUCKETS])
		k->buckets = nla_get_u16(res[NHA_RES_GROUP_BUCKETS]);
}

static int take(void *arg, struct nlmsghdr *h)
{
	struct stock *s = arg;
	const struct nhmsg *m = nlmsg_data(h);
	struct nlattr *tb[NHA_MAX + 1];
	struct kernel_nh k = {0};
	unsigned range;

	if (h->nlmsg_type != RTM_NEWNEXTHOP || !nlmsg_valid_hdr(h, sizeof(*m)) ||
		nlmsg_parse(h, sizeof(*m), tb, NHA_MAX, NULL) < 0 || !tb[NHA_ID])
		return 0;
	k.id = nla_get_u32(tb[NHA_ID]);
	if (!nexthop_id_is_ours(k.id) || m->nh_protocol != s->f->o.rtproto)
		return 0;
	range = (k.id - NH_ID_FIRST) / NH_ID_RANGE;
	k.role = range / 2;
	k.family = range & 1 ? 6 : 4;
	if (tb[NHA_GROUP])
		parse_group(&k, tb);
	k.hop.gw = netlink_attr_addr(tb[NHA_GATEWAY]);
	k.hop.ifindex = tb[NHA_OIF] ? nla_get_u32(tb[NHA_OIF]) : 0;
	k.hop.onlink = m->nh_flags & RTNH_F_ONLINK;
	if (s->n == s->cap) {
		s->cap = s->cap ? s->cap * 2 : 64;
		s->e = mem_grow(s->e, s->cap * sizeof(*s->e));
	}
	s->e[s->n++] = k;
	return 0;
}

static int by_id(const void *a, const void *b)
{
	uint32_t x = ((const struct kernel_nh *)a)->id, y = ((const struct kernel_nh *)b)->id;

	return x < y ? -1 : x > y;
}

static void empty(struct stock *s)
{
	for (unsigned i = 0; i < s->n; i++) {
		free(s->e[i].member);
		free(s->e[i].weight);
	}
	free(s->e);
	s->e = NULL;
	s->n = s->cap = 0;
}

/* Everything of ours, by id. */
static int read_stock(struct fib *f, struct stock *s)
{
	const struct nhmsg all = {0};
	int rc;

	*s = (struct stock){.f = f};
	for (int tries = 0; tries < 5; tries++) {
		empty(s);
		rc = netlink_dump(f->ask, RTM_GETNEXTHOP, &all, sizeof(all), take, s);
		if (rc != -EINTR)
			break;
	}
	if (rc < 0) {
		empty(s);
		return rc;
	}
	if (s->n)
		qsort(s->e, s->n, sizeof(*s->e), by_id);
	return 0;
}

static struct kernel_nh *find(const struct stock *s, uint32_t id)
{
	struct kernel_nh key = {.id = id};

	return s->n ? bsearch(&key, s->e, s->n, sizeof(key), by_id) : NULL;
}

/* ---- abilities ---- */

int nexthops_probe(struct fib *f)
{
	struct batch *b = &f->ctl;
	uint32_t object = NH_ID_LAST - 1, group = NH_ID_LAST;
	struct nexthop_grp member = {.id = object};
	uint16_t type = NEXTHOP_GRP_TYPE_RES, buckets = 1;
	struct nhmsg *m;
	int rc;

	m = NLMSG_DATA(batch_add(b, RTM_NEWNEXTHOP, NLM_F_CREATE | NLM_F_REPLACE, sizeof(*m)));
	m->nh_family = AF_INET;
	m->nh_protocol = f->o.rtproto;
	batch_put_u32(b, NHA_ID, object);
	batch_put(b, NHA_BLACKHOLE, NULL, 0);
	rc = batch_flush_simple(b, NULL);
	if (rc == -EPERM)
		return rc;
	f->nh.objects = rc == 0;
	if (rc < 0)
		return 0;
	m = NLMSG_DATA(batch_add(b, RTM_NEWNEXTHOP, NLM_F_CREATE | NLM_F_REPLACE, sizeof(*m)));
	m->nh_protocol = f->o.rtproto;
	batch_put_u32(b, NHA_ID, group);
	batch_put(b, NHA_GROUP, &member, sizeof(member));
	batch_put(b, NHA_GROUP_TYPE, &type, sizeof(type));
	struct nlattr *nest = batch_nest(b, NHA_RES_GROUP | NLA_F_NESTED);
	batch_put(b, NHA_RES_GROUP_BUCKETS, &buckets, sizeof(buckets));
	batch_nest_end(b, nest);
	f->nh.resilient = batch_flush_simple(b, NULL) == 0;
	nexthop_put_delete(f, group);
	nexthop_put_delete(f, object);
	batch_flush(b, NULL, NULL);
	return 0;
}

/* ---- an earlier run ---- */

static void adopt(struct fib *f, const struct stock *s)
{
	struct nhobj **obj = mem_zero((s->n ? s->n : 1) * sizeof(*obj));
	struct member m[MEMBERS_MAX];

	for (unsigned i = 0; i < s->n; i++) {
		const struct kernel_nh *k = &s->e[i];
		uint32_t *next = &f->nh.next_id[(k->id - NH_ID_FIRST) / NH_ID_RANGE];
		if (k->id >= *next)
			*next = k->id + 1;
		if (!k->group && k->role <= NH_STANDBY)
			obj[i] = nhobj_add_left_over(f, k->family, k->role, &k->hop, k->id);
	}
	for (unsigned i = 0; i < s->n; i++) {
		const struct kernel_nh *k = &s->e[i];
		unsigned n = 0;
		for (unsigned j = 0; k->group && j < k->n && n < MEMBERS_MAX; j++) {
			const struct kernel_nh *o = find(s, k->member[j]);
			if (o && obj[o - s->e])
				m[n++] = (struct member){.obj = obj[o - s->e], .weight = k->weight[j]};
		}
		if (k->group)
			nexthops_add_left_over(f, k->id, k->buckets, m, n);
	}
	free(obj);
}

static void remove_all(struct fib *f, const struct stock *s)
{
	/* Groups have the higher ids. */
	for (unsigned i = s->n; i-- > 0;)
		nexthop_put_delete(f, s->e[i].id);
	batch_flush(&f->ctl, NULL, NULL);
}

int nexthops_take_stock(struct fib *f, bool keep)
{
	struct stock s;
	int rc = read_stock(f, &s);

	if (rc < 0)
		return rc;
	if (keep)
		adopt(f, &s);
	else
		remove_all(f, &s);
	empty(&s);
	return 0;
}

/* ---- agreement ---- */

static bool same_object(const struct nhobj *o, const struct kernel_nh *k)
{
	return !k->group && o->hop.ifindex == k->hop.ifindex && o->hop.onlink == k->hop.onlink &&
	       ipaddr_equal(&o->hop.gw, &k->hop.gw);
}

static bool same_group(const struct group *g, const struct kernel_nh *k)
{
	if (!k->group || k->n != g->n_members || k->buckets != g->buckets)
		return false;
	for (unsigned i = 0; i < k->n; i++)
		if (k->member[i] != g->member[i].obj->id || k->weight[i] != g->member[i].weight)
			return false;
	return true;
}

static unsigned verify_objects(struct fib *f, const struct stock *s, uint32_t ifindex)
{
	unsigned n = 0;

	for (uint32_t b = 0; b <= f->nh.objs_mask; b++)
		for (struct nhobj *o = f->nh.objs[b]; o; o = o->next) {
			struct kernel_nh *k;
			if (!o->id || (ifindex && o->hop.ifindex != ifindex))
				continue;
			k = find(s, o->id);
			if (k)
				k->role = UINT8_MAX; /* known */
			if (k && same_object(o, k))
				continue;
			n++;
			if (k)
				nexthop_put_delete(f, o->id); /* somebody wrote over it */
			nhobj_gone(f, o);
		}
	batch_flush(&f->ctl, NULL, NULL);
	nexthops_drop_gone(f);
	return n;
}

/* ifindex: an interface's event; what is missing there is the kernel's doing, and the rest is not looked at.
 */
unsigned nexthops_verify(struct fib *f, uint32_t ifindex)
{
	struct stock s;
	unsigned n;

	if (!f->nh.objects)
		return 0;
	nexthops_links_changed(f);
	if (read_stock(f, &s) < 0) {
		f->resync_wanted = true;
		return 0;
	}
	n = verify_objects(f, &s, ifindex);
	for (uint32_t i = GROUP_INDEX_PROHIBIT + 1; !ifindex && i < f->nh.n_groups; i++) {
		struct group *g = f->nh.groups[i];
		struct kernel_nh *k;
		if (!g || !g->id)
			continue;
		k = find(&s, g->id);
		if (k)
			k->role = UINT8_MAX;
		if (k && same_group(g, k))
			continue;
		/* The loss of a link may have come between the dump and now. */
		if (atomic_load(&f->links.events) != f->nh.seen_events)
			break;
		n++;
		if (!k)
			nexthops_lose_group(f, g);
		else
			nexthops_repair_group(f, g);
	}
	for (unsigned i = s.n; !ifindex && i-- > 0;)
		if (s.e[i].role != UINT8_MAX && s.e[i].id < NH_ID_LAST - 1 && !nexthops_by_id(f, s.e[i].id)) {
			n++;
			nexthop_put_delete(
				f, s.e[i].id); /* in our range, with our number, and nobody knows it */
		}
	batch_flush(&f->ctl, NULL, NULL);
	empty(&s);
	if (!ifindex && n)
		nexthops_update_all(f);
	nexthops_publish(f);
	return n;
}
