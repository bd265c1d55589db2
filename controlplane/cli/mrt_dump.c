/* SPDX-License-Identifier: BSD-2-Clause */
/* mrt dump table T|"glob" [filter F|where E] to "FILE": in the connection's thread, beside everything else.
 */
#include "controlplane/cli/session.h"
#include "controlplane/mrt/table_dump.h"

struct mrt_dump_command {
	struct cli_session *s;
	const char *table, *pattern, *filename;
	struct filter_ref filter;
	struct mrt_dump *dump;
};

static void prepare(void *arg)
{
	struct mrt_dump_command *c = arg;

	c->dump = mrt_dump_create(c->s->daemon, c->table, c->pattern, &c->filter, c->filename);
}

static void complain(void *ctx, const char *text)
{
	struct cli_session *s = ctx;

	cli_line(&s->out, 8009, "%s", text);
}

void cli_mrt_dump(struct cli_session *s, struct parser *p)
{
	struct mrt_dump_command c = {.s = s, .filter.kind = FILTER_ALL};

	while (p->tok.kind != TOK_EOF) {
		if (parser_accept(p, "table")) {
			c.table = c.pattern = NULL;
			if (p->tok.kind == TOK_TEXT)
				c.pattern = parser_text(p);
			else if (!parser_symbol(p))
				parser_syntax_error(p, "CF_SYM_KNOWN or TEXT");
			else
				c.table = cli_parse_symbol(s, p, SYM_TABLE);
		} else if (parser_accept(p, "to")) {
			c.filename = parser_text(p);
		} else if (parser_is(p, "filter") || parser_is(p, "where")) {
			c.filter = filter_parse_ref(p);
		} else {
			parser_syntax_error(p, NULL);
		}
	}
	if (!c.table && !c.pattern)
		parser_fail(p, "Table not specified");
	if (!c.filename)
		parser_fail(p, "File not specified");
	cli_in_main(s, prepare, &c);
	c.dump->complain = complain;
	c.dump->ctx = s;
	c.dump->stop = s->closing;
	mrt_dump_run(c.dump);
	mrt_dump_free(c.dump);
	cli_end(&s->out, 0, "%s", "");
}
