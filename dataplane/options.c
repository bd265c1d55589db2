/* SPDX-License-Identifier: BSD-2-Clause */
#include "dataplane/options.h"
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char options_usage[] =
	"Usage: peregrine-dp --socket SOCK --port SPEC [--port SPEC ...] [options] [-- EAL ARGS]\n"
	"  --socket SOCK          where peregrined connects\n"
	"  --group GROUP          whose members may connect there, as peregrined -g GROUP\n"
	"  --port SPEC            af_xdp:IFACE, af_packet:IFACE, pci:ADDRESS, "
	"memif:PATH[,role=server|client]...\n"
	"  --core LIST            worker cores, like 2 or 2,4-5 (default: one worker, not pinned)\n"
	"  --workers N            how many of them are used at first (default all; peregrined may change "
	"it)\n"
	"  --poll busy|adaptive   spin, or sleep between packets (default: busy with --core, else adaptive)\n"
	"  --sessions N           room for N sessions (default 16384)\n"
	"  --frr unix:PATH        serve FRR's bfdd (its --dplaneaddr) as a distributed BFD data plane\n"
	"  --verbose              debug messages too\n"
	"  --help, --version\n";

int options_parse_cores(const char *text, unsigned *core, unsigned max, unsigned *n)
{
	const char *s = text;

	*n = 0;
	do {
		unsigned long first, last;
		char *end;

		if (!isdigit((unsigned char)*s))
			return -EINVAL;
		first = last = strtoul(s, &end, 10);
		if (*end == '-') {
			s = end + 1;
			if (!isdigit((unsigned char)*s))
				return -EINVAL;
			last = strtoul(s, &end, 10);
		}
		if (last < first || last >= CPU_SETSIZE || (*end && *end != ','))
			return -EINVAL;
		for (; first <= last; first++) {
			for (unsigned i = 0; i < *n; i++)
				if (core[i] == first)
					return -EINVAL;
			if (*n == max)
				return -E2BIG;
			core[(*n)++] = (unsigned)first;
		}
		s = end + 1;
		if (!*end)
			return 0;
	} while (true);
}

static int refuse(char err[OPTIONS_ERR], const char *what, const char *value)
{
	snprintf(err, OPTIONS_ERR, what, value);
	return -EINVAL;
}

static bool parse_count(const char *text, unsigned long max, unsigned *out)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	if (!isdigit((unsigned char)*text) || *end || n < 1 || n > max)
		return false;
	*out = (unsigned)n;
	return true;
}

static int one_option(struct options *o, const char *name, const char *value, char err[OPTIONS_ERR])
{
	if (!strcmp(name, "--socket")) {
		o->socket_path = value;
	} else if (!strcmp(name, "--group")) {
		o->group = value;
	} else if (!strcmp(name, "--frr")) {
		o->frr_address = value;
	} else if (!strcmp(name, "--port")) {
		struct port_spec *s = &o->port[o->nports];

		if (o->nports == PORT_MAX)
			return refuse(err, "more than 32 ports (at %.100s)", value);
		if (port_spec_parse(value, s, err))
			return -EINVAL;
		for (unsigned i = 0; i < o->nports; i++)
			if (!strcmp(o->port[i].target, s->target) && o->port[i].id == s->id)
				return refuse(err, "%.100s is given to two ports", s->target);
		o->nports++;
	} else if (!strcmp(name, "--core")) {
		int rc = options_parse_cores(value, o->core, OPTIONS_WORKERS, &o->ncores);

		if (rc == -E2BIG)
			return refuse(err, "--core %.100s: more than 15 workers", value);
		if (rc)
			return refuse(err, "--core %.100s is no list of cores like 2 or 2,4-5", value);
	} else if (!strcmp(name, "--poll")) {
		if (!strcmp(value, "busy"))
			o->poll = POLL_BUSY;
		else if (!strcmp(value, "adaptive"))
			o->poll = POLL_ADAPTIVE;
		else
			return refuse(err, "--poll %.100s: write busy or adaptive", value);
	} else if (!strcmp(name, "--workers")) {
		if (!parse_count(value, OPTIONS_WORKERS, &o->workers))
			return refuse(err, "--workers %.100s: a number from 1 to 15", value);
	} else if (!strcmp(name, "--sessions")) {
		if (!parse_count(value, 1u << 20, &o->sessions))
			return refuse(err, "--sessions %.100s: a number from 1 to 1048576", value);
	} else {
		return refuse(err, "unknown option %.100s (see --help)", name);
	}
	return 0;
}

int options_parse(struct options *o, int argc, char **argv, char err[OPTIONS_ERR])
{
	memset(o, 0, sizeof(*o));
	o->sessions = 16384;
	for (int i = 1; i < argc; i++) {
		char *eq = strncmp(argv[i], "--", 2) ? NULL : strchr(argv[i], '=');
		char name[32];
		int rc;

		if (!strcmp(argv[i], "--")) {
			o->eal = argv + i + 1;
			o->neal = argc - i - 1;
			break;
		}
		if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) {
			o->help = true;
			return 0;
		}
		if (!strcmp(argv[i], "--version")) {
			o->version = true;
			return 0;
		}
		if (!strcmp(argv[i], "--verbose")) {
			o->verbose = true;
			continue;
		}
		if (strncmp(argv[i], "--", 2))
			return refuse(err, "what is '%.100s'? (see --help)", argv[i]);
		/* --name=value, but --port's value has '=' of its own: only what stands before the first one
		 * is the name. */
		snprintf(
			name, sizeof(name), "%.*s", eq ? (int)(eq - argv[i]) : (int)strlen(argv[i]), argv[i]);
		if (!eq && i + 1 == argc)
			return refuse(err, "%.100s: unknown, or without its value (see --help)", argv[i]);
		rc = one_option(o, name, eq ? eq + 1 : argv[++i], err);
		if (rc)
			return rc;
	}
	if (!o->socket_path && !o->frr_address)
		return refuse(err, "%s", "no --socket given: peregrined could not connect (see --help)");
	if (o->nports == 0)
		return refuse(err, "%s", "no --port given (see --help)");
	if (o->workers > (o->ncores ? o->ncores : 1) && !o->neal)
		return refuse(err, "%s", "--workers is more than there are cores in --core");
	if (o->poll == POLL_DEFAULT)
		o->poll = o->ncores ? POLL_BUSY : POLL_ADAPTIVE;
	return 0;
}
