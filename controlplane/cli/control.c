/* SPDX-License-Identifier: BSD-2-Clause */
/* Commands that change something: run in main, which fills the reply. */
#include "controlplane/cli/session.h"
#include "controlplane/fib/fib.h"
#include "controlplane/mrt/messages.h"
#include "shared/rcu.h"
#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* ---- configure ---- */

enum configure_what { CONF_LOAD, CONF_CHECK, CONF_CONFIRM, CONF_UNDO, CONF_STATUS };

struct configure {
	struct cli_session *s;
	enum configure_what what;
	bool soft;
	unsigned timeout;
	struct config *c; /* read by the connection's thread */
};

static void result(struct cli_out *o, enum reload_result r)
{
	switch (r) {
	case RELOAD_DONE: cli_end(o, 3, "Reconfigured"); break;
	case RELOAD_IN_PROGRESS: cli_end(o, 4, "Reconfiguration in progress"); break;
	case RELOAD_QUEUED: cli_end(o, 5, "Reconfiguration already in progress, queueing new config"); break;
	case RELOAD_SHUTDOWN: cli_end(o, 6, "Reconfiguration ignored, shutting down"); break;
	case RELOAD_ERROR: cli_end(o, 8002, "Reconfiguration failed"); break;
	}
}

/* Main. The connection's thread writes: it alone knows that no reply is under way. */
static void undo_expired(void *asker)
{
	struct cli_session *s = asker;

	eventfd_write(s->news, 1);
}

static void configure_in_main(void *arg)
{
	struct configure *cf = arg;
	struct daemon *d = cf->s->daemon;
	struct cli_out *o = &cf->s->out;
	char err[512];

	switch (cf->what) {
	case CONF_CONFIRM:
		if (daemon_confirm(d) == 0)
			cli_end(o, 18, "Reconfiguration confirmed");
		else
			cli_end(o, 19, "Nothing to do");
		return;
	case CONF_UNDO:
		cli_line(o, 21, "Undo requested");
		if (daemon_undo(d) < 0)
			cli_end(o, 19, "Nothing to do");
		else
			result(o, daemon_reload_pending(d) ? RELOAD_IN_PROGRESS : RELOAD_DONE);
		return;
	case CONF_STATUS:
		if (d->shutting_down)
			cli_line(o, 6, "Shutdown in progress");
		else if (daemon_reload_pending(d))
			cli_line(o, 4, "Reconfiguration in progress");
		else
			cli_line(o, 3, "Daemon is up and running");
		if (d->undo_timer)
			cli_line(o, 22, "Configuration unconfirmed, undo in %.3f s",
				ev_timer_remaining(loop_ev(d->main), d->undo_timer));
		cli_end(o, 0, "%s", "");
		return;
	case CONF_LOAD:
	case CONF_CHECK: break;
	}
	if (d->shutting_down) {
		cli_end(o, 6, "Reconfiguration ignored, shutting down");
		config_release(cf->c);
		return;
	}
	if (daemon_check(d, cf->c, err, sizeof(err)) < 0) {
		cli_end(o, 8002, "%s", err);
		config_release(cf->c);
		return;
	}
	if (cf->what == CONF_CHECK) {
		cli_end(o, 20, "Configuration OK");
		config_release(cf->c);
		return;
	}
	if (cf->timeout)
		cli_line(o, 22, "Undo scheduled in %u s", cf->timeout);
	result(o, daemon_commit(d, cf->c, cf->soft, cf->timeout));
	if (d->undo_timer && cf->s->news >= 0) {
		d->undo_expired = undo_expired;
		d->undo_asker = cf->s;
	}
}

void cli_undo_news(struct cli_session *s)
{
	eventfd_t n;

	if (eventfd_read(s->news, &n) == 0)
		cli_async(&s->out, "Config timeout expired, starting undo");
}

static void forget_in_main(void *arg)
{
	struct cli_session *s = arg;

	if (s->daemon->undo_asker == s) {
		s->daemon->undo_expired = NULL;
		s->daemon->undo_asker = NULL;
	}
}

