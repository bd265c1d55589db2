/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/bfdgen/options.h"
#include <ctype.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char gen_options_usage[] =
	"Usage: peregrine-bfdgen --port SPEC | --sockets IFACE, --local ADDR --peer ADDR [options] [-- EAL "
	"ARGS]\n"
	"Way out\n"
	"  --port SPEC            as peregrine-dp's: af_xdp:IFACE, af_packet:IFACE, memif:PATH,..., "
	"pci:ADDRESS,...\n"
	"  --sockets IFACE        kernel UDP sockets on that interface\n"
	"  --peer-mac MAC         of the device under test (default: asked for)\n"
	"Sessions\n"
	"  --local ADDR           our first address: session i speaks from ADDR + i mod L\n"
	"  --locals L             how many (default: one for each session)\n"
	"  --peer ADDR            the device under test: session i speaks to ADDR + i div L\n"
	"  --sessions N           (default 1; 0: floods only)\n"
	"  --interval MS[,MS]     what we send at, what we ask for (default 10)\n"
	"  --mult N               detection multiplier (default 3)\n"
	"  --auth TYPE:ID:SECRET  simple, keyed-md5, meticulous-md5, keyed-sha1, meticulous-sha1\n"
	"  --multihop  --min-ttl N  --passive  --demand  --pad BYTES\n"
	"  --ramp N               sessions added a second (default 5000)\n"
	"  --seed N               discriminators and jitter follow from it\n"
	"Course\n"
	"  --wait S               until all sessions are Up, at most (default 15)\n"
	"  --time S               then hold them (default 10)\n"
	"  --cut K                then stop answering K of them at random moments, and come back\n"
	"  --cut-rounds R         so often (default 1); --cut-spread MS (500), --cut-hold MS (200)\n"
	"  --flood KIND:RATE      meanwhile: garbage, unknown, source, ttl, sbfd=DISCRIMINATOR; packets a "
	"second;\n"
	"                         up to 4 times\n"
	"  --give-up N            end early, without cuts, when there were N flaps\n"
	"  --vanish               end without saying AdminDown\n"
	"Measuring\n"
	"  --core N               where our loop runs\n"
	"  --poll busy|nap        never sleep, or real-time priority with short naps (default nap)\n"
	"  --watch-core LIST      notice when these cores are taken away from everybody\n"
	"  --stall US             a pause of our own counts from there (default 500)\n"
	"  --tolerance US         a gap counts as late beyond interval + this (default 500)\n"
	"  --probe HZ             polls a second that measure the round trip (default 100, 0 none)\n"
	"  --pid PID[=NAME]       whose CPU time to measure; up to 16 times\n"
	"Output\n"
	"  --json FILE  --csv DIRECTORY  --label TEXT  --quiet\n"
	"  --strict               exit status 4 if anything flapped, was early, missed or never Up\n";

static int refuse(char err[GEN_ERR], const char *what, const char *value)
{
	snprintf(err, GEN_ERR, what, value);
	return -EINVAL;
}

static int number(const char *text, uint64_t min, uint64_t max, uint64_t *out)
{
	char *end;

	if (!isdigit((unsigned char)*text))
		return -EINVAL;
	errno = 0;
	*out = strtoull(text, &end, 0);
	return *end || errno || *out < min || *out > max ? -EINVAL : 0;
}

static int number32(const char *text, uint32_t min, uint32_t max, uint32_t *out)
{
	uint64_t v;
	int rc = number(text, min, max, &v);

	if (rc == 0)
		*out = (uint32_t)v;
	return rc;
}

static int real(const char *text, double max, double *out)
{
	char *end;

	*out = strtod(text, &end);
	return end == text || *end || !(*out >= 0 && *out <= max) ? -EINVAL : 0;
}

/* "10" or "3.3,10", in milliseconds. */
static int interval(const char *text, uint32_t *tx_us, uint32_t *rx_us)
{
	char *end;
	double tx = strtod(text, &end), rx = tx;

	if (end == text)
		return -EINVAL;
	if (*end == ',') {
		text = end + 1;
		rx = strtod(text, &end);
		if (end == text)
			return -EINVAL;
	}
	if (*end || !(tx >= 1 && tx <= 4e6) || !(rx >= 1 && rx <= 4e6))
		return -EINVAL;
	*tx_us = (uint32_t)(tx * 1000 + 0.5);
	*rx_us = (uint32_t)(rx * 1000 + 0.5);
	return 0;
}

