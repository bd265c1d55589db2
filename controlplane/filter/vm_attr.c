/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Attributes as the filter sees them. The first change copies the set (not its
 * lists) to the caller's struct; after that changes go there. A value equal to
 * what is there is no change, so that a filter that adds what is present costs
 * nobody an intern.
 */
#include "controlplane/filter/path.h"
#include "controlplane/filter/set.h"
#include "controlplane/filter/vm.h"
#include "controlplane/filter/words.h"
#include <stdio.h>
#include <string.h>

#define MPLS_NULL 3u /* RFC 3032: implicit null, "no label" */

static struct {
	const char *(*name_of)(uint32_t ifindex);
	uint32_t (*index_of)(const char *name);
} interfaces;

void filter_set_ifname_lookup(
	const char *(*name_of)(uint32_t ifindex), uint32_t (*index_of)(const char *name))
{
	interfaces.name_of = name_of;
	interfaces.index_of = index_of;
}

static const uint64_t present_but_empty;

static struct attrs *edit(struct filter_vm *vm)
{
	if (!vm->edited) {
		*vm->out = *vm->attrs;
		vm->out->hash = 0;
		vm->out->id = 0;
		vm->attrs = vm->out;
		vm->edited = true;
	}
	return vm->out;
}

/* The bit in `present`, 0 for those that are always there. */
static uint32_t bit_of(unsigned attr)
{
	switch (attr) {
	case FA_FROM: return ATTR_FROM;
	case FA_ORIGIN: return ATTR_ORIGIN;
	case FA_PATH: return ATTR_AS_PATH;
	case FA_NEXT_HOP: return ATTR_NEXT_HOP;
	case FA_MED: return ATTR_MED;
	case FA_LOCAL_PREF: return ATTR_LOCAL_PREF;
	case FA_ATOMIC_AGGR: return ATTR_ATOMIC;
	case FA_AGGREGATOR: return ATTR_AGGREGATOR;
	case FA_COMMUNITY: return ATTR_COMMUNITY;
	case FA_ORIGINATOR_ID: return ATTR_ORIGINATOR;
	case FA_CLUSTER_LIST: return ATTR_CLUSTER_LIST;
	case FA_EXT_COMMUNITY: return ATTR_EXT_COMMUNITY;
	case FA_LARGE_COMMUNITY: return ATTR_LARGE_COMMUNITY;
	case FA_AIGP: return ATTR_AIGP;
	case FA_OTC: return ATTR_OTC;
	case FA_IGP_METRIC: return ATTR_IGP_METRIC;
	case FA_KRT_PREFSRC: return ATTR_KRT_PREFSRC;
	case FA_KRT_METRIC: return ATTR_KRT_METRIC;
	case FA_KRT_SOURCE: return ATTR_KRT_SOURCE;
	case FA_KRT_REALM: return ATTR_KRT_REALM;
	case FA_KRT_SCOPE: return ATTR_KRT_SCOPE;
	default: return 0;
	}
}

/* Where a 32-bit attribute is kept. */
static uint32_t *number(struct attrs *a, unsigned attr)
{
	switch (attr) {
	case FA_MED: return &a->med;
	case FA_LOCAL_PREF: return &a->local_pref;
	case FA_ORIGINATOR_ID: return &a->originator_id;
	case FA_OTC: return &a->otc;
	case FA_IGP_METRIC: return &a->igp_metric;
	case FA_KRT_METRIC: return &a->krt_metric;
	case FA_KRT_SOURCE: return &a->krt_source;
	case FA_KRT_REALM: return &a->krt_realm;
	case FA_KRT_SCOPE: return &a->krt_scope;
	default: return NULL;
	}
}

/* ---- extras ---- */

static size_t element_size(enum value_type t)
{
	return t == T_CLIST ? 4 : t == T_ECLIST ? 8 : t == T_LCLIST ? sizeof(struct lcomm) : 1;
}

