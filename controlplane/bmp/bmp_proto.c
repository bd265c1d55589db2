/* SPDX-License-Identifier: BSD-2-Clause */
/* `protocol bmp`: main's side of a station. */
#include "controlplane/bmp/message.h"
#include "controlplane/bmp/station.h"
#include "controlplane/cli/cli.h"
#include "controlplane/proto/proto.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/utsname.h>

struct bmp_data {
	struct bmp_station *station;
	struct rib_table *loc_rib[BMP_CHANNELS]; /* NULL: not told */
};

static struct bmp_station *station_of(const struct proto *p)
{
	return p->data ? ((struct bmp_data *)p->data)->station : NULL;
}

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

static void free_data(struct proto *p)
{
	struct bmp_data *b = p->data;

	for (unsigned i = 0; i < BMP_CHANNELS; i++)
		if (b->loc_rib[i])
			rib_table_close(b->loc_rib[i]);
	free(b);
	p->data = NULL;
}

static void down(void *arg)
{
	struct proto *p = arg;

	bmp_station_destroy(station_of(p));
	free_data(p);
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

static unsigned ribs_of(const struct bmp_config *cf)
{
	return (cf->pre_policy ? BMP_RIB_BIT(BMP_IN_PRE) : 0) |
	       (cf->post_policy ? BMP_RIB_BIT(BMP_IN_POST) : 0) |
	       (cf->out_pre_policy ? BMP_RIB_BIT(BMP_OUT_PRE) : 0) |
	       (cf->out_post_policy ? BMP_RIB_BIT(BMP_OUT_POST) : 0) |
	       (cf->loc_rib ? BMP_RIB_BIT(BMP_LOCAL) : 0);
}

/* There is no AS number of the whole configuration: that of its first BGP protocol. */
static uint32_t own_as(const struct config *c)
{
	const struct proto_config *pc;

	cds_list_for_each_entry(pc, &c->protocols, node)
	{
		if (pc->type == PROTO_BGP && !pc->is_template)
			return ((const struct bgp_config *)pc->body)->local_as;
	}
	return 0;
}

static int bmp_start(struct proto *p)
{
	const struct bmp_config *cf = p->cf->body;
	struct bmp_data *b = calloc(1, sizeof(*b));
	struct utsname u;
	struct bmp_station_config c = {
		.name = p->cf->name,
		.sys_name = cf->sys_name,
		.sys_descr = cf->sys_descr ? cf->sys_descr : "Peregrine " PEREGRINE_VERSION,
		.local = cf->local,
		.address = cf->station,
		.port = cf->port,
		.ribs = ribs_of(cf),
		.local_as = own_as(p->config),
		.router_id = p->cf->router_id ? p->cf->router_id : p->daemon->router_id,
		.mirror = cf->mirror,
		.limit_bytes = limit_of(cf),
		.rib = p->daemon->rib,
		.export = p->daemon->export,
		.hub = p->daemon->bmp,
		.state = state,
		.stopped = stopped,
		.ctx = p,
	};

	if (!b)
		return -ENOMEM;
	for (unsigned i = 0; cf->loc_rib && i < BMP_CHANNELS; i++) {
		const struct table_config *t = cf->loc_rib_table[i];

		b->loc_rib[i] = c.local_table[i] = rib_table_open(p->daemon->rib, t->name, t->net, t->sorted);
	}
	p->data = b;
	if (!c.sys_name)
		c.sys_name = p->config->hostname ? p->config->hostname : uname(&u) < 0 ? "" : u.nodename;
	b->station = bmp_station_create(&c);
	if (!b->station) {
		int rc = -errno;

		free_data(p);
		return rc;
	}
	proto_set_state(p, PS_START);
	return 0;
}

static void bmp_stop(struct proto *p, const char *message)
{
	(void)message;
	bmp_station_stop(station_of(p));
}

static void bmp_reconfigure(struct proto *p, const struct proto_config *old, uint32_t change)
{
	(void)old, (void)change;
	if (p->data)
		bmp_station_set_limit(station_of(p), limit_of(p->cf->body));
}

static void bmp_info(struct proto *p, char *buf, size_t size)
{
	struct bmp_station_view v;

	*buf = 0;
	if (!p->data)
		return;
	bmp_station_view(station_of(p), &v);
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
	bmp_station_view(station_of(p), &v);
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
