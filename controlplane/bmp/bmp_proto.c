/* SPDX-License-Identifier: BSD-2-Clause */
/* `protocol bmp`: main's side of a station. */
#include "controlplane/bmp/station.h"
#include "controlplane/cli/cli.h"
#include "controlplane/proto/proto.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/utsname.h>

static void went_up(void *arg)
{
	struct proto *p = arg;

	if (p->state == PS_START)
		proto_set_state(p, PS_UP);
}

static void lost(void *arg)
{
	struct proto *p = arg;

	if (p->state == PS_UP)
		proto_set_state(p, PS_START);
}

static void state(void *ctx, bool up)
{
	struct proto *p = ctx;

	loop_call(p->daemon->main, up ? went_up : lost, p);
}

static void down(void *arg)
{
	struct proto *p = arg;

	bmp_station_destroy(p->data);
	p->data = NULL;
	proto_set_state(p, PS_DOWN);
}

static void stopped(void *ctx)
{
	struct proto *p = ctx;

	loop_call(p->daemon->main, down, p);
}

static uint64_t limit_of(const struct bmp_config *cf)
{
	return (uint64_t)cf->tx_limit_mb << 20;
}

static int bmp_start(struct proto *p)
{
	const struct bmp_config *cf = p->cf->body;
	struct utsname u;
	struct bmp_station_config c = {
		.name = p->cf->name,
		.sys_name = cf->sys_name,
		.sys_descr = cf->sys_descr ? cf->sys_descr : "Peregrine " PEREGRINE_VERSION,
		.local = cf->local,
		.address = cf->station,
		.port = cf->port,
		.pre_policy = cf->pre_policy,
		.post_policy = cf->post_policy,
		.limit_bytes = limit_of(cf),
		.rib = p->daemon->rib,
		.hub = p->daemon->bmp,
		.state = state,
		.stopped = stopped,
		.ctx = p,
	};

	if (!c.sys_name)
		c.sys_name = p->config->hostname ? p->config->hostname : uname(&u) < 0 ? "" : u.nodename;
	p->data = bmp_station_create(&c);
	if (!p->data)
		return -errno;
	proto_set_state(p, PS_START);
	return 0;
}

static void bmp_stop(struct proto *p, const char *message)
{
	(void)message;
	bmp_station_stop(p->data);
}

static void bmp_reconfigure(struct proto *p, const struct proto_config *old, uint32_t change)
{
	(void)old, (void)change;
	if (p->data)
		bmp_station_set_limit(p->data, limit_of(p->cf->body));
}

static void bmp_info(struct proto *p, char *buf, size_t size)
{
	struct bmp_station_view v;

	*buf = 0;
	if (!p->data)
		return;
	bmp_station_view(p->data, &v);
	snprintf(buf, size, "%s%s%s", v.connected ? "Established" : "Connect", v.error[0] ? "  " : "",
		v.error);
}

static void bmp_show_all(struct proto *p, struct cli_out *o)
{
	const struct bmp_config *cf = p->cf->body;
	struct bmp_station_view v;
	char text[IPADDR_STRLEN];

	cli_line(o, 1006, "  Station address:    %s", ipaddr_format(&cf->station, text));
	cli_line(o, 1006, "  Station port:       %u", cf->port);
	if (!p->data)
		return;
	bmp_station_view(p->data, &v);
	if (v.error[0])
		cli_line(o, 1006, "  Last error:         %s", v.error);
	cli_line(o, 1006, "  Sent bytes:         %llu", (unsigned long long)v.messages_bytes);
	cli_line(o, 1006, "  Waiting bytes:      %llu of %llu", (unsigned long long)v.queued_bytes,
		(unsigned long long)limit_of(cf));
	cli_line(o, 1006, "  Connections:        %llu", (unsigned long long)v.connections);
	cli_line(o, 1006, "  Limit reached:      %llu times", (unsigned long long)v.overflows);
}

const struct proto_ops bmp_ops = {
	.type = PROTO_BMP,
	.start = bmp_start,
	.stop = bmp_stop,
	.reconfigure = bmp_reconfigure,
	.info = bmp_info,
	.show_all = bmp_show_all,
};
