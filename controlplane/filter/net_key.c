/* SPDX-License-Identifier: BSD-2-Clause */
/* Verdicts shared between prefixes: the key that stands for a prefix in the eyes of a filter. See filter.h.
 */
#include "controlplane/filter/prefix_set.h"
#include "controlplane/filter/vm.h"
#include "shared/hash.h"

static unsigned bits_of(const struct code *c)
{
	unsigned bits = 0;

	for (uint32_t i = 0; i < c->n_conditions; i++)
		bits += c->conditions[i].bits;
	return bits;
}

enum filter_net_use filter_net_use(const struct filter *f)
{
	const struct code *c = f->code;

	if (!(c->reads & FILTER_READS_NET))
		return FILTER_NET_UNUSED;
	return c->net_free || bits_of(c) > 64 ? FILTER_NET_FREE : FILTER_NET_CONDITIONS;
}

unsigned filter_net_key_bits(const struct filter *f)
{
	return filter_net_use(f) == FILTER_NET_CONDITIONS ? bits_of(f->code) : 0;
}

uint64_t filter_net_digest(const struct filter *f)
{
	const struct code *c = f->code;
	uint64_t h = c->n_conditions;

	for (uint32_t i = 0; i < c->n_conditions; i++)
		h = hash_u64(hash_u64(h ^ c->conditions[i].code->digest.low, 1) ^
				     c->conditions[i].code->digest.high,
			c->conditions[i].bits);
	return h;
}

/* A value as a number below 2^bits; the last one is an error. */
static uint64_t run_condition(struct filter_vm *vm, const struct net_condition *c, const struct net *net)
{
	uint64_t error = (UINT64_C(1) << c->bits) - 1;
	struct value v;

	if (!vm_condition(vm, c->code, net, &v))
		return error;
	switch (v.type) {
	case T_BOOL: return v.b;
	case T_INT:
	case T_ENUM_NETTYPE: return v.i < error ? v.i : error;
	default: return error;
	}
}

static uint64_t answer(struct filter_vm *vm, const struct net_condition *c, const struct net *net)
{
	switch (c->ask) {
	case ASK_SET: return prefix_set_has_net(c->set, net) != c->negate;
	case ASK_LEN: return net_length(net);
	case ASK_TYPE: return net->type;
	case ASK_LEN_TEST: return (net_length(net) >= c->lo && net_length(net) <= c->hi) != c->negate;
	case ASK_TYPE_TEST: return (net->type >= c->lo && net->type <= c->hi) != c->negate;
	default: return run_condition(vm, c, net);
	}
}

uint64_t filter_net_key(struct filter_vm *vm, const struct filter *f, const struct net *net)
{
	const struct code *c = f->code;
	uint64_t key = 0;

	for (uint32_t i = 0; i < c->n_conditions; i++)
		key = key << c->conditions[i].bits | answer(vm, &c->conditions[i], net);
	return key;
}