void cli_undo_forget(struct cli_session *s)
{
	if (s->news < 0)
		return;
	cli_in_main(s, forget_in_main, s);
	close(s->news);
}

void cli_configure(struct cli_session *s, struct parser *p)
{
	struct configure cf = {.s = s, .what = CONF_LOAD};
	const char *path = s->daemon->config_path;
	struct config_error err;
	char text[800];

	if (parser_accept(p, "soft"))
		cf.soft = true;
	else if (parser_accept(p, "check"))
		cf.what = CONF_CHECK;
	else if (parser_accept(p, "confirm"))
		cf.what = CONF_CONFIRM;
	else if (parser_accept(p, "undo"))
		cf.what = CONF_UNDO;
	else if (parser_accept(p, "status"))
		cf.what = CONF_STATUS;
	if (p->tok.kind == TOK_TEXT && (cf.what == CONF_LOAD || cf.what == CONF_CHECK)) {
		path = p->tok.text;
		parser_next(p);
	}
	if (cf.what == CONF_LOAD && parser_accept(p, "timeout"))
		cf.timeout = p->tok.kind == TOK_EOF ? 300 : parser_number(p);
	else if (p->tok.kind != TOK_EOF)
		parser_syntax_error(p, NULL);
	cli_expect_end(p);
	if (cf.what == CONF_LOAD || cf.what == CONF_CHECK) {
		/* Reading and compiling is this thread's work: main only takes the result over. */
		cli_line(&s->out, 2, "Reading configuration from %s", path);
		cf.c = config_read(path, &err);
		if (!cf.c) {
			config_error_format(&err, text, sizeof(text));
			cli_end(&s->out, 8002, "%s", text);
			return;
		}
	}
	if (cf.timeout && s->news < 0)
		s->news = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	cli_in_main(s, configure_in_main, &cf);
}

/* ---- enable, disable, restart, reload ---- */

struct protocol_command {
	struct cli_session *s;
	const char *verb, *pattern, *message;
	bool is_glob, in, out;
};

static void one(struct cli_out *o, struct proto *p, const struct protocol_command *pc)
{
	const char *name = p->cf->name;

	if (!strcmp(pc->verb, "enable")) {
		if (proto_enable(p) == 0)
			cli_line(o, 11, "%s: enabled", name);
		else
			cli_line(o, 10, "%s: already enabled", name);
	} else if (!strcmp(pc->verb, "disable")) {
		if (proto_disable(p, pc->message) == 0)
			cli_line(o, 9, "%s: disabled", name);
		else
			cli_line(o, 8, "%s: already disabled", name);
	} else if (!strcmp(pc->verb, "restart")) {
		if (proto_restart(p, pc->message) == 0)
			cli_line(o, 12, "%s: restarted", name);
		else
			cli_line(o, 8, "%s: already disabled", name);
	} else if (p->disabled) {
		cli_line(o, 8, "%s: already disabled", name);
	} else if (p->state != PS_UP) {
		cli_line(o, 8, "%s: is not UP", name);
	} else if (proto_reload(p, pc->in, pc->out) < 0) {
		cli_line(o, 8006, "%s: reload failed", name);
	} else {
		cli_line(o, 15, "%s: reloading", name);
	}
}

static void protocol_command_in_main(void *arg)
{
	struct protocol_command *pc = arg;
	struct daemon *d = pc->s->daemon;
	struct proto *p, *tmp;
	bool found = false;

	cds_list_for_each_entry_safe(p, tmp, &d->protos, node)
	{
		if (p->gone || !cli_name_matches(pc->pattern, pc->is_glob, p->cf->name))
			continue;
		found = true;
		one(&pc->s->out, p, pc);
	}
	if (found)
		cli_end(&pc->s->out, 0, "%s", "");
	else
		cli_end(&pc->s->out, 8003, "No protocols match");
}

