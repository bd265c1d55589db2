/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Any bytes as command lines on a control connection, restricted or not (the first byte says), against a
 * daemon with tables, routes and filters but without sockets. Every line must be answered by exactly one
 * final line, none may crash, hang or leave the reply unbounded.
 */
#include "controlplane/bfd/bfd_client.h"
#include "controlplane/cli/session.h"
#include "controlplane/config/arena.h"
#include "controlplane/fib/fib.h"
#include "shared/log.h"
#include "shared/rcu.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char configuration[] =
	"router id 192.0.2.1; hostname \"fuzz\"; ipv4 table t; ipv4 table s sorted; roa4 table r4; aspa "
	"table at;\n"
	"attribute int mark; define S = [ 10.0.0.0/8{16,24} ]; define N = 5;\n"
	"function f(prefix p) -> bool { return p ~ S; }\n"
	"filter g { if ! f(net) then reject \"no \", net; mark = N; bgp_community.add((1,2)); accept; }\n"
	"protocol device { }\n"
	"protocol static s1 { ipv4 { import filter g; import keep filtered; }; route 10.1.0.0/16 blackhole;\n"
	"  route 10.2.0.0/16 unreachable { bgp_path.prepend(5); bgp_med = 3; }; route 11.0.0.0/8 prohibit; "
	"}\n"
	"protocol static s6 { ipv6; route 2001:db8::/32 blackhole; }\n"
	"protocol static sr { roa4 { table r4; }; route 10.0.0.0/8 max 24 as 5; }\n"
	"protocol pipe p { table master4; peer table t; import all; export where mark = 5; }\n"
	"protocol static off1 { disabled; ipv4 { table s; }; route 10.9.0.0/16 blackhole; }\n";

static struct daemon d;
static char path[] = "/tmp/cli-line-fuzz-XXXXXX";

/* main.c's: the fuzzer goes on. */
void daemon_shutdown(struct daemon *daemon, bool graceful_restart)
{
	(void)daemon, (void)graceful_restart;
}

static void commit(void *arg)
{
	daemon_commit(&d, arg, false, 0);
}

static void remove_file(void)
{
	unlink(path);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	const struct bfd_client_options bo = {.name = "bfd"};
	struct log_sink none = {.kind = LOG_SINK_FILE, .classes = ~0u, .path = "/dev/null"};
	struct config_error err;
	struct config *c;
	int fd = mkstemp(path);

	(void)argc, (void)argv;
	if (fd < 0 || write(fd, configuration, sizeof(configuration) - 1) < 0)
		abort();
	close(fd);
	atexit(remove_file);
	rcu_register_thread();
	log_configure(&none, 1, NULL);
	CDS_INIT_LIST_HEAD(&d.protos);
	CDS_INIT_LIST_HEAD(&d.tables);
	attrs_init();
	d.main = loop_create("main");
	d.ifaces = ifaces_create();
	d.rib = rib_create(1);
	d.nht = nht_create(d.rib);
	d.export = export_create(d.rib);
	d.bfd = bfd_client_create(&bo);
	d.config_path = path;
	d.ctl_path = "fuzz";
	c = config_parse_text("fuzz", configuration, sizeof(configuration) - 1, false, &err);
	if (!c || !d.ifaces || !d.rib || loop_start(d.main) < 0)
		abort();
	loop_call_sync(d.main, commit, c);
	return 0;
}

/* A reply has one final line, its last, and every line begins with a code or a blank. */
static void check_reply(const struct cli_out *o)
{
	const char *at = o->buf, *end = o->buf + o->len;
	bool final = false;

	if (o->ended && !o->len)
		return; /* `down` answers before it acts */
	if (!o->ended || end[-1] != '\n')
		abort();
	while (at < end) {
		const char *nl = memchr(at, '\n', (size_t)(end - at));

		if (final)
			abort();
		if (*at != ' ' && (nl - at < 5 || (at[4] != ' ' && at[4] != '-')))
			abort();
		final = *at != ' ' && at[4] == ' ';
		at = nl + 1;
	}
	if (!final || o->len > (64u << 20))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static _Atomic bool closing;
	struct cli_session s = {.daemon = &d, .closing = &closing, .news = -1};
	const char *text = (const char *)data;

	/* Commands that write files wherever they are told to are not for here. */
	if (size < 2 || memmem(data, size, "mrt", 3))
		return 0;
	s.restricted = data[0] & 1;
	s.arena = arena_create();
	cli_out_init(&s.out, -1);
	for (size_t at = 1; at < size;) {
		const char *nl = memchr(text + at, '\n', size - at);
		size_t len = nl ? (size_t)(nl - text) - at : size - at;

		cli_out_reset(&s.out);
		cli_run_line(&s, text + at, len < 4094 ? len : 4094);
		check_reply(&s.out);
		at += len + 1;
	}
	cli_undo_forget(&s);
	if (s.vm)
		filter_vm_destroy(s.vm);
	for (int i = 0; i < 4; i++) {
		free(s.time_format[i].format);
		free(s.time_format[i].old);
	}
	free(s.json_line.text);
	free(s.scratch);
	arena_destroy(s.arena);
	cli_out_free(&s.out);
	return 0;
}
