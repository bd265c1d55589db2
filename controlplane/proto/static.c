/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `protocol static`: routes from the configuration file, as long as their next
 * hops can be reached: the gateway is on a connected network of an interface
 * that is up (with `check link`: has carrier) and, with `bfd`, its session is
 * Up. A multipath route keeps the next hops that are left.
 */
#include "controlplane/proto/static.h"
#include "controlplane/bfd/bfd_client.h"
#include "controlplane/config/arena.h"
#include "controlplane/fib/fib.h"
#include "controlplane/proto/origin.h"
#include "shared/rcu.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MAX_HOPS 64u

/* One BFD session that next hops of this protocol ask for. */
struct hop_session {
	struct hop_session *next;
	struct proto *proto;
	struct ipaddr via;
	uint32_t ifindex;
	struct bfd_request *request;
	bool up;
	bool used; /* mark of the last look */
};

struct static_proto {
	struct origin_set announced;
	struct hop_session *sessions;
	struct filter_vm *vm;
	bool has_next_hops; /* some route depends on interfaces */
};

static void look(struct proto *p);

struct hop_event {
	struct daemon *daemon;
	const struct hop_session *session; /* compared only: it may be gone */
	bool up;
};

static void session_changed(void *arg)
{
	struct hop_event *e = arg;
	struct proto *p;

	cds_list_for_each_entry(p, &e->daemon->protos, node)
	{
		struct static_proto *s = p->data;
		struct hop_session *h;

		if (p->ops != &static_ops || !s)
			continue;
		for (h = s->sessions; h && h != e->session; h = h->next)
			;
		if (h && h->up != e->up) {
			h->up = e->up;
			if (p->state == PS_UP)
				look(p);
			break;
		}
	}
	free(e);
}

/* Link thread: only posts. */
static void session_event(
	void *ctx, enum bfd_event ev, uint8_t diag, bool cbit, const struct bfd_stamps *t, const char *text)
{
	struct hop_session *h = ctx;
	struct hop_event *e;

	(void)diag, (void)cbit, (void)t, (void)text;
	/* A dataplane that has gone says nothing about the neighbour. */
	if (ev == BFD_EVENT_UNKNOWN)
		return;
	e = malloc(sizeof(*e));
	if (!e)
		abort();
	*e = (struct hop_event){h->proto->daemon, h, ev == BFD_EVENT_UP};
	loop_call(h->proto->daemon->main, session_changed, e);
}

static bool bfd_alive(
	struct proto *p, const struct ipaddr *via, const struct iface_view *v, const struct ipaddr *local)
{
	struct static_proto *s = p->data;
	struct bfd_request_config rc;
	struct hop_session *h;

	for (h = s->sessions; h; h = h->next)
		if (ipaddr_equal(&h->via, via) && h->ifindex == v->ifindex) {
			h->used = true;
			return h->up;
		}
	h = calloc(1, sizeof(*h));
	if (!h)
		abort();
	*h = (struct hop_session){
		.next = s->sessions, .proto = p, .via = *via, .ifindex = v->ifindex, .used = true};
	s->sessions = h;
	rc = (struct bfd_request_config){
		.key = {.local = *local, .remote = *via, .ifindex = v->ifindex, .kind = BFD_KIND_SINGLEHOP},
		.ifname = v->name,
		.event = session_event,
		.ctx = h,
	};
	h->request = bfd_request_open(p->daemon->bfd, &rc);
	return false;
}

static void sessions_sweep(struct static_proto *s, bool all)
{
	struct hop_session **at = &s->sessions, *h;

	while ((h = *at) != NULL) {
		if (h->used && !all) {
			at = &h->next;
			continue;
		}
		*at = h->next;
		if (h->request)
			bfd_request_close(h->request);
		free(h);
	}
}

static bool iface_usable(const struct static_config *cf, const struct iface_view *v)
{
	return cf->check_link ? v->up : (v->flags & IFF_UP) != 0;
}

/* The interface of a next hop and our address there; false when there is none now. */
static bool find_iface(
	struct daemon *d, const struct static_nexthop *s, struct iface_view *v, struct ipaddr *local)
{
	struct ifaces *ifs = d->ifaces;