void cli_protocol_command(struct cli_session *s, struct parser *p, const char *verb)
{
	struct protocol_command pc = {.s = s, .verb = verb, .in = true, .out = true};

	if (!strcmp(verb, "reload")) {
		if (parser_accept(p, "in"))
			pc.out = false;
		else if (parser_accept(p, "out"))
			pc.in = false;
	}
	pc.pattern = cli_parse_name_pattern(s, p, false, &pc.is_glob);
	if (strcmp(verb, "reload") != 0 && p->tok.kind != TOK_EOF) {
		if (p->tok.kind != TOK_TEXT)
			parser_syntax_error(p, "END or TEXT");
		pc.message = parser_text(p);
	}
	cli_expect_end(p);
	cli_in_main(s, protocol_command_in_main, &pc);
}

/* ---- the end ---- */

struct down {
	struct cli_session *s;
	bool graceful;
};

static void down_in_main(void *arg)
{
	struct down *dn = arg;

	daemon_shutdown(dn->s->daemon, dn->graceful);
}

/* The answer is written before main is told: the process may be gone soon after. */
static void order_down(struct cli_session *s, bool graceful)
{
	struct down dn = {s, graceful};

	if (graceful)
		cli_end(&s->out, 25, "Graceful restart requested");
	else
		cli_end(&s->out, 7, "Shutdown requested");
	cli_flush(&s->out);
	cli_in_main(s, down_in_main, &dn);
}

void cli_down(struct cli_session *s, struct parser *p)
{
	cli_expect_end(p);
	order_down(s, false);
}

void cli_graceful_restart(struct cli_session *s, struct parser *p)
{
	parser_expect(p, "restart");
	cli_expect_end(p);
	order_down(s, true);
}

/* ---- debug, mrtdump, echo ---- */

struct mask_word {
	const char *word;
	uint32_t bit;
};

/* all | off | { word, ... } */
static uint32_t parse_mask(struct parser *p, const struct mask_word *words)
{
	uint32_t mask = 0;

	if (parser_accept(p, "all"))
		return UINT32_MAX;
	if (parser_accept(p, "off"))
		return 0;
	if (p->tok.kind != '{')
		parser_syntax_error(p, "OFF or '{' or ALL");
	do {
		const struct mask_word *w = words;

		parser_next(p);
		while (w->word && !parser_is(p, w->word))
			w++;
		if (!w->word)
			parser_syntax_error(p, NULL);
		parser_next(p);
		mask |= w->bit;
	} while (p->tok.kind == ',');
	parser_expect_char(p, '}');
	return mask;
}

struct debug_command {
	struct cli_session *s;
	const char *pattern;
	bool is_glob, mrtdump;
	uint32_t mask;
};

/* Until the configuration says something else. What the protocol's threads read they are handed again. */
static void debug_in_main(void *arg)
{
	struct debug_command *dc = arg;
	struct proto *p;
	bool found = false;

	cds_list_for_each_entry(p, &dc->s->daemon->protos, node)
	{
		if (p->gone || !cli_name_matches(dc->pattern, dc->is_glob, p->cf->name))
			continue;
		found = true;
		/* main owns what is in force */
		*(dc->mrtdump ? &((struct proto_config *)(uintptr_t)p->cf)->mrtdump
			      : &((struct proto_config *)(uintptr_t)p->cf)->debug) = dc->mask;
		if (p->ops && p->ops->reconfigure && p->state != PS_DOWN)
			p->ops->reconfigure(p, p->cf, 0);
	}
	if (found)
		cli_end(&dc->s->out, 0, "%s", "");
	else
		cli_end(&dc->s->out, 8003, "No protocols match");
}

void cli_debug(struct cli_session *s, struct parser *p)
{
	static const struct mask_word words[] = {{"states", DBG_STATES}, {"routes", DBG_ROUTES},
		{"filters", DBG_FILTERS}, {"interfaces", DBG_INTERFACES}, {"events", DBG_EVENTS},
		{"packets", DBG_PACKETS}, {0}};
	struct debug_command dc = {.s = s};

	dc.pattern = cli_parse_name_pattern(s, p, false, &dc.is_glob);
	if (parser_accept_char(p, '.')) /* a channel: the whole protocol here */
		parser_name(p);
	else if (p->tok.kind == TOK_EOF)
		parser_syntax_error(p, "'.' or OFF or '{' or ALL");
	dc.mask = parse_mask(p, words);
	cli_expect_end(p);
	cli_in_main(s, debug_in_main, &dc);
}

