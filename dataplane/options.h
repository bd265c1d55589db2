/* SPDX-License-Identifier: BSD-2-Clause */
/* The command line of peregrine-dp. Pure but for the strings it points into. */
#pragma once
#include "dataplane/port.h"
#include <sched.h>

#define OPTIONS_WORKERS 15 /* a linkstate ring each */
#define OPTIONS_ERR 320

enum poll_mode { POLL_DEFAULT, POLL_BUSY, POLL_ADAPTIVE };

struct options {
	const char *socket_path;
	const char *group;       /* of the socket; NULL: ours */
	const char *frr_address; /* unix:PATH of bfdd's --dplaneaddr, or NULL */
	struct port_spec port[PORT_MAX];
	unsigned nports;
	unsigned core[OPTIONS_WORKERS];
	unsigned ncores;  /* 0: one worker on whichever core is free */
	unsigned workers; /* in use at the start; 0: all */
	enum poll_mode poll;
	unsigned sessions; /* capacity */
	bool verbose;
	bool help, version;
	char **eal; /* what follows "--" */
	int neal;
};

/* 0 or -EINVAL with a sentence in err. */
int options_parse(struct options *o, int argc, char **argv, char err[OPTIONS_ERR]);
/* "1,3-5" into cores; -EINVAL or -E2BIG. */
int options_parse_cores(const char *text, unsigned *core, unsigned max, unsigned *n);
extern const char options_usage[];
