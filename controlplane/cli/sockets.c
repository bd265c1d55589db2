/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The further control sockets, `cli "PATH" { restrict; };`, as the configuration in force has them. One that
 * it names no more stops listening; its sessions go on (the one that asked for the reload is waiting for the
 * answer), and the server goes when the last of them has ended and somebody looks.
 */
#include "controlplane/cli/cli.h"
#include "controlplane/cli/session.h"
#include "shared/log.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct socket {
	struct cds_list_head node;
	struct cli_server *server;
	bool wanted, retired;
};

struct cli_sockets {
	struct daemon *daemon;
	struct cds_list_head all;
};

struct cli_sockets *cli_sockets_create(struct daemon *d)
{
	struct cli_sockets *s = calloc(1, sizeof(*s));

	if (!s)
		abort();
	s->daemon = d;
	CDS_INIT_LIST_HEAD(&s->all);
	return s;
}

static struct socket *find(struct cli_sockets *s, const char *path)
{
	struct socket *one;

	cds_list_for_each_entry(one, &s->all,
		node) if (!one->retired && !strcmp(cli_server_path(one->server), path)) return one;
	return NULL;
}

static struct socket *open_one(
	struct cli_sockets *s, const char *path, void (*opened)(void *ctx, const char *path), void *ctx)
{
	struct socket *one = calloc(1, sizeof(*one));
	int rc = one ? cli_server_create(s->daemon, path, true, &one->server) : -ENOMEM;

	if (rc < 0) {
		log_msg(LOG_CLASS_ERROR, "Control socket %s: %s", path, strerror(-rc));
		free(one);
		return NULL;
	}
	if (opened)
		opened(ctx, path);
	cds_list_add_tail(&one->node, &s->all);
	return one;
}

void cli_sockets_configure(
	struct cli_sockets *s, const struct config *c, void (*opened)(void *ctx, const char *path), void *ctx)
{
	struct socket *one, *tmp;

	cds_list_for_each_entry(one, &s->all, node) one->wanted = false;
	for (const struct cli_socket_config *cf = c->cli_sockets; cf; cf = cf->next) {
		one = find(s, cf->path);
		if (!one)
			one = open_one(s, cf->path, opened, ctx);
		if (!one)
			continue;
		one->wanted = true;
		cli_server_restrict(one->server, cf->restricted);
	}
	cds_list_for_each_entry_safe(one, tmp, &s->all, node)
	{
		if (one->wanted)
			continue;
		cli_server_retire(one->server);
		one->retired = true;
		if (cli_server_idle(one->server)) {
			cli_server_destroy(one->server);
			cds_list_del(&one->node);
			free(one);
		}
	}
}

void cli_sockets_destroy(struct cli_sockets *s)
{
	struct socket *one, *tmp;

	if (!s)
		return;
	cds_list_for_each_entry_safe(one, tmp, &s->all, node)
	{
		cli_server_destroy(one->server);
		free(one);
	}
	free(s);
}
