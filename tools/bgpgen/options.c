/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/bgpgen/options.h"
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

enum kind { FLAG, NUMBER, TEXT, ADDRESS, COMMUNITY };

struct option_line {
	const char *name, *arg, *help;
	enum kind kind;
	size_t offset;
	unsigned long low, high;
};

#define AT(field) offsetof(struct options, field)
static const struct option_line lines[] = {
	{"dut", "ADDR", "the daemon's address", ADDRESS, AT(dut), 0, 0},
	{"port", "N", "its port (179)", NUMBER, AT(port), 1, 65535},
	{"base", "ADDR", "peer i has the address ADDR + i", ADDRESS, AT(sc.base), 0, 0},
	{"base6", "ADDR", "and the IPv6 next hop ADDR + i (2001:db8::1:0)", ADDRESS, AT(sc.base6), 0, 0},
	{"base-as", "N", "and the number N + i (64001)", NUMBER, AT(sc.base_as), 1, UINT32_MAX},
	{"rs-as", "N", "the daemon's number, of control communities and paths (63999)", NUMBER, AT(sc.rs_as),
		1, UINT32_MAX},
	{"feeders", "N", "mode feeds: peers that announce the whole table (2)", NUMBER, AT(sc.feeders), 1,
		1000},
	{"receivers", "N", "and those that receive it (1)", NUMBER, AT(sc.receivers), 1, 10000},
	{"clients", "N", "mode rs: clients that announce a share each and receive the rest", NUMBER,
		AT(sc.clients), 1, 10000},
	{"overlap", "N", "rs: clients that announce the same route (1)", NUMBER, AT(sc.overlap), 1, 100},
	{"control", NULL, "rs: clients add control communities", FLAG, AT(sc.control), 0, 0},
	{"refused", "N", "rs: every Nth route is in no import filter", NUMBER, AT(sc.refused), 2, 1000000},
	{"added-community", "A:B", "what the export policy adds after --command (for --check)", COMMUNITY,
		AT(added), 0, 0},
	{"v4", "N", "IPv4 routes in the table", NUMBER, AT(table.v4), 0, 5000000},
	{"v6", "N", "IPv6 routes, over the same sessions", NUMBER, AT(table.v6), 0, 5000000},
	{"table", "FILE", "a table: PREFIX AS, FIRST,LAST,AS or MRT; - with zcat: /dev/stdin", TEXT,
		AT(table_file), 0, 0},
	{"run", "N", "average prefixes of an attribute set (5)", NUMBER, AT(table.run), 1, 100000},
	{"communities", "N", "at most so many on each set (6)", NUMBER, AT(table.communities), 0, 8},
	{"host24", NULL, "plain /24s and /48s", FLAG, AT(table.host24), 0, 0},
	{"seed", "N", "of everything random (1)", NUMBER, AT(table.seed), 0, ULONG_MAX},
	{"add-path", NULL, "receivers ask for all paths", FLAG, AT(add_path), 0, 0},
	{"check", NULL, "compare every receiver's table with the model's", FLAG, AT(check), 0, 0},
	{"late", NULL, "feeds: all receivers but the first connect after the load", FLAG, AT(late), 0, 0},
	{"join", "N", "rs: the last N clients connect after the load", NUMBER, AT(join), 1, 10000},
	{"drop", "N", "rs: the first N clients drop and return", NUMBER, AT(drop), 1, 10000},
	{"slow", "N", "the last N receivers are slow readers and not waited for", NUMBER, AT(slow), 1, 10000},
	{"slow-rate", "B", "bytes a second that they read (10000)", NUMBER, AT(slow_rate), 1, 1000000000},
	{"busy", "R", "changes a second during join, command and beside", NUMBER, AT(busy), 1, 1000000},
	{"pulse", "MS", "one prefix changes so often after the load: stalls are measured on it", NUMBER,
		AT(pulse_ms), 1, 10000},
	{"command", "CMD", "run this, then wait until everything was announced again", TEXT, AT(command), 0,
		0},
	{"beside", "CMD", "run this again and again and measure stalls", TEXT, AT(beside), 0, 0},
	{"beside-time", "S", "for so long (10)", NUMBER, AT(beside_s), 1, 100000},
	{"churn", "S", "seconds of random changes, withdrawals, and then quiet", NUMBER, AT(churn_s), 1,
		1000000},
	{"churn-rate", "R", "changes a second (1000)", NUMBER, AT(churn_rate), 1, 1000000},
	{"churn-drops", "N", "sessions dropped a minute (0)", NUMBER, AT(churn_drops), 0, 100000},
	{"churn-sample", "S", "seconds between readings of the memory (1)", NUMBER, AT(churn_sample_s), 1,
		100000},
	{"pid", "N", "process whose CPU time and memory count; repeatable", NUMBER, 0, 1, INT_MAX},
	{"hold-time", "S", "offered (240)", NUMBER, AT(hold_time), 0, 65535},
	{"timeout", "S", "a phase may take (600)", NUMBER, AT(timeout_s), 1, 1000000},
	{"stay", "S", "keep the sessions up afterwards", NUMBER, AT(stay_s), 0, 1000000},
	{"print-filters", NULL, "print what the import filters of --refused let through, and end", FLAG,
		AT(print_filters), 0, 0},
	{"relay", NULL, "be a daemon that hands UPDATEs on unparsed: the floor", FLAG, AT(relay), 0, 0},
};
#undef AT
#define N_LINES (sizeof(lines) / sizeof(*lines))

