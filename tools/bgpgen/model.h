/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who says what, and what a route server makes of it: the generator's own idea
 * of the right answer, by which every receiver's table is judged. It knows
 *  - the share of the table that each client announces, with several clients for one route (overlap), and
 * what churn has made of it (said);
 *  - the decision process as far as generated routes differ: length of the path, origin, router id;
 *  - control communities: 0:T not to T; 0:RS with RS:T only to those T; 65501..65503:T prepended once to
 * three times towards T; all of them removed on the way out;
 *  - import filters: client s may not announce every refused-th route.
 * It is checked against BIRD (tests/integration/test_bgpgen.py), not against our own daemon's ideas.
 */
#pragma once
#include "tools/bgpgen/memo.h"
#include "tools/bgpgen/stream.h"

enum mode { MODE_FEEDS, MODE_RS };

struct scenario {
	enum mode mode;
	unsigned clients, feeders, receivers;
	unsigned overlap;          /* clients that announce the same route (rs) */
	bool control;              /* clients add control communities */
	unsigned refused;          /* every Nth route is in no import filter; 0: none */
	uint32_t base_as, rs_as;   /* client i is base_as + i */
	struct ipaddr base, base6; /* addresses and IPv6 next hops */
};

struct model {
	const struct scenario *sc;
	const struct gen_table *table;
	unsigned n_peers, n_announcers;
	uint16_t *home;      /* rs: client whose share a route is in */
	uint32_t *share_end; /* rs: where a client's share ends */
	/* What announcer s says of its own routes, in the order of its ranges: 0 nothing, else version + 1.
	 */
	uint8_t **said;
	bool *up; /* an announcer whose session is down says nothing */
	struct speaker *who;
	uint32_t added; /* community that the daemon's export policy adds now, or 0 */
};

/* Routes [from, to) with one best path: announced by source with set; base is the set by which control
 * communities were chosen. source < 0: nobody has them. */
struct choice {
	uint32_t from, to;
	int source;
	uint32_t set, base;
};

struct verdict { /* what a receiver may find in its table at the end */
	uint64_t right, missing, extra, wrong;
};

int model_init(struct model *m, const struct scenario *sc, const struct gen_table *t); /* 0 or -ENOMEM */
void model_free(struct model *m);
bool model_announces(const struct model *m, unsigned peer);
bool model_receives(const struct model *m, unsigned peer);

/* All that announcer s says now, with an end-of-RIB behind it. */
void model_stream(const struct model *m, unsigned s, struct stream *out);
/* One change by announcer s, chosen by random numbers: other attributes for a run of routes, or (withdraw)
 * its withdrawal or return. Added to out. */
void model_churn(struct model *m, unsigned s, uint64_t *seed, bool withdraw, struct stream *out);
/* Number of the pulse on the pulse prefix. */
void model_pulse(const struct model *m, unsigned s, unsigned number, struct stream *out);

/* want[r]: bitmap of routes that receiver r must have in the end; ignore[r]: those it may have or not, its
 * own; n_want[r]: their number; minimum[r] (may be NULL): the fewest UPDATEs that can say so. */
void model_wants(
	const struct model *m, uint64_t **want, uint64_t **ignore, uint32_t *n_want, uint64_t *minimum);
/* Compares a receiver's table with what it should be: have is its bitmap, attrs[route] the number of its
 * canonical attributes + 1. Differences, at most show of them, go to stderr. */
void model_check(const struct model *m, struct memo *memo, unsigned r, const uint64_t *have,
	const uint32_t *attrs, unsigned show, struct verdict *v);
/* "CLIENT PREFIX" for all that the import filters let through. */
void model_print_filters(const struct model *m);
