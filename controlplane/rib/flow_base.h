/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whether a neighbour may have a flow rule: RFC 8955 section 6 and RFC 9117, in
 * BIRD's reading. The rule has a destination; the best route that the base table has for it
 * is from BGP, of the same originator and, for an external neighbour, the same
 * neighbouring AS; and so is, as to that AS, everything more specific. An internal
 * neighbour's own rule, with an empty AS path, is always good.
 *
 * A base is a listener's copy of what the rule needs of a base table: a tree of prefixes
 * in which each node knows the one AS of everything below it, so that a verdict is one way
 * down, however many routes are more specific. It is built when the first source
 * asks for it. Shards write it and ask it under its mutex; what they do there is a few
 * hundred nanoseconds.
 *
 * Changed routes are collected for a while, then the import of the rules that they
 * overlap with is run again (cover.c). A base follows its table, so a verdict may be too
 * early; but the change that makes it wrong is noted after the base has it, and the rules
 * are looked at again after that.
 */
#pragma once
#include "controlplane/rib/rib.h"

struct flow_base;
struct flow_bases;

struct flow_bases *flow_bases_create(struct rib *rib);
void flow_bases_destroy(struct flow_bases *all); /* no base is left */
/* Of a table of IPv4 or IPv6 routes; a reference. Not from a shard, and not with rib->lock. */
struct flow_base *flow_base_take(struct rib_table *t);
void flow_base_release(struct flow_base *b); /* any thread, not with rib->lock */
/* Any shard's thread. rule: of a BGP neighbour, with its attributes. */
bool flow_base_allows(
	struct flow_base *b, const struct net *rule, const struct attrs *a, const struct rib_peer *from);
/* Of the shard's timer, as roa_settled(). */
void flow_bases_settled(struct rib_shard *s);
