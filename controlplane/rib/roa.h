/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ROA and ASPA tables as filters ask them.
 *
 * Beside its table, a ROA table has an index by prefix alone, kept up by the
 * shards when a ROA comes or goes (rare, so under a mutex) and read by filters in
 * any thread under RCU. Changes are collected for a while, then what they cover is
 * evaluated again: import filters by the RIB, export filters by who subscribed.
 */
#pragma once
#include "controlplane/rib/rib.h"

struct roa_table;
struct roa_notifier;

struct roa_notifier *roa_notifier_create(struct rib *rib);
void roa_notifier_destroy(struct roa_notifier *n);
/* Of the shard's timer: the time of quiet is over. Shard 0. */
void roa_settled(struct rib_shard *s);

struct roa_table *roa_table_create(struct rib_table *t); /* linked to its name's handle */
void roa_table_unlink(struct roa_table *r);              /* the handle answers "unknown" from now on */
void roa_table_destroy(struct roa_table *r);             /* a grace period later */
/* Shard's thread: the net's best route has changed; 0: none. */
void roa_changed(struct rib_table *t, const uint32_t *key, uint32_t old_attrs, uint32_t attrs);
/* Filters ask us from now on; done by rib_create(). */
void rib_register_roa_ops(void);
