/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Adj-RIB-Out (RFC 8671): what leaves for a neighbour, and what would without its export filter.
 *
 * The station is one more member of the neighbour's export group: it is given the same blocks that the
 * neighbour is given, and hands the messages on as they are. So a station costs no table of its own,
 * and one that is slow is treated as a slow neighbour is: it is told the final state of what it missed.
 *
 * Threads: wake() comes from shards and only posts. A call that is posted when the member is detached runs
 * before the one that frees it.
 */
#include "controlplane/bgp/wire.h"
#include "controlplane/bmp/station_priv.h"
#include "shared/clock.h"
#include <stdlib.h>

struct bmp_out {
	struct bmp_out *next;
	struct bmp_station *s;
	struct bmp_peer *p; /* held */
	uint32_t source;    /* the channel */
	bool as4;
	enum bmp_rib rib;
	struct export_peer *x; /* NULL: detached */
	struct bmp_export *e;  /* held: its filter */
	bool more;             /* to be had from x */
	_Atomic bool posted;
};

static void ready(void *arg)
{
	struct bmp_out *o = arg;

	atomic_store(&o->posted, false);
	if (!o->x)
		return;
	o->more = true;
	station_more_soon(o->s);
}

static void wake(void *ctx)
{
	struct bmp_out *o = ctx;

	if (!atomic_exchange(&o->posted, true))
		loop_call(o->s->loop, ready, o);
}

static struct export_peer_config config_of(struct bmp_out *o, const struct bmp_export *e)
{
	struct export_peer_config c = e->cf;

	if (o->rib == BMP_OUT_PRE)
		c.filter = (struct filter_ref){.kind = FILTER_ALL};
	if (c.export_limit.action != LIMIT_BLOCK)
		c.export_limit = (struct limit_config){0};
	c.end_of_rib = c.observer = true;
	c.wake = wake;
	c.limit_hit = NULL;
	c.ctx = o;
	return c;
}

static void set(struct bmp_station *s, struct bmp_peer *p, const struct bmp_export *e, enum bmp_rib rib)
{
	struct bmp_export *held = bmp_export_hold((struct bmp_export *)e);
	struct export_peer_config c;
	struct bmp_out *o;

	for (o = s->outs; o; o = o->next)
		if (o->p == p && o->source == e->cf.own_source && o->rib == rib)
			break;
	if (o) {
		c = config_of(o, held);
		export_reconfigure(o->x, &c);
		bmp_export_release(o->e);
		o->e = held;
		return;
	}
	o = calloc(1, sizeof(*o));
	if (!o)
		abort();
	*o = (struct bmp_out){
		.s = s, .p = bmp_peer_hold(p), .source = e->cf.own_source, .rib = rib, .e = held};
	o->as4 = e->cf.encode.as4;
	c = config_of(o, held);
	o->x = export_attach(s->c.export, &c);
	if (!o->x)
		abort();
	o->next = s->outs;
	s->outs = o;
}

void outs_set(struct bmp_station *s, struct bmp_peer *p, const struct bmp_export *e)
{
	if (s->c.ribs & BMP_RIB_BIT(BMP_OUT_PRE))
		set(s, p, e, BMP_OUT_PRE);
	if (s->c.ribs & BMP_RIB_BIT(BMP_OUT_POST))
		set(s, p, e, BMP_OUT_POST);
}

static void free_out(void *arg)
{
	struct bmp_out *o = arg;

	bmp_export_release(o->e);
	bmp_peer_release(o->p);
	free(o);
}

void outs_close(struct bmp_station *s, const struct bmp_peer *p)
{
	struct bmp_out **at = &s->outs, *o;

	while ((o = *at)) {
		struct export_peer *x = o->x;

		if (p && o->p != p) {
			at = &o->next;
			continue;
		}
		*at = o->next;
		o->x = NULL;
		export_detach(x);
		loop_call(s->loop, free_out, o);
	}
}

/* Whole messages. */
static void say(struct bmp_out *o, const uint8_t *m, size_t len)
{
	uint64_t now = clock_wall_ns();

	while (len) {
		size_t n = (size_t)get_u16(m + 16);

		if (m[18] == BGP_MSG_UPDATE)
			bmp_put_message(&o->s->tx, o->p, o->rib, o->as4, m, n, now);
		m += n;
		len -= n;
	}
}

void outs_fetch(struct bmp_station *s)
{
	struct iovec iov[8];

	for (struct bmp_out *o = s->outs; o; o = o->next)
		while (o->more && bmp_buffer_left(&s->tx) < WALK_BELOW) {
			unsigned n = export_take(o->x, iov, 8);
			size_t sum = 0;

			o->more = n != 0;
			for (unsigned i = 0; i < n; i++) {
				say(o, iov[i].iov_base, iov[i].iov_len);
				sum += iov[i].iov_len;
			}
			if (n)
				export_sent(o->x, sum);
		}
}

bool outs_waiting(const struct bmp_station *s)
{
	for (const struct bmp_out *o = s->outs; o; o = o->next)
		if (o->more)
			return true;
	return false;
}

uint64_t outs_count(const struct bmp_station *s, const struct bmp_peer *p)
{
	struct export_peer_stats st;
	uint64_t sum = 0;

	for (const struct bmp_out *o = s->outs; o; o = o->next)
		if (o->p == p && o->rib == BMP_OUT_POST) {
			export_peer_stats(o->x, &st);
			sum += st.exported;
		}
	return sum;
}