void cli_mrtdump(struct cli_session *s, struct parser *p)
{
	static const struct mask_word words[] = {
		{"states", MRTDUMP_STATES}, {"messages", MRTDUMP_MESSAGES}, {0}};
	struct debug_command dc = {.s = s, .mrtdump = true};

	dc.pattern = cli_parse_name_pattern(s, p, false, &dc.is_glob);
	dc.mask = parse_mask(p, words);
	cli_expect_end(p);
	cli_in_main(s, debug_in_main, &dc);
}

/* Accepted for scripts: the log is not echoed. */
void cli_echo(struct cli_session *s, struct parser *p)
{
	static const struct mask_word words[] = {{"debug", 1}, {"trace", 1}, {"info", 1}, {"remote", 1},
		{"warning", 1}, {"error", 1}, {"auth", 1}, {"fatal", 1}, {"bug", 1}, {0}};

	parse_mask(p, words);
	if (p->tok.kind != TOK_EOF) {
		uint32_t size = parser_number(p);

		if (size < 256 || size > 65536)
			parser_fail(p, "Invalid log buffer size");
	}
	cli_expect_end(p);
	cli_end(&s->out, 0, "%s", "");
}

/* What BIRD writes to its debugging output is about its own insides: accepted, nothing is written. */
void cli_dump(struct cli_session *s, struct parser *p)
{
	static const char *const what[] = {"resources", "sockets", "events", "interfaces", "neighbors",
		"attributes", "routes", "tables", "protocols"};
	bool known = parser_accept(p, "filter") && parser_accept(p, "all");

	for (size_t i = 0; i < sizeof(what) / sizeof(*what) && !known; i++)
		known = parser_accept(p, what[i]);
	if (!known)
		parser_syntax_error(p, NULL);
	cli_expect_end(p);
	cli_end(&s->out, 0, "%s", "");
}

/* ---- eval, audit ---- */

void cli_eval(struct cli_session *s, struct parser *p)
{
	const struct filter *f = filter_parse_expression(p);
	const struct attrs none = {0};
	const struct net no_net = {0};
	const struct filter_route r = {.net = &no_net, .attrs = &none, .proto_name = ""};
	struct value v;
	const char *error = NULL;
	char *text = cli_scratch(s);

	if (p->tok.kind != TOK_EOF) {
		filter_release(f);
		cli_expect_end(p);
	}
	/* As in BIRD: there is no route whose attributes could be read. */
	if ((filter_reads(f) & (FILTER_READS_NET | FILTER_READS_SOURCE | FILTER_READS_STATE)) ||
		filter_attrs_read(f)) {
		filter_release(f);
		cli_end(&s->out, 8008, "runtime error");
		return;
	}
	rcu_read_lock();
	if (filter_eval(cli_vm(s), f, &r, &v, &error) < 0) {
		rcu_read_unlock();
		cli_end(&s->out, 8008, "runtime error%s%s", error ? ": " : "", error ? error : "");
	} else {
		value_format(&v, text, CLI_SCRATCH);
		rcu_read_unlock();
		cli_end(&s->out, 23, "%s", text);
	}
	filter_release(f);
}

void cli_audit(struct cli_session *s, struct parser *p)
{
	struct fib_audit a;
	int rc;

	cli_expect_end(p);
	if (!s->daemon->fib) {
		cli_end(&s->out, 9001, "There is no kernel to compare with");
		return;
	}
	rc = fib_audit(s->daemon->fib, &a);
	if (rc < 0) {
		cli_end(&s->out, 8009, "Audit failed: %s", strerror(-rc));
		return;
	}
	cli_line(&s->out, 1100,
		"%llu routes compared: %llu missing, %llu wrong, %llu not ours, %llu repaired "
		"(%llu since the start)",
		(unsigned long long)a.checked, (unsigned long long)a.missing, (unsigned long long)a.wrong,
		(unsigned long long)a.alien, (unsigned long long)a.repaired,
		(unsigned long long)a.repaired_ever);
	cli_end(&s->out, 0, "%s", "");
}
