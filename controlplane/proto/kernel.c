/* SPDX-License-Identifier: BSD-2-Clause */
/* `protocol kernel`: one channel of the FIB, and the source of the routes it learns. */
#include "controlplane/fib/fib.h"
#include "controlplane/proto/proto.h"
#include <errno.h>

static struct proto_channel *only_channel(struct proto *p)
{
	return cds_list_empty(&p->channels) ? NULL
					    : cds_list_first_entry(&p->channels, struct proto_channel, node);
}

static struct fib_channel_config channel_config(struct proto *p, struct proto_channel *c)
{
	const struct kernel_config *cf = p->cf->body;

	return (struct fib_channel_config){
		.table = c->table,
		.kernel = cf,
		.export = c->cf->export,
		.learn_source = cf->learn ? c->source : NULL,
	};
}

static int kernel_start(struct proto *p)
{
	const struct rib_source_config sc = {.source = RTS_INHERIT};
	struct proto_channel *c = only_channel(p);
	struct fib_channel_config fc;
	int rc;

	if (!p->daemon->fib)
		return -EPERM;
	if (!c) {
		proto_set_state(p, PS_UP);
		return 0;
	}
	rc = proto_channel_open(c, &sc);
	if (rc < 0)
		return rc;
	fc = channel_config(p, c);
	c->export = fib_channel_open(p->daemon->fib, &fc);
	if (!c->export)
		return -ENOMEM;
	proto_set_state(p, PS_UP);
	return 0;
}

static void closed(void *arg)
{
	proto_set_state(arg, PS_DOWN);
}

/* From a thread of the FIB. */
static void channel_closed(void *ctx)
{
	struct proto *p = ctx;

	loop_call(p->daemon->main, closed, p);
}

static void kernel_stop(struct proto *p, const char *message)
{
	const struct kernel_config *cf = p->cf->body;
	struct proto_channel *c = only_channel(p);
	struct fib_channel *ch = c ? c->export : NULL;

	(void)message;
	if (!ch) {
		proto_set_state(p, PS_DOWN);
		return;
	}
	c->export = NULL;
	fib_channel_close(
		ch, cf->persist || (p->daemon->shutting_down && p->daemon->kernel_keep), channel_closed, p);
}

static void kernel_reconfigure(struct proto *p, const struct proto_config *old, uint32_t change)
{
	struct proto_channel *c = only_channel(p);
	struct fib_channel_config fc;

	(void)old;
	if (!c || !c->export)
		return;
	proto_channels_reconfigure(p, change);
	if (!(change & ~PROTO_SOFT)) /* `soft`: another export filter waits for a reload */
		return;
	fc = channel_config(p, c);
	fib_channel_reconfigure(c->export, &fc);
}

static int kernel_reload(struct proto *p, bool in, bool out)
{
	struct proto_channel *c = only_channel(p);
	struct fib_channel_config fc;

	if (!c || !c->export)
		return -ENOTSUP;
	if (in && c->source) {
		struct rib_source_config sc = *rib_source_config(c->source);

		rib_source_reconfigure(c->source, &sc, RIB_ALWAYS);
	}
	if (out) {
		fc = channel_config(p, c);
		fib_channel_reconfigure(c->export, &fc);
	}
	return 0;
}

static void kernel_export_stats(struct proto *p, struct proto_channel *c, struct export_feed_stats *out)
{
	struct fib_channel_stats st;

	(void)p;
	if (!c->export)
		return;
	fib_channel_stats(c->export, &st);
	*out = st.feed;
}

const struct proto_ops kernel_ops = {
	.type = PROTO_KERNEL,
	.start = kernel_start,
	.stop = kernel_stop,
	.reconfigure = kernel_reconfigure,
	.export_stats = kernel_export_stats,
	.reload = kernel_reload,
};
