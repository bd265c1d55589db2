/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What an export side makes of a route: rules before the filter, the filter,
 * rules after it; the result interned. One for each shard; its thread only.
 */
#pragma once
#include "controlplane/export/export.h"
#include "controlplane/export/sent.h"

struct policy {
	struct filter_ref filter;      /* a reference is held */
	struct bgp_export_class class; /* of peers */
	bool may_memo, keyed;
	struct policy_memo *memo; /* direct-mapped; NULL until first used */
	uint32_t memo_mask, memo_used;
	uint8_t *scratch;
	size_t scratch_size;
};

/* Is the verdict the same for equal attributes, source and answers on the prefix? */
bool policy_is_shared(const struct filter *f);
bool policy_reads_roa(const struct filter_ref *f);
void policy_init(struct policy *p, const struct filter_ref *f, const struct bgp_export_class *class);
void policy_free(struct policy *p);
/* For feeds: the filter alone, memoised by (attributes, source) as far as it reads nothing else. *out: an
 * attribute set's id with one reference for the caller when accepted, else 0. */
bool policy_run(struct policy *p, struct rib_shard *s, const struct net *n, const struct rib_route_view *r,
	uint32_t *out);
/* For peers, who remember themselves, in two parts. Under RCU. Allowed: by the rules before the filter; send:
 * the filter and the rules behind it. *out: a number of `sents` with one reference for the caller. */
bool policy_allowed(const struct policy *p, struct rib_shard *s, const struct rib_route_view *r);
/* What a route's result depends on besides its attributes, its source and the prefix: with AIGP, how far it
 * is to a recursive next hop; else 0. Under RCU. */
uint32_t policy_distance(bool aigp, struct rib_shard *s, const struct rib_route_view *r);
bool policy_send(struct policy *p, struct rib_shard *s, const struct net *n, const struct rib_route_view *r,
	const struct bgp_encode_class *c, struct sents *sents, uint32_t *out);
/* The filter alone, by any thread with a machine of its own. */
bool policy_filter(const struct filter_ref *f, struct filter_vm *vm, const struct net *n,
	const struct attrs *a, const struct rib_source_config *from, bool *changed, struct attrs *out);
