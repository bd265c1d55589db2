/* SPDX-License-Identifier: BSD-2-Clause */
/* The command line of peregrine-bgpgen. */
#pragma once
#include "tools/bgpgen/model.h"

#define MOST_PIDS 8

struct options {
	struct scenario sc;
	struct gen_options table;
	const char *table_file;
	struct ipaddr dut;
	uint16_t port;
	bool check, print_filters, relay, add_path;
	unsigned hold_time, timeout_s, stay_s, pulse_ms;
	int pids[MOST_PIDS]; /* the daemon's */
	unsigned n_pids;
	/* phases behind the load */
	bool late;     /* feeds: receivers but the first connect when it has the table */
	unsigned join; /* rs: so many clients connect only then */
	unsigned drop; /* rs: so many drop and return */
	unsigned slow; /* so many read only slow_rate bytes a second, and are not waited for */
	uint32_t slow_rate;
	unsigned busy;       /* changes of attributes a second beside join, command and beside */
	const char *command; /* run once: then everything must be announced again, */
	uint32_t added;      /* with this community, if not 0 */
	const char *beside;  /* run again and again for beside_s seconds */
	unsigned beside_s;
	unsigned churn_s, churn_rate, churn_drops; /* changes a second; sessions dropped a minute */
	unsigned churn_sample_s;
};

/* 0; -EINVAL after a message on stderr; 1 when help was asked for and given. */
int options_parse(int argc, char **argv, struct options *o);
