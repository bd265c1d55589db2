/* SPDX-License-Identifier: BSD-2-Clause */
/* Reading a configuration from a file or from memory; what its users look up in it. */
#include "controlplane/config/config.h"
#include "controlplane/config/grammar.h"
#include "shared/clock.h"
#include "shared/timefmt.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct config *config_new(const char *path)
{
	struct arena *a = arena_create();
	struct config *c = arena_alloc(a, sizeof(*c));

	c->arena = a;
	c->failover_redirect = TRI_UNSET;
	c->refs = 1;
	c->path = arena_strdup(a, path);
	c->loaded_ns = clock_wall_ns();
	c->gr_wait = 240;
	c->tf_route = c->tf_protocol = TIMEFMT_ISO_SHORT_MS;
	c->tf_route_old = c->tf_protocol_old = "%F";
	c->tf_route_limit_s = c->tf_protocol_limit_s = (uint32_t)(TIMEFMT_SHORT_LIMIT_NS / 1000000000);
	c->tf_base = c->tf_log = TIMEFMT_ISO_LONG_MS;
	CDS_INIT_LIST_HEAD(&c->tables);
	CDS_INIT_LIST_HEAD(&c->protocols);
	c->symbols = symbol_table_create(a);
	return c;
}

/* Protocols without a router id of their own have the global one, which may come after them in the file. */
static void settle(struct config *c)
{
	struct proto_config *pc;

	cds_list_for_each_entry(pc, &c->protocols, node) if (!pc->router_id) pc->router_id = c->router_id;
}

/* Of its own, so that no local of the caller lives across the longjmp. */
static bool parse(struct parser *p, bool from_system)
{
	if (setjmp(p->fail))
		return false;
	grammar_predefine(p, from_system);
	parser_start(p);
	grammar_file(p);
	settle(p->config);
	return true;
}

static struct config *read_with(struct config *c, struct lexer *l, struct config_error *err, bool from_system)
{
	struct parser *p = calloc(1, sizeof(*p));
	struct grammar g = {0};
	bool ok;

	if (!p)
		abort();
	p->lexer = l;
	p->arena = c->arena;
	p->scratch = arena_create();
	p->config = c;
	p->symbols = c->symbols;
	p->scope = c->symbols->global;
	p->error = err;
	p->grammar = &g;
	ok = parse(p, from_system);
	parser_close(p);
	arena_destroy(p->scratch);
	free(p);
	if (!ok) {
		config_release(c);
		return NULL;
	}
	return c;
}

struct config *config_read(const char *path, struct config_error *err)
{
	struct config *c = config_new(path);
	struct lexer *l = lexer_create(c->arena);
	int rc;

	memset(err, 0, sizeof(*err));
	rc = lexer_open_file(l, path);
	if (rc < 0) {
		snprintf(err->file, sizeof(err->file), "%s", path);
		snprintf(err->text, sizeof(err->text), "%s", strerror(-rc));
		lexer_destroy(l);
		config_release(c);
		return NULL;
	}
	return read_with(c, l, err, true);
}

struct config *config_parse_text(
	const char *name, const char *text, size_t len, bool allow_include, struct config_error *err)
{
	struct config *c = config_new(name);
	struct lexer *l = lexer_create(c->arena);

	memset(err, 0, sizeof(*err));
	lexer_open_text(l, name, text, len, allow_include);
	return read_with(c, l, err, allow_include);
}

void config_hold(struct config *c)
{
	c->refs++;
}

void config_release(struct config *c)
{
	if (c && --c->refs == 0)
		arena_destroy(c->arena);
}

void config_error_format(const struct config_error *e, char *buf, size_t size)
{
	if (e->line)
		snprintf(buf, size, "%s:%u:%u %s", e->file, e->line, e->col, e->text);
	else if (e->file[0])
		snprintf(buf, size, "%s: %s", e->file, e->text);
	else
		snprintf(buf, size, "%s", e->text);
}

const struct proto_config *config_find_protocol(const struct config *c, const char *name)
{
	const struct symbol *sym = symbol_find_here(c->symbols->global, name);

	return sym && sym->cls == SYM_PROTOCOL ? sym->proto : NULL;
}

const struct table_config *config_find_table(const struct config *c, const char *name)
{
	const struct symbol *sym = symbol_find_here(c->symbols->global, name);

	return sym && sym->cls == SYM_TABLE ? sym->table : NULL;
}
