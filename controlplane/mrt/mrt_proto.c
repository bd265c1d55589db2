/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `protocol mrt`: tables written to files every so often. Main has the timer; each dump has a thread of its
 * own, which lives as long as the dump and tells main when it has done.
 */
#include "controlplane/config/model.h"
#include "controlplane/mrt/table_dump.h"
#include "shared/log.h"
#include "shared/rcu.h"
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct mrt_data {
	struct proto *p;
	ev_timer timer;
	uint32_t period;
	struct mrt_dump *dump; /* running */
	pthread_t thread;
	_Atomic bool stop;
	char name[65]; /* for the thread */
};

static void complain(void *ctx, const char *text)
{
	const struct mrt_data *m = ctx;

	log_msg(LOG_CLASS_ERROR, "%s: %s", m->name, text);
}

static void trace(const struct proto *p, const char *text)
{
	if (p->cf->debug & DBG_EVENTS)
		log_msg(LOG_CLASS_TRACE, "%s: %s", p->cf->name, text);
}

static void went_down(struct proto *p)
{
	free(p->data);
	p->data = NULL;
	proto_set_state(p, PS_DOWN);
}

static void done(void *arg)
{
	struct mrt_data *m = arg;

	pthread_join(m->thread, NULL);
	mrt_dump_free(m->dump);
	m->dump = NULL;
	trace(m->p, "RIB table dump done");
	if (m->p->state == PS_STOP)
		went_down(m->p);
}

static void *run(void *arg)
{
	struct mrt_data *m = arg;
	struct loop *main = m->p->daemon->main;

	pthread_setname_np(pthread_self(), "mrt");
	rcu_register_thread();
	mrt_dump_run(m->dump);
	rcu_unregister_thread();
	loop_call(main, done, m);
	return NULL;
}

static void on_timer(struct ev_loop *ev, ev_timer *w, int revents)
{
	struct mrt_data *m = w->data;
	struct proto *p = m->p;
	const struct mrt_config *cf = p->cf->body;

	(void)ev, (void)revents;
	if (m->dump) {
		log_msg(LOG_CLASS_WARNING, "%s: Earlier RIB table dump still not finished, skipping next one",
			p->cf->name);
		return;
	}
	trace(p, "RIB table dump started");
	m->dump = mrt_dump_create(
		p->daemon, cf->table ? cf->table->name : NULL, cf->table_pattern, &cf->filter, cf->filename);
	m->dump->always_add_path = cf->always_add_path;
	m->dump->complain = complain;
	m->dump->ctx = m;
	m->dump->stop = &m->stop;
	if (pthread_create(&m->thread, NULL, run, m) == 0)
		return;
	log_msg(LOG_CLASS_ERROR, "%s: no thread for a table dump", p->cf->name);
	mrt_dump_free(m->dump);
	m->dump = NULL;
}

static int mrt_start(struct proto *p)
{
	const struct mrt_config *cf = p->cf->body;
	struct mrt_data *m = calloc(1, sizeof(*m));

	if (!m)
		return -ENOMEM;
	m->p = p;
	m->period = cf->period;
	strncpy(m->name, p->cf->name, sizeof(m->name) - 1);
	ev_timer_init(&m->timer, on_timer, cf->period, cf->period);
	m->timer.data = m;
	ev_timer_start(loop_ev(p->daemon->main), &m->timer);
	p->data = m;
	proto_set_state(p, PS_UP);
	return 0;
}

/* A dump under way is finished, unless everything ends. */
static void mrt_stop(struct proto *p, const char *message)
{
	struct mrt_data *m = p->data;

	(void)message;
	ev_timer_stop(loop_ev(p->daemon->main), &m->timer);
	if (p->daemon->shutting_down)
		atomic_store(&m->stop, true);
	if (!m->dump)
		went_down(p);
}

static void mrt_reconfigure(struct proto *p, const struct proto_config *old, uint32_t change)
{
	const struct mrt_config *cf = p->cf->body;
	struct ev_loop *ev = loop_ev(p->daemon->main);
	struct mrt_data *m = p->data;
	double left;

	(void)old, (void)change;
	if (!m || cf->period == m->period)
		return;
	left = ev_timer_remaining(ev, &m->timer) - m->period + cf->period;
	m->period = cf->period;
	ev_timer_stop(ev, &m->timer);
	ev_timer_set(&m->timer, left > 0 ? left : 0, cf->period);
	ev_timer_start(ev, &m->timer);
}

const struct proto_ops mrt_ops = {
	.type = PROTO_MRT,
	.start = mrt_start,
	.stop = mrt_stop,
	.reconfigure = mrt_reconfigure,
};