static const char *get_extra(struct filter_vm *vm, uint32_t id, enum value_type type, struct value *out)
{
	const struct attr_extra *e = attrs_find_extra(vm->attrs, id);
	uint32_t n;

	if (!e) {
		*out = value_empty(type);
		return NULL;
	}
	switch (e->type) {
	case T_IP:
		out->type = T_IP;
		memcpy(&out->ip, e->data, sizeof(out->ip));
		return NULL;
	case T_STRING: *out = (struct value){.type = T_STRING, .s = e->data}; return NULL;
	case T_BYTESTRING: {
		struct value_bytes *b = arena_alloc_raw(vm->arena, sizeof(*b) + e->len);

		b->len = e->len;
		memcpy(b->data, e->data, e->len);
		*out = (struct value){.type = T_BYTESTRING, .bytes = b};
		return NULL;
	}
	case T_PATH:
	case T_CLIST:
	case T_ECLIST:
	case T_LCLIST:
		*out = (struct value){.type = e->type,
			.list = {e->len ? e->data : &present_but_empty,
				(uint32_t)(e->len / element_size(e->type))}};
		return NULL;
	default:
		memcpy(&n, e->data, sizeof(n));
		*out = (struct value){.type = e->type, .i = n};
		return NULL;
	}
}

/* data NULL: take it out */
static const char *put_extra(
	struct filter_vm *vm, uint32_t id, enum value_type type, const void *data, size_t len)
{
	const struct attr_extra *old = attrs_find_extra(vm->attrs, id);
	struct attr_extra *list;
	struct attrs *a;
	unsigned n = 0, i;
	bool placed = !data;

	if (!data && !old)
		return NULL;
	if (data && old && old->type == type && old->len == len && !memcmp(old->data, data, len))
		return NULL;
	if (len > UINT16_MAX)
		return "Value too long for an attribute";
	if (vm->attrs->n_extra >= 1024)
		return "Too many attributes";
	a = edit(vm);
	list = arena_alloc_raw(vm->arena, (a->n_extra + 1u) * sizeof(*list));
	for (i = 0; i < a->n_extra; i++) {
		const struct attr_extra *e = &a->extra[i];

		if (!placed && e->id >= id) {
			uint8_t flags = e->id == id ? e->flags : 0xc0; /* optional, transitive */

			list[n++] = (struct attr_extra){id, (uint8_t)type, flags, (uint16_t)len, data};
			placed = true;
		}
		if (e->id != id)
			list[n++] = *e;
	}
	if (!placed)
		list[n++] = (struct attr_extra){id, (uint8_t)type, 0xc0, (uint16_t)len, data};
	a->extra = list;
	a->n_extra = (uint16_t)n;
	return NULL;
}

static const char *set_extra(struct filter_vm *vm, uint32_t id, enum value_type type, const struct value *v)
{
	uint32_t *n;

	switch (type) {
	case T_IP:
		return put_extra(vm, id, type, arena_memdup(vm->arena, &v->ip, sizeof(v->ip)), sizeof(v->ip));
	case T_STRING: return put_extra(vm, id, type, v->s, strlen(v->s) + 1);
	case T_BYTESTRING: return put_extra(vm, id, type, v->bytes->data, v->bytes->len);
	case T_PATH:
	case T_CLIST:
	case T_ECLIST:
	case T_LCLIST:
		return put_extra(vm, id, type, v->list.data ? v->list.data : &present_but_empty,
			v->list.count * element_size(type));
	default:
		n = arena_alloc_raw(vm->arena, sizeof(*n));
		*n = v->i;
		return put_extra(vm, id, type, n, sizeof(*n));
	}
}

/* ---- reading ---- */

/* Field by field: a value that is put together elsewhere and copied as a whole waits for its parts to be
 * stored. */
static void put_list(struct value *out, enum value_type type, const void *data, uint32_t count, bool present)
{
	out->type = type;
	out->list.data = !present ? NULL : count ? data : &present_but_empty;
	out->list.count = present ? count : 0;
}

const char *vm_get(
	struct filter_vm *vm, unsigned attr, uint32_t extra, enum value_type type, struct value *out)
{
	const struct filter_route *r = vm->route;
	const struct attrs *a = vm->attrs;
	const char *name;

