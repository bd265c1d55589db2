/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What an export side makes of a route: rules before the filter, the filter,
 * rules after it; the result interned. Memoised by (attributes, source) as far as
 * the filter reads nothing else. One for each shard; its thread only.
 */
#pragma once
#include "controlplane/export/export.h"

struct policy {
	struct filter_ref filter; /* a reference is held */
	bool bgp;                 /* class applies */
	struct bgp_export_class class;
	bool may_memo, keyed;
	struct policy_memo *memo; /* direct-mapped; NULL until first used */
	uint32_t memo_mask, memo_used;
	uint8_t *scratch;
	size_t scratch_size;
};

enum policy_verdict { POLICY_ACCEPT, POLICY_REJECT /* rules */, POLICY_FILTER /* the filter */ };

/* Is the verdict the same for equal attributes, source and answers on the prefix? */
bool policy_is_shared(const struct filter *f);
void policy_init(struct policy *p, const struct filter_ref *f, const struct bgp_export_class *class);
void policy_free(struct policy *p);
/* *out: an id with one reference for the caller when accepted. */
enum policy_verdict policy_run(struct policy *p, struct rib_shard *s, const struct net *n,
	const struct rib_route_view *r, uint32_t *out);
/* The same in two parts and not memoised, for those who do it themselves. Under RCU. Allowed: by the rules
 * before the filter. */
bool policy_allowed(const struct policy *p, struct rib_shard *s, const struct rib_route_view *r);
enum policy_verdict policy_make(struct policy *p, struct rib_shard *s, const struct net *n,
	const struct rib_route_view *r, uint32_t *out);
/* The filter alone, by any thread with a machine of its own. */
bool policy_filter(const struct filter_ref *f, struct filter_vm *vm, const struct net *n,
	const struct attrs *a, const struct rib_source_config *from, bool *changed, struct attrs *out);
