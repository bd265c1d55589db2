/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Between the files of the configuration grammar (grammar*.c): how options and
 * protocols are described, and the pieces they share. Nobody else includes it.
 *
 * Most of the language is "words [value] ;" items inside blocks, so an item is
 * a row of a table: its words, what follows, where it goes. A protocol type is
 * a struct proto_grammar; template inheritance is a copy of its plain body.
 */
#pragma once
#include "controlplane/config/config.h"
#include "controlplane/config/parser.h"

/* ---- options ---- */

enum option_kind {
	OPT_SWITCH,   /* bool */
	OPT_TRISTATE, /* a switch into enum tristate */
	OPT_NUMBER,   /* uint32_t */
	OPT_U16,
	OPT_U8,
	OPT_TEXT,
	OPT_IP,
	OPT_TIME_US, /* uint32_t, in microseconds */
	OPT_TABLE,   /* struct table_config * */
	OPT_CUSTOM,  /* parse() reads what follows the words */
};

/* Where a number outside min..max is complained about: as BIRD does, at the number or at what follows it. */
enum option_place { AT_NEXT, AT_VALUE };

struct option {
	const char *words; /* "min hold time" */
	enum option_kind kind;
	size_t offset;     /* in the target */
	uint32_t min, max; /* numbers; max 0: any */
	const char *range; /* what to say, else "Value %u out of range (min-max)" */
	enum option_place place;
	void (*parse)(struct parser *p, void *target);
};

struct option_set {
	const struct option *options;
	size_t n;
	void *target;
};
#define OPTION_SET(table, target)                                                                            \
	{                                                                                                    \
		table, sizeof(table) / sizeof((table)[0]), target                                            \
	}

/* One item, up to its ';'. The longest row that fits wins. False, nothing consumed: no row starts with this
 * word. A word that goes wrong in the middle is a syntax error. */
bool option_parse(struct parser *p, const struct option_set *sets, size_t n_sets);
/* { a, b c, d } as bits; at most 16 rows */
struct word_bit {
	const char *words;
	uint32_t bit;
};
uint32_t option_bits(struct parser *p, const struct word_bit *words, size_t n);

/* ---- the grammar's own state ---- */

struct grammar {
	struct proto_config *proto; /* being read */
	struct token proto_word;    /* its type */
	unsigned auto_number[PROTO_INERT + 1];
	unsigned auto_inert[16];
	struct log_sink *sinks;
	unsigned sinks_size;
	bool device_seen, md5_warned;
};

static inline struct grammar *grammar_of(const struct parser *p)
{
	return p->grammar;
}

/* ---- protocols ---- */

#define NET_BIT(n) (1u << (n))

struct proto_grammar {
	const char *word; /* in `protocol WORD` */
	enum proto_type type;
	const char *type_name; /* as `show protocols` prints it */
	size_t body_size;
	uint16_t preference;
	uint32_t nets; /* channels allowed, NET_BIT; 0: none */
	bool one_net;  /* static, kernel: exactly one channel */
	void (*init)(struct parser *p, struct proto_config *pc, void *body);
	/* after body was copied from a parent's: lists need copies of their own */
	void (*inherit)(struct parser *p, struct proto_config *pc, void *body);
	/* one item of its own; false: none of mine */
	bool (*item)(struct parser *p, struct proto_config *pc, void *body);
	/* at the closing brace of a protocol (not of a template) */
	void (*finish)(struct parser *p, struct proto_config *pc, void *body);
};

extern const struct proto_grammar grammar_bgp, grammar_bfd, grammar_device, grammar_direct, grammar_kernel,
	grammar_static, grammar_rpki, grammar_pipe, grammar_mrt, grammar_bmp, grammar_aggregator;

/* after `protocol` or `template` */
void grammar_protocol(struct parser *p, bool is_template);
/* ---- channels ---- */

/* A channel if the current token starts one that g allows. */
bool grammar_channel(struct parser *p, const struct proto_grammar *g, struct proto_config *pc);
/* What is used by a protocol that has its channel's options in its own body (pipe). */
struct channel_config *channel_new(struct parser *p, struct proto_config *pc, const struct proto_grammar *g,
	const char *name, enum net_type net);
extern const struct option channel_options[];
extern const size_t n_channel_options;
/* BGP's additions */
extern const struct option bgp_channel_options[];
extern const size_t n_bgp_channel_options;
struct channel_config *channel_find(const struct proto_config *pc, const char *name);

/* ---- pieces ---- */

/* ipv4, ipv6 [sadr], roa4 ...; NET_NONE: the current token is none of them. */
enum net_type grammar_net_type(struct parser *p);
const char *grammar_net_label(enum net_type net);
/* NETTYPE already consumed, current token is `table` */
void grammar_table(struct parser *p, enum net_type net);
struct table_config *grammar_table_ref(struct parser *p);
/* "[-] "mask" [prefix], ..." */
struct iface_pattern *grammar_iface_pattern(struct parser *p, bool names_only);
uint32_t grammar_debug_mask(struct parser *p); /* all | off | { states, ... } */
uint32_t grammar_mrtdump_mask(struct parser *p);
uint32_t grammar_router_id(struct parser *p); /* N | IPv4 | constant, host order */
/* %ifname after an address, or NULL */
const char *grammar_ip_scope(struct parser *p);
/* `{ ... }` that is not read: skips balanced braces; current token is '{' */
void grammar_skip_block(struct parser *p);
void grammar_log(struct parser *p);
void grammar_debug(struct parser *p);
void grammar_mrtdump(struct parser *p);
void grammar_timeformat(struct parser *p);
void grammar_file(struct parser *p); /* all statements up to the end */
void grammar_predefine(
	struct parser *p, bool from_system); /* constants from /etc/iproute2, master4 and master6 */

/* BFD options: inside `protocol bfd` blocks and BGP's `bfd { }` */
extern const struct option bfd_session_options[];
extern const size_t n_bfd_session_options;
void bfd_options_init(struct bfd_options *o);
/* { opts } */
void grammar_bfd_options(struct parser *p, struct bfd_options *o, bool bgp);