static int mac(const char *text, uint8_t out[6])
{
	unsigned b[6];
	int used = 0;

	if (sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x%n", &b[0], &b[1], &b[2], &b[3], &b[4], &b[5], &used) != 6 ||
		text[used])
		return -EINVAL;
	for (int i = 0; i < 6; i++)
		out[i] = (uint8_t)b[i];
	return 0;
}

static int authentication(const char *text, struct bfd_params *p)
{
	static const struct {
		const char *name;
		uint8_t type;
		unsigned max;
	} types[] = {
		{"simple", BFD_AUTH_SIMPLE, 16},
		{"keyed-md5", BFD_AUTH_KEYED_MD5, 16},
		{"meticulous-md5", BFD_AUTH_METICULOUS_MD5, 16},
		{"keyed-sha1", BFD_AUTH_KEYED_SHA1, 20},
		{"meticulous-sha1", BFD_AUTH_METICULOUS_SHA1, 20},
	};
	const char *colon = strchr(text, ':'), *secret = colon ? strchr(colon + 1, ':') : NULL;
	struct bfd_auth_key *k = &p->auth[0];
	char id[8];
	uint32_t n;

	if (!secret || (size_t)(secret - colon) > sizeof(id))
		return -EINVAL;
	memcpy(id, colon + 1, (size_t)(secret - colon - 1));
	id[secret - colon - 1] = '\0';
	secret++;
	for (unsigned i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		if (strlen(types[i].name) != (size_t)(colon - text) ||
			strncmp(text, types[i].name, (size_t)(colon - text)) != 0)
			continue;
		if (number32(id, 0, 255, &n) || !*secret || strlen(secret) > types[i].max)
			return -EINVAL;
		p->auth_type = types[i].type;
		*k = (struct bfd_auth_key){
			.id = (uint8_t)n, .len = (uint8_t)strlen(secret), .send = true, .accept = true};
		memcpy(k->secret, secret, k->len);
		return 0;
	}
	return -EINVAL;
}

static int process(const char *text, struct gen_options *o)
{
	const char *eq = strchr(text, '=');
	struct gen_pid *p = &o->pid[o->npids];
	char *end;
	long pid = strtol(text, &end, 10);

	if (o->npids == GEN_PIDS || pid <= 0 || pid > INT32_MAX || (*end && end != eq))
		return -EINVAL;
	p->pid = (int)pid;
	snprintf(p->name, sizeof(p->name), "%s", eq ? eq + 1 : text);
	o->npids++;
	return 0;
}

static int cores(const char *text, struct gen_options *o)
{
	do {
		char *end;
		unsigned long c;

		if (!isdigit((unsigned char)*text) || o->nwatches == GEN_WATCHES)
			return -EINVAL;
		c = strtoul(text, &end, 10);
		if (c >= CPU_SETSIZE || (*end && *end != ','))
			return -EINVAL;
		o->watch[o->nwatches++] = (unsigned)c;
		text = *end ? end + 1 : end;
	} while (*text);
	return 0;
}