	if (!r)
		return "No route to access";
#define RETURN(t, field, ...)                                                                                \
	do {                                                                                                 \
		*out = (struct value){.type = (t), .field = (__VA_ARGS__)};                                  \
		return NULL;                                                                                 \
	} while (0)
	switch (attr) {
	case FA_NET: RETURN(T_NET, net, r->net);
	case FA_PROTO: RETURN(T_STRING, s, r->proto_name ? r->proto_name : "");
	case FA_SOURCE: RETURN(T_ENUM_RTS, i, r->source);
	case FA_FROM: RETURN(T_IP, ip, a->present & ATTR_FROM ? a->from : r->from);
	case FA_GW: RETURN(T_IP, ip, a->n_nexthop ? a->nexthop->gw : (struct ipaddr){.q = {0, 0}});
	case FA_DEST: RETURN(T_ENUM_RTD, i, a->dest);
	case FA_SCOPE: RETURN(T_ENUM_SCOPE, i, a->scope);
	case FA_IFNAME:
		name = a->n_nexthop && a->nexthop->ifindex && interfaces.name_of
			       ? interfaces.name_of(a->nexthop->ifindex)
			       : NULL;
		RETURN(T_STRING, s, name ? name : "");
	case FA_IFINDEX: RETURN(T_INT, i, a->n_nexthop ? a->nexthop->ifindex : 0);
	case FA_PREFERENCE: RETURN(T_INT, i, a->preference);
	case FA_WEIGHT: RETURN(T_INT, i, a->n_nexthop && a->nexthop->weight ? a->nexthop->weight : 1);
	case FA_ONLINK: RETURN(T_BOOL, b, a->n_nexthop && a->nexthop->flags & NH_ONLINK);
	case FA_GW_MPLS: RETURN(T_INT, i, MPLS_NULL);
	case FA_GW_MPLS_STACK: *out = value_empty(T_CLIST); return NULL;
	case FA_PATH:
		put_list(out, T_PATH, a->as_path, a->as_path_bytes, a->present & ATTR_AS_PATH);
		return NULL;
	case FA_COMMUNITY:
		put_list(out, T_CLIST, a->community, a->n_community, a->present & ATTR_COMMUNITY);
		return NULL;
	case FA_EXT_COMMUNITY:
		put_list(out, T_ECLIST, a->ext, a->n_ext, a->present & ATTR_EXT_COMMUNITY);
		return NULL;
	case FA_LARGE_COMMUNITY:
		put_list(out, T_LCLIST, a->large, a->n_large, a->present & ATTR_LARGE_COMMUNITY);
		return NULL;
	case FA_CLUSTER_LIST:
		put_list(out, T_CLIST, a->cluster, a->n_cluster, a->present & ATTR_CLUSTER_LIST);
		return NULL;
	case FA_EXTRA: return get_extra(vm, extra, type, out);
	case FA_EXTRA_BIT: {
		const char *error = get_extra(vm, extra & 0xffffff, T_INT, out);

		if (!error && out->type != T_VOID)
			*out = (struct value){.type = T_BOOL, .b = out->i >> (extra >> 24) & 1};
		return error;
	}
	default: break;
	}
	if (!(a->present & bit_of(attr))) {
		out->type = T_VOID;
		return NULL;
	}
	switch (attr) {
	case FA_ORIGIN: RETURN(T_ENUM_ORIGIN, i, a->origin);
	case FA_NEXT_HOP: RETURN(T_IP, ip, a->next_hop);
	case FA_KRT_PREFSRC: RETURN(T_IP, ip, a->krt_prefsrc);
	case FA_ATOMIC_AGGR:
	case FA_AGGREGATOR:
	case FA_AIGP: RETURN(T_ENUM_EMPTY, i, 0);
	default: RETURN(attr == FA_ORIGINATOR_ID ? T_QUAD : T_INT, i, *number((struct attrs *)a, attr));
	}
#undef RETURN
}

/* ---- writing ---- */

/* A route that goes nowhere, or to one place. */
static const char *set_nexthop(struct filter_vm *vm, uint8_t dest, const struct attr_nexthop *nh)
{
	struct attrs *a = edit(vm);

	a->dest = dest;
	a->n_nexthop = nh ? 1 : 0;
	a->nexthop = nh ? arena_memdup(vm->arena, nh, sizeof(*nh)) : NULL;
	return NULL;
}

