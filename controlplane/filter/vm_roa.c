/* SPDX-License-Identifier: BSD-2-Clause */
/* ROA and ASPA look-ups. Tables belong to others, are found by name and may come and go: an absent one knows
 * nothing. */
#include "controlplane/filter/path.h"
#include "controlplane/filter/vm.h"

static const struct filter_roa_ops *roa_ops; /* set once at start */

void filter_set_roa_ops(const struct filter_roa_ops *ops)
{
	roa_ops = ops;
}

const char vm_held[] = "the RPKI table is held until its first sync";

/* NULL: it is not there. */
static void *table(struct roa_ref *r)
{
	void *t = atomic_load_explicit(&r->handle, memory_order_acquire);

	if (!t && roa_ops) {
		t = roa_ops->table_handle(r->name, r->type);
		if (t) /* the same for everybody who asks */
			atomic_store_explicit(&r->handle, t, memory_order_release);
	}
	return t;
}

static bool is_held(void *t)
{
	return t && roa_ops->held && roa_ops->held(t);
}

static const char *check(
	const struct roa_ref *r, void *t, const struct net *net, uint32_t asn, struct value *out)
{
	*out = (struct value){.type = T_ENUM_ROA};
	/* The family has to fit: IPv4 routes have no entry in a roa6 table. */
	if (t && r->type == (net->type == NET_IP4 ? NET_ROA4 : NET_ROA6))
		out->i = (uint32_t)roa_ops->roa_check(t, &net->prefix, asn);
	return NULL;
}

const char *vm_roa(struct roa_ref *r, const struct value *net, uint32_t asn, struct value *out)
{
	void *t = table(r);

	return is_held(t) ? vm_held : check(r, t, net->net, asn, out);
}

const char *vm_roa_route(struct filter_vm *vm, struct roa_ref *r, struct value *out)
{
	const struct attrs *a = vm->attrs;
	void *t = table(r);

	if (is_held(t))
		return vm_held;
	if (!vm->route)
		return "No route to access";
	if (!(a->present & ATTR_AS_PATH))
		return "Missing AS_PATH attribute";
	struct value_list path = {a->as_path, a->as_path_bytes};

	return check(r, t, vm->route->net, as_path_last(path_bytes(&path), path.count), out);
}

const char *vm_aspa(struct roa_ref *r, const struct value *path, bool upstream, struct value *out)
{
	void *t = table(r);

	if (is_held(t))
		return vm_held;
	*out = (struct value){.type = T_ENUM_ASPA};
	if (t && roa_ops->aspa_check)
		out->i =
			(uint32_t)roa_ops->aspa_check(t, path_bytes(&path->list), path->list.count, upstream);
	return NULL;
}