/* The value of an option; -ENOENT: there is no such option. */
static int value_of(struct gen_options *o, const char *name, const char *v)
{
	uint32_t n;
	int rc;

	if (!strcmp(name, "--port"))
		o->port = v;
	else if (!strcmp(name, "--sockets"))
		o->sockets = v;
	else if (!strcmp(name, "--peer-mac"))
		return o->has_peer_mac = true, mac(v, o->peer_mac);
	else if (!strcmp(name, "--local"))
		return ipaddr_parse(v, &o->local);
	else if (!strcmp(name, "--peer"))
		return ipaddr_parse(v, &o->peer);
	else if (!strcmp(name, "--locals"))
		return number32(v, 1, GEN_SESSIONS_MAX, &o->locals);
	else if (!strcmp(name, "--sessions"))
		return number32(v, 0, GEN_SESSIONS_MAX, &o->sessions);
	else if (!strcmp(name, "--interval"))
		return interval(v, &o->params.min_tx_us, &o->params.min_rx_us);
	else if (!strcmp(name, "--auth"))
		return authentication(v, &o->params);
	else if (!strcmp(name, "--ramp"))
		return number32(v, 1, 10000000, &o->ramp);
	else if (!strcmp(name, "--seed"))
		return number(v, 1, UINT64_MAX, &o->seed);
	else if (!strcmp(name, "--wait"))
		return real(v, 1e6, &o->wait_s);
	else if (!strcmp(name, "--time"))
		return real(v, 1e6, &o->time_s);
	else if (!strcmp(name, "--cut"))
		return number32(v, 0, GEN_SESSIONS_MAX, &o->cut);
	else if (!strcmp(name, "--cut-rounds"))
		return number32(v, 1, 1000000, &o->cut_rounds);
	else if (!strcmp(name, "--cut-spread"))
		return number32(v, 1, 60000, &o->cut_spread_ms);
	else if (!strcmp(name, "--cut-hold"))
		return number32(v, 0, 60000, &o->cut_hold_ms);
	else if (!strcmp(name, "--give-up"))
		return number32(v, 1, UINT32_MAX, &o->give_up);
	else if (!strcmp(name, "--flood"))
		return o->nfloods < GEN_FLOODS ? flood_parse(v, &o->flood[o->nfloods++]) : -EINVAL;
	else if (!strcmp(name, "--stall"))
		return number32(v, 50, 1000000, &o->stall_us);
	else if (!strcmp(name, "--tolerance"))
		return number32(v, 0, 1000000, &o->tolerance_us);
	else if (!strcmp(name, "--probe"))
		return number32(v, 0, 100000, &o->probe_hz);
	else if (!strcmp(name, "--pid"))
		return process(v, o);
	else if (!strcmp(name, "--watch-core"))
		return cores(v, o);
	else if (!strcmp(name, "--json"))
		o->json = v;
	else if (!strcmp(name, "--csv"))
		o->csv = v;
	else if (!strcmp(name, "--label"))
		o->label = v;
	else if (!strcmp(name, "--mult")) {
		rc = number32(v, 1, 255, &n);
		o->params.detect_mult = (uint8_t)n;
		return rc;
	} else if (!strcmp(name, "--min-ttl")) {
		rc = number32(v, 1, 255, &n);
		o->params.min_ttl = (uint8_t)n;
		return rc;
	} else if (!strcmp(name, "--pad")) {
		rc = number32(v, 24, BFD_PADDED_MAX, &n);
		o->params.padded_len = (uint16_t)n;
		return rc;
	} else if (!strcmp(name, "--core")) {
		rc = number32(v, 0, CPU_SETSIZE - 1, &n);
		o->core = (int)n;
		return rc;
	} else if (!strcmp(name, "--poll")) {
		o->nap = !strcmp(v, "nap");
		return o->nap || !strcmp(v, "busy") ? 0 : -EINVAL;
	} else
		return -ENOENT;
	return 0;
}