static void usage(FILE *f)
{
	fputs("Usage: peregrine-bgpgen --mode feeds|rs --dut ADDR --base ADDR [options]\n\n", f);
	for (size_t i = 0; i < N_LINES; i++) {
		char head[40];

		snprintf(head, sizeof(head), "--%s%s%s", lines[i].name, lines[i].arg ? " " : "",
			lines[i].arg ? lines[i].arg : "");
		fprintf(f, "  %-22s %s\n", head, lines[i].help);
	}
}

static int bad(const char *name, const char *what, const char *text)
{
	fprintf(stderr, "peregrine-bgpgen: --%s: %s: %s\n", name, what, text);
	return -EINVAL;
}

/* Fields of different widths are numbers all the same. */
static void store(struct options *o, const struct option_line *l, unsigned long v)
{
	char *at = (char *)o + l->offset;

	if (!strcmp(l->name, "pid"))
		o->pids[o->n_pids++] = (int)v;
	else if (!strcmp(l->name, "port"))
		o->port = (uint16_t)v;
	else if (!strcmp(l->name, "seed"))
		o->table.seed = v;
	else
		*(uint32_t *)at = (uint32_t)v;
}

static int take(struct options *o, const struct option_line *l, const char *arg)
{
	char *at = (char *)o + l->offset, *end;
	unsigned long v;
	unsigned a, b;
	char more;

	switch (l->kind) {
	case FLAG: *(bool *)at = true; return 0;
	case TEXT: *(const char **)at = arg; return 0;
	case ADDRESS:
		return ipaddr_parse(arg, (struct ipaddr *)at) < 0 ? bad(l->name, "not an address", arg) : 0;
	case COMMUNITY:
		if (sscanf(arg, "%u:%u%c", &a, &b, &more) != 2 || a > 65535 || b > 65535)
			return bad(l->name, "not a community", arg);
		*(uint32_t *)at = a << 16 | b;
		return 0;
	case NUMBER:
		errno = 0;
		v = strtoul(arg, &end, 10);
		if (errno || end == arg || *end || *arg == '-')
			return bad(l->name, "not a number", arg);
		if (v < l->low || v > l->high)
			return bad(l->name, "out of range", arg);
		if (!strcmp(l->name, "pid") && o->n_pids == MOST_PIDS)
			return bad(l->name, "too many", arg);
		store(o, l, v);
		return 0;
	}
	return -EINVAL;
}

static int consistent(const struct options *o)
{
	const struct scenario *sc = &o->sc;
	unsigned peers = sc->mode == MODE_RS ? sc->clients : sc->feeders + sc->receivers;
	const char *what = NULL;

	if (!o->table_file && !o->table.v4 && !o->table.v6)
		what = "no routes: --v4, --v6 or --table";
	else if (sc->mode == MODE_RS && !sc->clients)
		what = "mode rs needs --clients";
	else if (!o->print_filters && (ipaddr_is_zero(&o->dut) || ipaddr_is_zero(&sc->base)))
		what = "--dut and --base are needed";
	else if (sc->mode == MODE_FEEDS &&
		 (o->join || o->drop || sc->control || sc->refused || sc->overlap > 1))
		what = "--join, --drop, --control, --refused and --overlap belong to mode rs";
	else if (sc->mode == MODE_RS && o->late)
		what = "--late belongs to mode feeds";
	else if (sc->overlap > peers || o->join + o->drop + o->slow >= peers)
		what = "more peers in --overlap, or --join, --drop and --slow together, than there are";
	else if (o->busy && sc->overlap > 1)
		what = "--busy keeps who has which route: not with --overlap";
	else if (o->add_path && o->check)
		what = "--check follows one path a prefix: not with --add-path";
	else if (sc->control && sc->base_as + sc->clients > 65535)
		what = "control communities need 16-bit numbers: a smaller --base-as";
	if (what)
		fprintf(stderr, "peregrine-bgpgen: %s\n", what);
	return what ? -EINVAL : 0;
}

int options_parse(int argc, char **argv, struct options *o)
{
	struct option longs[N_LINES + 3] = {{"mode", 1, NULL, 'm'}, {"help", 0, NULL, 'h'}};
	int c, i, rc;

	*o = (struct options){
		.table = {.run = 5, .communities = 6, .seed = 1},
		.sc = {.feeders = 2, .receivers = 1, .overlap = 1, .base_as = 64001, .rs_as = 63999},
		.port = 179,
		.hold_time = 240,
		.timeout_s = 600,
		.slow_rate = 10000,
		.beside_s = 10,
		.churn_rate = 1000,
		.churn_sample_s = 1,
	};
	ipaddr_parse("2001:db8::1:0", &o->sc.base6);
	for (size_t k = 0; k < N_LINES; k++)
		longs[k + 2] = (struct option){lines[k].name, lines[k].arg != NULL, NULL, 'o'};
	while ((c = getopt_long(argc, argv, "", longs, &i)) != -1) {
		switch (c) {
		case 'm':
			if (strcmp(optarg, "feeds") && strcmp(optarg, "rs"))
				return bad("mode", "feeds or rs, not", optarg);
			o->sc.mode = strcmp(optarg, "rs") ? MODE_FEEDS : MODE_RS;
			break;
		case 'h': usage(stdout); return 1;
		case 'o':
			rc = take(o, &lines[i - 2], optarg);
			if (rc < 0)
				return rc;
			break;
		default: fputs("Try peregrine-bgpgen --help.\n", stderr); return -EINVAL;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "peregrine-bgpgen: what is %s?\n", argv[optind]);
		return -EINVAL;
	}
	return consistent(o);
}
