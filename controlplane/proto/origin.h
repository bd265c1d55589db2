/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Routes that the daemon itself originates (static, direct): the set wanted now
 * against the set announced before. Main thread.
 */
#pragma once
#include "controlplane/proto/proto.h"

struct origin_route {
	struct net net;
	uint32_t path_id;  /* tells several routes of a net apart */
	uint32_t attrs;    /* a reference is held */
	struct nlri *nlri; /* net's, our own; NULL */
};

struct origin_set {
	struct origin_route *route; /* sorted by net after origin_sync() */
	unsigned n, size;
};

/* Takes over the reference on attrs. */
void origin_add(struct origin_set *s, const struct net *n, uint32_t path_id, uint32_t attrs);
/* Routes for one net get path ids 0, 1, ... in the order they were added: all of them stay. */
void origin_number(struct origin_set *s);
void origin_clear(struct origin_set *s); /* drops the references, frees */
/* Announces what is new or differs, withdraws what is gone; announced becomes wanted, which is left empty. */
void origin_sync(struct rib_source *src, struct origin_set *announced, struct origin_set *wanted);