static const char *each_nexthop(struct filter_vm *vm, int weight, int onlink)
{
	const struct attrs *old = vm->attrs;
	struct attr_nexthop *list;
	struct attrs *a;

	if (!old->n_nexthop)
		return NULL;
	list = arena_memdup(vm->arena, old->nexthop, old->n_nexthop * sizeof(*list));
	for (unsigned i = 0; i < old->n_nexthop; i++) {
		if (weight > 0)
			list[i].weight = (uint16_t)weight;
		if (onlink >= 0 && !i)
			list[i].flags = (uint16_t)((list[i].flags & ~NH_ONLINK) | (onlink ? NH_ONLINK : 0));
	}
	if (!memcmp(list, old->nexthop, old->n_nexthop * sizeof(*list)))
		return NULL;
	a = edit(vm);
	a->nexthop = list;
	return NULL;
}

static const char *set_static(struct filter_vm *vm, unsigned attr, const struct value *v)
{
	const struct attrs *a = vm->attrs;
	struct attr_nexthop nh;
	uint32_t ifindex;

	memset(&nh, 0, sizeof(nh));
	nh.weight = 1;
	switch (attr) {
	case FA_FROM:
		if (a->present & ATTR_FROM && ipaddr_equal(&a->from, &v->ip))
			return NULL;
		edit(vm)->from = v->ip;
		vm->out->present |= ATTR_FROM;
		return NULL;
	case FA_GW:
		nh.gw = v->ip;
		if (a->n_nexthop && (a->nexthop[0].flags & NH_ONLINK || ipaddr_is_link_local(&v->ip))) {
			nh.ifindex = a->nexthop[0].ifindex;
			nh.flags = a->nexthop[0].flags & NH_ONLINK;
		}
		return set_nexthop(vm, RTD_UNICAST, &nh);
	case FA_DEST:
		if (v->i != RTD_BLACKHOLE && v->i != RTD_UNREACHABLE && v->i != RTD_PROHIBIT)
			return "Destination can be changed only to blackhole, unreachable or prohibit";
		if (a->dest == v->i && !a->n_nexthop)
			return NULL;
		return set_nexthop(vm, (uint8_t)v->i, NULL);
	case FA_SCOPE:
		if (a->scope != v->i)
			edit(vm)->scope = (uint8_t)v->i;
		return NULL;
	case FA_IFNAME:
		ifindex = interfaces.index_of ? interfaces.index_of(v->s) : 0;
		if (!ifindex)
			return "Invalid iface name";
		nh.ifindex = ifindex;
		return set_nexthop(vm, RTD_UNICAST, &nh);
	case FA_PREFERENCE:
		if (a->preference != (uint16_t)v->i)
			edit(vm)->preference = (uint16_t)v->i;
		return NULL;
	case FA_WEIGHT:
		if (v->i < 1 || v->i > 256)
			return "Setting weight value out of bounds";
		if (a->dest != RTD_UNICAST)
			return "Setting weight needs regular nexthop ";
		return each_nexthop(vm, (int)v->i, -1);
	case FA_ONLINK: return each_nexthop(vm, 0, v->b);
	case FA_GW_MPLS:
		if (v->i >= 0x100000)
			return "Invalid MPLS label";
		return NULL; /* labels are parsed, not run */
	default: return NULL;
	}
}

/* Lists: an empty one is an absent attribute (but an empty path is a path). */
static const char *set_list(struct filter_vm *vm, unsigned attr, const struct value *v)
{
	uint32_t bit = bit_of(attr), n = v->list.count;
	const void *data = n ? v->list.data : NULL;
	bool present = n || attr == FA_PATH;
	struct value old;
	struct attrs *a;

	vm_get(vm, attr, 0, T_VOID, &old);
	if (present == !!(vm->attrs->present & bit) && old.list.count == n &&
		(!n || old.list.data == data || !memcmp(old.list.data, data, n * element_size(old.type))))
		return NULL;
	if (n > UINT16_MAX)
		return attr == FA_PATH ? "AS path too long" : "Too many communities";
	a = edit(vm);
	if (present)
		a->present |= bit;
	else
		a->present &= ~bit;
	switch (attr) {
	case FA_PATH:
		a->as_path = data;
		a->as_path_bytes = (uint16_t)n;
		break;
	case FA_COMMUNITY:
		a->community = data;
		a->n_community = (uint16_t)n;
		break;
	case FA_EXT_COMMUNITY:
		a->ext = data;
		a->n_ext = (uint16_t)n;
		break;
	case FA_LARGE_COMMUNITY:
		a->large = data;
		a->n_large = (uint16_t)n;
		break;
	default: a->cluster = data; a->n_cluster = (uint16_t)n;
	}
	return NULL;
}