static bool *flag(struct gen_options *o, const char *name)
{
	const struct {
		const char *name;
		bool *where;
	} flags[] = {
		{"--multihop", &o->multihop},
		{"--passive", &o->params.passive},
		{"--demand", &o->params.demand},
		{"--vanish", &o->vanish},
		{"--quiet", &o->quiet},
		{"--strict", &o->strict},
		{"--help", &o->help},
		{"-h", &o->help},
		{"--version", &o->version},
	};

	for (unsigned i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
		if (!strcmp(flags[i].name, name))
			return flags[i].where;
	return NULL;
}

static int check(struct gen_options *o, char err[GEN_ERR])
{
	struct bfd_key key = {.local = o->local,
		.remote = o->peer,
		.ifindex = o->multihop ? 0 : 1,
		.kind = o->multihop ? BFD_KIND_MULTIHOP : BFD_KIND_SINGLEHOP};
	const char *wrong;

	if (!o->port == !o->sockets)
		return refuse(err, "%s", "give either --port or --sockets (see --help)");
	if (ipaddr_is_zero(&o->local) || ipaddr_is_zero(&o->peer))
		return refuse(err, "%s", "--local and --peer are needed (see --help)");
	if (ipaddr_is_v4(&o->local) != ipaddr_is_v4(&o->peer))
		return refuse(err, "%s", "--local and --peer are of different families");
	if (o->sessions == 0 && o->nfloods == 0)
		return refuse(err, "%s", "no sessions and no flood: nothing to do");
	if (o->locals == 0)
		o->locals = o->sessions ? o->sessions : 1;
	if (o->cut > o->sessions)
		return refuse(err, "%s", "--cut is more than there are --sessions");
	wrong = bfd_params_check(&key, &o->params);
	return wrong ? refuse(err, "%s", wrong) : 0;
}

int gen_options_parse(struct gen_options *o, int argc, char **argv, char err[GEN_ERR])
{
	memset(o, 0, sizeof(*o));
	o->params = (struct bfd_params){.min_tx_us = 10000,
		.min_rx_us = 10000,
		.idle_tx_us = BFD_MIN_IDLE_US,
		.detect_mult = 3,
		.min_ttl = 0};
	o->sessions = 1;
	o->ramp = 5000;
	o->seed = 1;
	o->wait_s = 15;
	o->time_s = 10;
	o->cut_rounds = 1;
	o->cut_spread_ms = 500;
	o->cut_hold_ms = 200;
	o->core = -1;
	o->nap = true;
	o->stall_us = 500;
	o->tolerance_us = 500;
	o->probe_hz = 100;
	for (int i = 1; i < argc; i++) {
		char *eq = strncmp(argv[i], "--", 2) ? NULL : strchr(argv[i], '=');
		bool *f = flag(o, argv[i]);
		const char *value;
		char name[32];
		int rc;

		if (!strcmp(argv[i], "--")) {
			o->eal = argv + i + 1;
			o->neal = argc - i - 1;
			break;
		}
		if (f) {
			*f = true;
			if (o->help || o->version)
				return 0;
			continue;
		}
		if (strncmp(argv[i], "--", 2))
			return refuse(err, "what is '%.100s'? (see --help)", argv[i]);
		snprintf(
			name, sizeof(name), "%.*s", eq ? (int)(eq - argv[i]) : (int)strlen(argv[i]), argv[i]);
		if (!eq && i + 1 == argc)
			return refuse(err, "%.100s: unknown, or without its value (see --help)", argv[i]);
		value = eq ? eq + 1 : argv[++i];
		rc = value_of(o, name, value);
		if (rc == -ENOENT)
			return refuse(err, "unknown option %.100s (see --help)", name);
		if (rc) {
			snprintf(err, GEN_ERR, "%s %.100s: no such value (see --help)", name, value);
			return rc;
		}
	}
	if (o->params.min_ttl == 0)
		o->params.min_ttl = o->multihop ? 1 : 255;
	return check(o, err);
}

struct ipaddr gen_address(const struct ipaddr *a, uint64_t n)
{
	struct ipaddr out = *a;
	int last = ipaddr_is_v4(a) ? 12 : 0;

	for (int i = 15; i >= last && n; i--) {
		n += out.b[i];
		out.b[i] = (uint8_t)n;
		n >>= 8;
	}
	return out;
}

uint32_t gen_number(const struct ipaddr *first, const struct ipaddr *a, uint32_t n)
{
	uint32_t delta = ntohl(a->w[3]) - ntohl(first->w[3]);
	struct ipaddr should;

	if (delta >= n)
		return n;
	should = gen_address(first, delta);
	return ipaddr_equal(&should, a) ? delta : n;
}

struct ipaddr gen_local(const struct gen_options *o, uint32_t session)
{
	return gen_address(&o->local, session % o->locals);
}

struct ipaddr gen_peer(const struct gen_options *o, uint32_t session)
{
	return gen_address(&o->peer, session / o->locals);
}

uint32_t gen_peers(const struct gen_options *o)
{
	return o->sessions ? (o->sessions - 1) / o->locals + 1 : 1;
}