	if (!s->ifname)
		return ifaces_for_neighbor(ifs, &s->via, v, local);
	if (!ifaces_by_name(ifs, s->ifname, v))
		return false;
	if (ipaddr_is_zero(&s->via))
		return true;
	return ifaces_neighbor_on(ifs, &s->via, v->ifindex, local) || s->onlink;
}

/* Fills nh; false when the next hop cannot be used now. */
static bool resolve(struct proto *p, const struct static_nexthop *s, struct attr_nexthop *nh)
{
	const struct static_config *cf = p->cf->body;
	struct iface_view v;
	struct ipaddr local = {0};

	if (!find_iface(p->daemon, s, &v, &local) || !iface_usable(cf, &v))
		return false;
	*nh = (struct attr_nexthop){.gw = s->via,
		.ifindex = v.ifindex,
		.weight = s->weight ? s->weight : 1,
		.flags = s->onlink ? NH_ONLINK : 0};
	if (s->use_bfd && !ipaddr_is_zero(&s->via))
		return bfd_alive(p, &s->via, &v, &local);
	return true;
}

/* The heavier first, then by address: as BIRD keeps them, so that equal routes are equal whatever the order
 * in the file. */
static int hop_order(const void *a, const void *b)
{
	const struct attr_nexthop *x = a, *y = b;
	int c;

	if (x->weight != y->weight)
		return x->weight > y->weight ? -1 : 1;
	c = ipaddr_cmp(&x->gw, &y->gw);
	return c ? c : x->ifindex < y->ifindex ? -1 : x->ifindex > y->ifindex;
}

static uint32_t route_attrs(
	struct proto *p, struct proto_channel *c, const struct static_route *r, bool *usable)
{
	struct static_proto *s = p->data;
	struct attr_nexthop nh[MAX_HOPS];
	struct attr_extra providers = {.id = ATTR_EXTRA_ASPA_PROVIDERS, .type = T_CLIST};
	struct attrs a = {.preference = c->cf->preference,
			     .dest = r->dest,
			     .scope = SCOPE_UNIVERSE,
			     .nexthop = nh},
		     edited;
	uint8_t labels[3 * 8];
	struct attr_extra stack = {.id = ATTR_EXTRA_LABELS, .type = T_BYTESTRING, .data = labels};
	bool changed = false;

	*usable = false;
	if (r->recursive) {
		a.dest = RTD_UNICAST;
		a.n_nexthop = 1;
		nh[0] = (struct attr_nexthop){.gw = r->via_recursive, .weight = 1, .flags = NH_RECURSIVE};
	} else if (r->dest == RTD_UNICAST) {
		for (const struct static_nexthop *h = r->nexthops; h && a.n_nexthop < MAX_HOPS; h = h->next)
			if (resolve(p, h, &nh[a.n_nexthop]))
				a.n_nexthop++;
		if (!a.n_nexthop)
			return 0;
		qsort(nh, a.n_nexthop, sizeof(*nh), hop_order);
	}
	if (r->net.type == NET_ASPA) {
		providers.len = (uint16_t)(r->n_providers * sizeof(*r->providers));
		providers.data = r->providers;
		a.extra = &providers;
		a.n_extra = 1;
	}
	if (net_type_has_nlri(r->net.type) && r->nexthops && r->nexthops->n_labels) {
		const struct static_nexthop *h = r->nexthops;

		for (unsigned i = 0; i < h->n_labels; i++) {
			uint32_t v = htonl(h->label[i] << 12 | (i + 1 == h->n_labels) << 8);

			memcpy(labels + 3 * i, &v, 3);
		}
		stack.len = (uint16_t)(3 * h->n_labels);
		a.extra = &stack;
		a.n_extra = 1;
	}
	if (r->actions) {
		const struct filter_route fr = {
			.net = &r->net, .attrs = &a, .proto_name = p->cf->name, .source = RTS_STATIC};
		enum filter_verdict verdict;

		rcu_read_lock(); /* it may ask a ROA table */
		verdict = filter_run(s->vm, r->actions, &fr, &changed, &edited);
		rcu_read_unlock();
		if (verdict != FILTER_ACCEPT)
			return 0;
	}
	*usable = true;
	return attrs_intern(changed ? &edited : &a);
}

