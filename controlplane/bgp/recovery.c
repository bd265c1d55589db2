/* SPDX-License-Identifier: BSD-2-Clause */
#include "controlplane/bgp/recovery.h"
#include "controlplane/bgp/bgp.h"
#include "controlplane/bgp/bgp_proto.h"
#include "controlplane/fib/fib.h"
#include "shared/log.h"

static void finish(struct bgp_recovery *r, const char *why)
{
	struct daemon *d = r->daemon;

	ev_timer_stop(loop_ev(d->main), &r->timer);
	r->running = false;
	d->recovering = false;
	log_msg(LOG_CLASS_INFO, "%s", why);
	bgp_recovery_ended(d);
	if (d->fib)
		fib_recovery_done(d->fib);
}

static void on_timer(struct ev_loop *ev, ev_timer *w, int revents)
{
	(void)ev;
	(void)revents;
	finish(w->data, "Graceful restart timeout");
}

bool recovery_join(struct bgp_recovery *r, struct daemon *d, unsigned n)
{
	if (!d->recovering)
		return false;
	r->daemon = d;
	r->waiting += n;
	if (!r->running) {
		struct ev_loop *ev = loop_ev(d->main);

		r->running = true;
		r->total_s = d->config ? d->config->gr_wait : 240;
		log_msg(LOG_CLASS_INFO, "Graceful restart started");
		if (d->fib)
			fib_defer(d->fib);
		ev_now_update(ev);
		ev_timer_init(&r->timer, on_timer, r->total_s, 0);
		r->timer.data = r;
		ev_timer_start(ev, &r->timer);
	}
	return true;
}

static void check(struct bgp_recovery *r)
{
	if (r->running && !r->waiting && !r->settling)
		finish(r, "Graceful restart done");
}

void recovery_leave(struct bgp_recovery *r, unsigned n)
{
	if (!r->running)
		return;
	r->waiting -= n < r->waiting ? n : r->waiting;
	check(r);
}

static void run_settled(void *arg)
{
	struct bgp_recovery *r = arg;

	r->settling = r->held;
	check(r);
}

/* A shard's thread: what was held is in the tables. */
static void settled(void *arg)
{
	struct bgp_recovery *r = arg;

	loop_call(r->daemon->main, run_settled, r);
}

void bgp_recovery_hold(struct daemon *d, bool held)
{
	struct bgp_recovery *r = d->bgp && d->recovering ? engine_recovery(d->bgp) : NULL;

	if (!r || r->held == held)
		return;
	r->daemon = d;
	r->held = held;
	if (held)
		r->settling = true;
	else
		rib_roa_settle(d->rib, settled, r);
}

void recovery_stop(struct bgp_recovery *r)
{
	if (r->running)
		ev_timer_stop(loop_ev(r->daemon->main), &r->timer);
	r->running = false;
}

bool bgp_recovery_status(struct daemon *d, unsigned *channels, double *left_s, uint32_t *total_s)
{
	struct bgp_recovery *r = d->bgp ? engine_recovery(d->bgp) : NULL;

	if (!r || !r->running)
		return false;
	*channels = r->waiting;
	*left_s = ev_timer_remaining(loop_ev(d->main), &r->timer);
	*total_s = r->total_s;
	return true;
}
