/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Compiled filters and functions: the interface to those who run them.
 *
 * A filter is compiled once by the configuration, immutable afterwards, and
 * run by any number of threads at once; run-time memory is an arena that
 * belongs to the calling thread (struct filter_vm). Filters are reference
 * counted: a configuration holds its filters, a channel holds the ones in use.
 */
#pragma once
#include "controlplane/filter/value.h"
#include "controlplane/rib/attr.h"

struct filter;
struct filter_vm;
struct rib_source;

/* What a filter may read besides the attributes: decides how far a verdict can be shared. */
enum filter_reads {
	FILTER_READS_NET = 1,    /* the prefix in any way */
	FILTER_READS_SOURCE = 2, /* proto, source, from: who the route came from */
	FILTER_READS_ROA = 4,    /* a ROA or ASPA table: re-run when it changes */
	FILTER_READS_STATE = 8,  /* anything else that may change without a reload: ifname */
	FILTER_WRITES = 16,      /* may change attributes */
	FILTER_PRINTS = 32,      /* has side effects: never memoised */
};

enum filter_kind { FILTER_ALL, FILTER_NONE, FILTER_PROGRAM };
/* How a channel names its filter. filter is NULL unless FILTER_PROGRAM. */
struct filter_ref {
	enum filter_kind kind;
	const struct filter *filter;
};

const char *filter_name(const struct filter *f); /* NULL: unnamed */
uint32_t filter_reads(const struct filter *f);   /* enum filter_reads */
uint32_t filter_uid(const struct filter
		*f); /* unique while the process lives; equal content keeps its uid over reloads */
/* Attributes that it may read or assign, functions included: bit per enum filter_attr
 * (controlplane/filter/words.h). */
uint64_t filter_attrs_read(const struct filter *f);
uint64_t filter_attrs_written(const struct filter *f);
bool filter_same(
	const struct filter_ref *a, const struct filter_ref *b); /* by content, functions and sets included */
const struct filter *filter_hold(const struct filter *f);
void filter_release(const struct filter *f);
/* Of the filter that it names, if it names one. */
void filter_ref_hold(const struct filter_ref *r);
void filter_ref_release(const struct filter_ref *r);
/* "ACCEPT", "REJECT", "(unnamed)" or the name, as `show protocols all` prints it. */
const char *filter_ref_name(const struct filter_ref *r);

enum filter_verdict { FILTER_ACCEPT, FILTER_REJECT, FILTER_ERROR /* run-time error: reject, was logged */ };

struct filter_vm;
/*
 * How far a verdict can be shared between prefixes: most filters look at the prefix only through conditions
 * on it alone (net ~ [ ... ], net.len > 24, net.type = NET_IP4, is_bogon()). For those the answers to all
 * such conditions, packed into a word, stand for the prefix: routes with equal attributes (and equal source,
 * if the filter reads it) and equal keys get the same verdict and the same changes.
 */
enum filter_net_use {
	FILTER_NET_UNUSED,     /* the key is always 0 */
	FILTER_NET_CONDITIONS, /* as said above */
	FILTER_NET_FREE,       /* other uses (printed, looked up in ROA tables, kept in a variable): no key */
};
enum filter_net_use filter_net_use(const struct filter *f);
unsigned filter_net_key_bits(const struct filter *f);
/* Filters with equal digests have equal keys for every prefix. */
uint64_t filter_net_digest(const struct filter *f);
/* Not for FILTER_NET_FREE. Does not touch what the last filter_run() on vm returned. */
uint64_t filter_net_key(struct filter_vm *vm, const struct filter *f, const struct net *net);

struct filter_route {
	const struct net *net;
	const struct attrs *attrs;
	/* identity of the source, for proto/source/from/ifname; strings are static for the run */
	const char *proto_name;
	uint8_t source; /* enum route_source */
	struct ipaddr from;
	uint32_t ifindex;
};

/* One for each thread that runs filters. */
struct filter_vm *filter_vm_create(void);
void filter_vm_destroy(struct filter_vm *vm);

/* Runs r->filter (kind must be FILTER_PROGRAM) over the route. If the filter changed attributes, *changed is
 * set and *out is the edited set, not interned, its lists in the vm's arena: valid until the next run.
 * Nothing is allocated from the heap on this path once the arena has grown. Call under rcu_read_lock() if the
 * filter reads ROA tables. */
enum filter_verdict filter_run(struct filter_vm *vm, const struct filter *f, const struct filter_route *r,
	bool *changed, struct attrs *out);

/* After filter_run(): what it assigned or unset, also if the value stayed the same. Bit per enum filter_attr;
 * the export of MED to external peers depends on whether the filter set it (FA_MED). */
uint64_t filter_vm_touched(const struct filter_vm *vm);

/* `eval`, `show route where`: an expression that was parsed against a configuration. 0, or -EINVAL with
 * *error set (static or arena). */
int filter_eval(struct filter_vm *vm, const struct filter *expression, const struct filter_route *r,
	struct value *out, const char **error);

/* ROA look-ups, provided by whoever owns the tables (rib/): registered once at start. */
struct filter_roa_ops {
	/* A handle for a table name that stays valid while the process lives, also when the table comes and
	 * goes: filters outlive configurations. An absent table answers "unknown". */
	void *(*table_handle)(const char *name, enum net_type type);
	/* enum of ROA_*: 0 unknown, 1 valid, 2 invalid */
	int (*roa_check)(void *table, const struct prefix *p, uint32_t asn);
	int (*aspa_check)(void *table, const uint8_t *path, unsigned bytes, bool upstream);
	/* May be NULL. The table is not to be asked yet: a filter that does rejects. */
	bool (*held)(void *table);
};
void filter_set_roa_ops(const struct filter_roa_ops *ops);
/* Interface names for `ifname`: registered once at start; returns NULL if unknown. */
void filter_set_ifname_lookup(
	const char *(*name_of)(uint32_t ifindex), uint32_t (*index_of)(const char *name));

/* explain: the statement (file:line) that decided, after a run with tracing on. */
struct filter_trace_step {
	const char *file;
	unsigned line;
	const char *what; /* "accept", "reject", "bgp_local_pref = 200", ... */
};
void filter_vm_trace(struct filter_vm *vm, bool on);
unsigned filter_vm_steps(const struct filter_vm *vm, const struct filter_trace_step **steps);

/* Custom attributes: the number (ATTR_EXTRA_CUSTOM(n), or ATTR_EXTRA_BGP(code) for those named so) of a name
 * and type is the same while the process lives; a name for one, or NULL. Any thread. */
uint32_t filter_custom_attribute(const char *name, enum value_type type);
const char *filter_custom_attribute_name(uint32_t id);
