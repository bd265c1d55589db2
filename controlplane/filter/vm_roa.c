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

bool vm_roa_held(struct roa_ref *r)
{
	void *t = table(r);

	return t && roa_ops->held && roa_ops->held(t);
}

const char *vm_roa(struct roa_ref *r, const struct value *net, uint32_t asn, struct value *out)
{
	void *t = table(r);

	*out = (struct value){.type = T_ENUM_ROA};
	/* The family has to fit: IPv4 routes have no entry in a roa6 table. */
	if (!t || r->type != (net->net->type == NET_IP4 ? NET_ROA4 : NET_ROA6))
		return NULL;
	out->i = (uint32_t)roa_ops->roa_check(t, &net->net->prefix, asn);
	return NULL;
}

const char *vm_roa_route(struct filter_vm *vm, struct roa_ref *r, struct value *out)
{
	const struct attrs *a = vm->attrs;

	if (!vm->route)
		return "No route to access";
	if (!(a->present & ATTR_AS_PATH))
		return "Missing AS_PATH attribute";
	struct value_list path = {a->as_path, a->as_path_bytes};
	struct value net = {.type = T_NET, .net = vm->route->net};

	return vm_roa(r, &net, as_path_last(path_bytes(&path), path.count), out);
}

const char *vm_aspa(struct roa_ref *r, const struct value *path, bool upstream, struct value *out)
{
	void *t = table(r);

	*out = (struct value){.type = T_ENUM_ASPA};
	if (t && roa_ops->aspa_check)
		out->i =
			(uint32_t)roa_ops->aspa_check(t, path_bytes(&path->list), path->list.count, upstream);
	return NULL;
}