const char *vm_set(
	struct filter_vm *vm, unsigned attr, uint32_t extra, enum value_type type, const struct value *v)
{
	const struct attrs *a = vm->attrs;
	uint32_t bit = bit_of(attr), *n;

	if (!vm->route)
		return "No route to access";
	vm->touched |= UINT64_C(1) << attr;
	if (attr <= FA_LAST_STATIC)
		return set_static(vm, attr, v);
	switch (attr) {
	case FA_PATH:
	case FA_COMMUNITY:
	case FA_EXT_COMMUNITY:
	case FA_LARGE_COMMUNITY:
	case FA_CLUSTER_LIST: return set_list(vm, attr, v);
	case FA_ORIGIN:
		if (a->present & bit && a->origin == v->i)
			return NULL;
		edit(vm)->origin = (uint8_t)v->i;
		break;
	case FA_NEXT_HOP:
		if (a->present & bit && ipaddr_equal(&a->next_hop, &v->ip) && ipaddr_is_zero(&a->next_hop_ll))
			return NULL;
		edit(vm)->next_hop = v->ip;
		memset(&vm->out->next_hop_ll, 0, sizeof(vm->out->next_hop_ll));
		break;
	case FA_KRT_PREFSRC:
		if (a->present & bit && ipaddr_equal(&a->krt_prefsrc, &v->ip))
			return NULL;
		edit(vm)->krt_prefsrc = v->ip;
		break;
	case FA_EXTRA: return set_extra(vm, extra, type, v);
	case FA_EXTRA_BIT: {
		struct value old, word = {.type = T_INT};

		get_extra(vm, extra & 0xffffff, T_INT, &old);
		word.i = old.type == T_VOID ? 0 : old.i;
		word.i = (word.i & ~(1u << (extra >> 24))) | (uint32_t)v->b << (extra >> 24);
		return set_extra(vm, extra & 0xffffff, T_INT, &word);
	}
	default:
		if (a->present & bit && *number((struct attrs *)a, attr) == v->i)
			return NULL;
		n = number(edit(vm), attr);
		*n = v->i;
	}
	vm->out->present |= bit;
	return NULL;
}

const char *vm_unset(struct filter_vm *vm, unsigned attr, uint32_t extra)
{
	uint32_t bit = bit_of(attr), *n;
	struct attrs *a;

	if (!vm->route)
		return "No route to access";
	vm->touched |= UINT64_C(1) << attr;
	if (attr == FA_EXTRA || attr == FA_EXTRA_BIT)
		return put_extra(vm, extra & 0xffffff, T_VOID, NULL, 0);
	if (!(vm->attrs->present & bit))
		return NULL;
	/* What is absent is zero, so that sets which are equal are equal by their bytes. */
	a = edit(vm);
	a->present &= ~bit;
	n = number(a, attr);
	if (n)
		*n = 0;
	switch (attr) {
	case FA_ORIGIN: a->origin = 0; break;
	case FA_NEXT_HOP:
		memset(&a->next_hop, 0, sizeof(a->next_hop));
		memset(&a->next_hop_ll, 0, sizeof(a->next_hop_ll));
		break;
	case FA_KRT_PREFSRC: memset(&a->krt_prefsrc, 0, sizeof(a->krt_prefsrc)); break;
	case FA_AGGREGATOR: a->aggregator_as = a->aggregator_id = 0; break;
	case FA_AIGP: a->aigp = 0; break;
	case FA_PATH:
		a->as_path = NULL;
		a->as_path_bytes = 0;
		break;
	case FA_COMMUNITY:
		a->community = NULL;
		a->n_community = 0;
		break;
	case FA_EXT_COMMUNITY:
		a->ext = NULL;
		a->n_ext = 0;
		break;
	case FA_LARGE_COMMUNITY:
		a->large = NULL;
		a->n_large = 0;
		break;
	case FA_CLUSTER_LIST:
		a->cluster = NULL;
		a->n_cluster = 0;
		break;
	default: break;
	}
	return NULL;
}