static void look(struct proto *p)
{
	const struct static_config *cf = p->cf->body;
	struct static_proto *s = p->data;
	struct proto_channel *c = cds_list_first_entry(&p->channels, struct proto_channel, node);
	struct origin_set wanted = {0};
	struct hop_session *h;

	/* Stopped, and its routes are still on their way out: another configuration is for the next start. */
	if (!c->source)
		return;
	for (h = s->sessions; h; h = h->next)
		h->used = false;
	s->has_next_hops = false;
	for (const struct static_route *r = cf->routes; r; r = r->next) {
		bool usable;
		uint32_t id = route_attrs(p, c, r, &usable);

		if (usable)
			origin_add(&wanted, &r->net, 0, id);
		s->has_next_hops |= r->nexthops != NULL;
	}
	sessions_sweep(s, false);
	origin_number(&wanted);
	origin_sync(c->source, &s->announced, &wanted);
}

void static_view(struct proto *p, struct arena *a, struct static_view *out)
{
	const struct static_proto *s = p->data;
	unsigned n = 0;

	*out = (struct static_view){.up = p->state == PS_UP};
	for (const struct hop_session *h = s ? s->sessions : NULL; h; h = h->next)
		n++;
	out->session = arena_alloc(a, (n + 1) * sizeof(*out->session));
	for (const struct hop_session *h = s ? s->sessions : NULL; h; h = h->next)
		out->session[out->n++] = (struct static_session){h->via, h->ifindex, h->up};
}

bool static_hop_dormant(struct daemon *d, const struct static_config *cf, const struct static_nexthop *h,
	const struct static_view *view)
{
	struct iface_view v;
	struct ipaddr local;

	if (!view->up || !find_iface(d, h, &v, &local) || !iface_usable(cf, &v))
		return true;
	if (!h->use_bfd || ipaddr_is_zero(&h->via))
		return false;
	for (unsigned i = 0; i < view->n; i++)
		if (ipaddr_equal(&view->session[i].via, &h->via) && view->session[i].ifindex == v.ifindex)
			return !view->session[i].up;
	return true;
}

void static_ifaces_changed(struct daemon *d)
{
	struct proto *p;

	cds_list_for_each_entry(p, &d->protos, node)
	{
		const struct static_proto *s = p->data;

		if (p->ops == &static_ops && p->state == PS_UP && s && s->has_next_hops)
			look(p);
	}
}

static int static_start(struct proto *p)
{
	const struct static_config *cf = p->cf->body;
	struct rib_source_config sc = {.source = RTS_STATIC};
	struct static_proto *s = p->data;
	struct proto_channel *c;
	int rc;

	if (cds_list_empty(&p->channels)) { /* a family that is not run: said when it was read */
		proto_set_state(p, PS_UP);
		return 0;
	}
	c = cds_list_first_entry(&p->channels, struct proto_channel, node);
	if (!s) {
		s = calloc(1, sizeof(*s));
		if (!s)
			return -ENOMEM;
		s->vm = filter_vm_create();
		p->data = s;
	}
	if (cf->igp_table)
		sc.igp_table = rib_table_find(p->daemon->rib, cf->igp_table->name);
	rc = proto_channel_open(c, &sc);
	if (rc < 0)
		return rc;
	proto_set_state(p, PS_UP);
	look(p);
	return 0;
}

static void static_stop(struct proto *p, const char *message)
{
	struct static_proto *s = p->data;

	(void)message;
	if (s) {
		sessions_sweep(s, true);
		origin_clear(&s->announced);
	}
	proto_set_state(p, PS_DOWN);
}

static void static_reconfigure(struct proto *p, const struct proto_config *old, uint32_t change)
{
	(void)old;
	if (cds_list_empty(&p->channels))
		return;
	proto_channels_reconfigure(p, change);
	if (change & ~PROTO_SOFT)
		look(p);
}

static void static_destroy(struct proto *p)
{
	struct static_proto *s = p->data;

	filter_vm_destroy(s->vm);
	free(s);
}

const struct proto_ops static_ops = {
	.type = PROTO_STATIC,
	.start = static_start,
	.stop = static_stop,
	.reconfigure = static_reconfigure,
	.destroy = static_destroy,
};
