/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The link thread: what the BFD engine says becomes failover, then events.
 *
 * On a wake-up from the link state the lost links of the whole batch go to the
 * FIB first, in one call, before anybody else hears of them. Everything that is
 * slower (subscribers, log) comes after. Between wake-ups it provisions sessions
 * and opens the back end again when that is gone.
 */
#include "controlplane/bfd/client.h"
#include "controlplane/fib/fib.h"
#include "shared/clock.h"
#include "shared/log.h"
#include "shared/rcu.h"
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

/* All that is lost together is one call of the FIB, up to this many. */
#define BATCH 4096u
#define RETRY_OPEN (250 * NS_PER_MS)
#define RETRY_ADD (2 * NS_PER_S)
/* The dataplane's heartbeat is written each 100 ms. So many looks in a row that find it where it was, and the
 * dataplane stands still. Looks are counted, not time: time also passes when we ourselves did not run. */
#define BEAT_LOOK (300 * NS_PER_MS)
#define BEATS_MISSED 4

void link_wake(struct bfd_client *c)
{
	const uint64_t one = 1;

	(void)!write(c->wake_fd, &one, sizeof(one));
}

void link_describe(const struct bfd_session *s, char *buf, size_t size)
{
	char addr[IPADDR_STRLEN];

	snprintf(buf, size, "%s%s%s", ipaddr_format(&s->key.remote, addr), s->ifname[0] ? " on " : "",
		s->ifname);
}

/* ---- events ---- */

struct transition {
	struct bfd_session *s;
	enum bfd_event event;
	uint8_t from;
	struct bfd_stamps t;
	struct linkstate_entry e;
};

static const char *event_text(const struct transition *t)
{
	return t->event == BFD_EVENT_DOWN ? bfd_diag_name(t->e.diag) : "";
}

/* Under the lock. */
static void tell(struct bfd_session *s, enum bfd_event ev, const struct linkstate_entry *e,
	const struct bfd_stamps *t, const char *text)
{
	struct bfd_request *q;

	cds_list_for_each_entry(q, &s->requests, node)
		q->cf.event(q->cf.ctx, ev, e->diag, e->flags & LINKSTATE_REMOTE_CBIT, t, text);
}

/* Takes over what the slot says; true if Up was won or lost. Under the lock. */
static bool take_state(struct bfd_client *c, struct bfd_session *s, struct transition *t)
{
	struct linkstate_entry e;
	uint8_t before = s->state.state;
	bool up;

	if (!linkstate_read(&c->ls, s->slot, &e) || e.generation != s->generation)
		return false;
	up = e.state == BFD_UP;
	s->state = e;
	if (e.state != before || !s->known)
		s->since_ns = e.detected_ns ? e.detected_ns : clock_now_ns();
	s->known = true;
	if (up == s->up)
		return false;
	s->up = up;
	*t = (struct transition){.s = s, .from = before, .e = e};
	t->t.last_rx = e.last_rx_ns;
	t->t.detected = e.detected_ns;
	t->t.published = e.detected_ns + e.published_delta_ns;
	t->t.ring_read = clock_now_ns();
	if (up)
		t->event = BFD_EVENT_UP;
	else if (e.remote_state == BFD_ADMIN_DOWN && e.diag == BFD_DIAG_NEIGHBOR_DOWN)
		t->event = BFD_EVENT_ADMIN_DOWN; /* the other side stops BFD, its links may be well (RFC 5882
						    section 3.2) */
	else
		t->event = BFD_EVENT_DOWN;
	return true;
}

static void log_transition(const struct bfd_client *c, const struct transition *t)
{
	char who[96];

	link_describe(t->s, who, sizeof(who));
	if (t->event == BFD_EVENT_UP)
		log_msg(LOG_CLASS_INFO, "%s: Session to %s changed state from %s to Up", c->proto_name, who,
			bfd_state_name(t->from));
	else if (t->t.netlink_acked)
		log_msg(LOG_CLASS_INFO,
			"%s: Session to %s changed state from Up to %s (%s): detected %.3f ms after the last "
			"packet, kernel switched "
			"%.3f ms after that%s",
			c->proto_name, who, bfd_state_name(t->e.state), bfd_diag_name(t->e.diag),
			(double)(t->t.detected - t->t.last_rx) / 1e6,
			(double)(t->t.netlink_acked - t->t.detected) / 1e6,
			t->e.flags & LINKSTATE_AFTER_STALL ? ", after a stall of our own" : "");
	else
		log_msg(LOG_CLASS_INFO,
			"%s: Session to %s changed state from Up to %s (%s): detected %.3f ms after the last "
			"packet%s",
			c->proto_name, who, bfd_state_name(t->e.state), bfd_diag_name(t->e.diag),
			(double)(t->t.detected - t->t.last_rx) / 1e6,
			t->e.flags & LINKSTATE_AFTER_STALL ? ", after a stall of our own" : "");
}

/* All but the log, which may be slow: other links may have been lost meanwhile. */
static void act(struct bfd_client *c, struct transition *t, unsigned n)
{
	struct fib_link links[BATCH];
	unsigned n_links = 0;

	for (unsigned i = 0; i < n && c->fib; i++)
		if (t[i].event == BFD_EVENT_DOWN || t[i].event == BFD_EVENT_UP)
			links[n_links++] = (struct fib_link){
				.addr = t[i].s->key.remote,
				.ifindex = t[i].s->key.ifindex,
				.up = t[i].event == BFD_EVENT_UP,
				.t = &t[i].t,
				.reason = "bfd",
			};
	if (n_links)
		fib_link_event(c->fib, links, n_links);
	pthread_mutex_lock(&c->lock);
	for (unsigned i = 0; i < n; i++)
		t[i].s->fib_down = t[i].event == BFD_EVENT_DOWN;
	for (unsigned i = 0; i < n; i++)
		tell(t[i].s, t[i].event, &t[i].e, &t[i].t, event_text(&t[i]));
	pthread_mutex_unlock(&c->lock);
}

static void log_all(const struct bfd_client *c, const struct transition *t, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		log_transition(c, &t[i]);
}

/* Hints were lost: the table is the truth. */
static void read_whole_table(struct bfd_client *c)
{
	struct transition t[BATCH];
	unsigned n;

	for (uint32_t slot = 0; slot < c->capacity;) {
		pthread_mutex_lock(&c->lock);
		for (n = 0; slot < c->capacity && n < BATCH; slot++)
			if (c->by_slot[slot] && take_state(c, c->by_slot[slot], &t[n]))
				n++;
		pthread_mutex_unlock(&c->lock);
		act(c, t, n);
		log_all(c, t, n);
	}
}

static void read_link_state(struct bfd_client *c)
{
	struct transition t[2 * BATCH];
	uint32_t slots[BATCH];
	bool overrun = false;
	unsigned n, first = 0, end; /* t[0..first) has been acted upon and not yet logged */

	do {
		n = linkstate_poll(&c->reader, slots, BATCH, &overrun);
		end = first;
		pthread_mutex_lock(&c->lock);
		for (unsigned i = 0; i < n; i++) {
			struct bfd_session *s = slots[i] < c->capacity ? c->by_slot[slots[i]] : NULL;

			if (s && take_state(c, s, &t[end]))
				end++;
		}
		pthread_mutex_unlock(&c->lock);
		if (end > first)
			act(c, t + first, end - first);
		first = end;
		if (first > BATCH || n == 0) {
			log_all(c, t, first);
			first = 0;
		}
	} while (n);
	if (overrun)
		read_whole_table(c);
}

/* ---- provisioning ---- */

static void say_problem(const struct bfd_client *c, struct bfd_session *s, const char *text)
{
	char who[96];

	if (!strcmp(s->problem, text))
		return;
	snprintf(s->problem, sizeof(s->problem), "%s", text);
	link_describe(s, who, sizeof(who));
	log_msg(LOG_CLASS_WARNING, "%s: No session to %s: %s", c->proto_name, who, text);
	tell(s, BFD_EVENT_FAILED, &s->state, NULL, s->problem);
}

void link_answer(struct bfd_client *c, struct bfd_session *s, int error, uint32_t slot, uint32_t generation,
	const char *text)
{
	s->awaiting = false;
	if (error || slot >= c->capacity) {
		s->slot = CLIENT_NO_SLOT;
		s->known = false;
		s->retry_ns = clock_now_ns() + RETRY_ADD;
		say_problem(c, s, text && *text ? text : strerror(error));
		return;
	}
	s->problem[0] = 0;
	s->retry_ns = 0;
	if (s->slot != CLIENT_NO_SLOT && s->slot != slot)
		c->by_slot[s->slot] = NULL;
	s->slot = slot;
	s->generation = generation;
	c->by_slot[slot] = s;
}

static void forget_slot(struct bfd_client *c, struct bfd_session *s)
{
	if (s->slot != CLIENT_NO_SLOT && c->by_slot[s->slot] == s)
		c->by_slot[s->slot] = NULL;
	s->slot = CLIENT_NO_SLOT;
}

static void free_session(struct bfd_client *c, struct bfd_session *s)
{
	forget_slot(c, s);
	for (uint32_t i = 0; i < c->n_answers; i++)
		if (c->answers[i] == s)
			c->answers[i] = NULL;
	cds_list_del(&s->node);
	c->n_sessions--;
	c->unsolicited -= s->unsolicited;
	free(s);
}

/* Nobody says any more that the link is lost when BFD does not run on it: links to be taken back, outside the
 * lock. */
struct forgiven {
	struct fib_link link[BATCH];
	unsigned n;
};

static void forgive(struct forgiven *f, struct bfd_session *s)
{
	if (!s->fib_down || f->n == BATCH)
		return;
	s->fib_down = false;
	f->link[f->n++] = (struct fib_link){
		.addr = s->key.remote, .ifindex = s->key.ifindex, .up = true, .reason = "bfd"};
}

/* What must happen for one session; under the lock. */
static void provision_one(struct bfd_client *c, struct bfd_session *s, uint64_t now, struct forgiven *f)
{
	struct bfd_params p;
	bool wanted = s->configured || s->unsolicited || !cds_list_empty(&s->requests), allowed;

	if (!s->dirty && !(s->retry_ns && s->retry_ns <= now))
		return;
	s->dirty = false;
	s->retry_ns = 0;
	allowed = options_apply(c, s, &p) == 0;
	if (!wanted || !allowed) {
		forgive(f, s);
		if (atomic_load(&c->alive) && (s->slot != CLIENT_NO_SLOT || s->awaiting))
			c->ops->remove(c, s);
		forget_slot(c, s);
		s->known = s->up = false;
		s->awaiting = false;
		if (!wanted)
			free_session(c, s);
		else if (c->cfg)
			say_problem(c, s, "not accepted by the bfd protocol");
		return;
	}
	if (memcmp(&s->params, &p, sizeof(p)) == 0 && s->slot != CLIENT_NO_SLOT)
		return;
	s->params = p;
	if (!atomic_load(&c->alive)) {
		s->dirty = true; /* when the back end is there */
		return;
	}
	if (c->ops->add(c, s) < 0) {
		memset(&s->params, 0, sizeof(s->params)); /* not said yet: to be said again */
		s->dirty = true;
	}
}

/* State of sessions that have just got their slot: the dataplane may have held them Up all the time. */
static void first_looks(struct bfd_client *c)
{
	struct transition t[BATCH];
	struct bfd_session *s;
	unsigned n = 0;

	pthread_mutex_lock(&c->lock);
	cds_list_for_each_entry(s, &c->sessions,
		node) if (s->slot != CLIENT_NO_SLOT && !s->known && n < BATCH && take_state(c, s, &t[n])) n++;
	pthread_mutex_unlock(&c->lock);
	act(c, t, n);
	log_all(c, t, n);
}

/* ---- RFC 9468: sessions that neighbours begin ---- */

/* The least time between two complaints about the same limit. */
#define SAY_AGAIN (10 * NS_PER_S)

static bool may_begin(const struct bfd_client *c, const struct ipaddr *remote, const char *ifname)
{
	const struct bfd_unsolicited_config *u = &c->cfg->unsolicited;
	bool allowed = u->n_allow == 0;

	for (unsigned i = 0; i < u->n_allow; i++)
		allowed |= prefix_contains_addr(&u->allow[i], remote);
	return u->on && allowed && (!u->pattern || iface_pattern_match(u->pattern, ifname, NULL));
}

void link_stranger(struct bfd_client *c, const struct bfd_key *k, const char *ifname)
{
	struct bfd_session *s;
	uint64_t now = clock_now_ns();
	char who[96];

	if (!c->cfg || k->kind != BFD_KIND_SINGLEHOP || !may_begin(c, &k->remote, ifname))
		return;
	cds_list_for_each_entry(s, &c->sessions, node) if (s->key.kind == k->kind &&
							   s->key.ifindex == k->ifindex &&
							   ipaddr_equal(&s->key.remote, &k->remote)) return;
	if (c->unsolicited >= c->cfg->unsolicited.limit) {
		if (now - c->limit_said_ns >= SAY_AGAIN)
			log_msg(LOG_CLASS_WARNING,
				"%s: %u unsolicited sessions are the limit, others are refused",
				c->proto_name, c->unsolicited);
		c->limit_said_ns = now;
		return;
	}
	s = client_session_get(c, k, ifname);
	s->unsolicited = s->dirty = true;
	c->unsolicited++;
	link_describe(s, who, sizeof(who));
	log_msg(LOG_CLASS_INFO, "%s: Unsolicited session to %s", c->proto_name, who);
}

/* Those that are not allowed any more, or not Up for too long, are nobody's. Under the lock. */
static void forget_strangers(struct bfd_client *c, uint64_t now)
{
	struct bfd_session *s;

	if (!c->unsolicited)
		return;
	cds_list_for_each_entry(s, &c->sessions, node)
	{
		bool keep =
			s->unsolicited && c->cfg && may_begin(c, &s->key.remote, s->ifname) &&
			(s->up || !s->known || now - s->since_ns < c->cfg->unsolicited.keep_us * NS_PER_US);

		if (!s->unsolicited || keep)
			continue;
		s->unsolicited = false;
		s->dirty = true;
		c->unsolicited--;
	}
}

static void provision(struct bfd_client *c)
{
	uint64_t now = clock_now_ns();
	struct bfd_session *s, *tmp;
	struct forgiven f = {.n = 0};
	bool pending = false;

	pthread_mutex_lock(&c->lock);
	if (c->settings_due && atomic_load(&c->alive) && c->ops->settings(c))
		c->settings_due = false;
	forget_strangers(c, now);
	cds_list_for_each_entry_safe(s, tmp, &c->sessions, node) provision_one(c, s, now, &f);
	cds_list_for_each_entry(s, &c->sessions, node) pending |= s->awaiting || s->dirty;
	pthread_mutex_unlock(&c->lock);
	if (atomic_load(&c->alive)) {
		if (!atomic_load(&c->frozen))
			first_looks(c);
		if (!pending && atomic_exchange(&c->want_sync, false))
			c->ops->sync(c);
	}
}

/* ---- the back end comes and goes ---- */

static void opened(struct bfd_client *c)
{
	struct bfd_session *s;

	log_msg(LOG_CLASS_INFO, "%s: BFD runs on %s", c->proto_name, c->ops->name(c));
	c->last_error = 0;
	linkstate_reader_init(&c->reader, &c->ls);
	pthread_mutex_lock(&c->lock);
	free(c->by_slot);
	c->capacity = c->ls.header->capacity;
	c->by_slot = calloc(c->capacity, sizeof(*c->by_slot));
	if (!c->by_slot)
		abort();
	c->settings_due = true;
	cds_list_for_each_entry(s, &c->sessions, node)
	{
		s->slot = CLIENT_NO_SLOT;
		s->awaiting = false;
		s->dirty = true;
	}
	pthread_mutex_unlock(&c->lock);
	c->beat_look_ns = clock_now_ns();
	c->beats_missed = 0;
	atomic_store(&c->frozen, false);
	atomic_store(&c->alive, true);
}

/* Under the lock. Returns how many sessions had a state. */
static unsigned forget_states(struct bfd_client *c, const char *why)
{
	struct bfd_session *s;
	unsigned n = 0;

	cds_list_for_each_entry(s, &c->sessions, node)
	{
		if (!s->known)
			continue;
		n++;
		tell(s, BFD_EVENT_UNKNOWN, &s->state, NULL, why);
		s->known = false;
		s->since_ns = clock_now_ns();
	}
	return n;
}

static void lost(struct bfd_client *c)
{
	struct bfd_session *s;
	unsigned n;

	pthread_mutex_lock(&c->lock);
	atomic_store(&c->alive, false);
	n = forget_states(c, "the dataplane is gone");
	cds_list_for_each_entry(s, &c->sessions, node)
	{
		s->up = s->awaiting = false;
		s->slot = CLIENT_NO_SLOT;
		s->dirty = true;
	}
	c->n_answers = 0;
	c->ops->close(c);
	pthread_mutex_unlock(&c->lock);
	log_msg(LOG_CLASS_ERROR,
		"%s: Dataplane lost, %s is gone: the state of %u BFD sessions is unknown, BGP sessions stay",
		c->proto_name, c->ops->name(c), n);
	c->retry_ns = clock_now_ns() + RETRY_OPEN;
}

/* A dataplane that stands still, its socket open, looks like links on which nothing happens: only its
 * heartbeat tells. What a session was is kept: if it is found Down afterwards, that is news. */
static void watch_heartbeat(struct bfd_client *c)
{
	uint64_t now = clock_now_ns(), beat;
	unsigned n;

	if (!c->ops->heartbeat || !atomic_load(&c->alive) || now - c->beat_look_ns < BEAT_LOOK)
		return;
	beat = atomic_load_explicit(&c->ls.header->heartbeat_ns, memory_order_acquire);
	c->beat_look_ns = now;
	if (beat != c->beat) {
		c->beat = beat;
		c->beats_missed = 0;
		if (atomic_exchange(&c->frozen, false))
			log_msg(LOG_CLASS_INFO, "%s: Dataplane goes on, %s", c->proto_name, c->ops->name(c));
		return;
	}
	if (++c->beats_missed != BEATS_MISSED)
		return;
	pthread_mutex_lock(&c->lock);
	n = forget_states(c, "the dataplane stands still");
	atomic_store(&c->frozen, true);
	pthread_mutex_unlock(&c->lock);
	log_msg(LOG_CLASS_ERROR,
		"%s: Dataplane stands still, no heartbeat of %s: the state of %u BFD sessions is unknown, "
		"BGP "
		"sessions stay",
		c->proto_name, c->ops->name(c), n);
}

static void try_open(struct bfd_client *c)
{
	bool wanted;
	int rc;

	pthread_mutex_lock(&c->lock);
	wanted = c->cfg != NULL; /* without a bfd protocol nothing is opened, no port is taken */
	pthread_mutex_unlock(&c->lock);
	if (!wanted || atomic_load(&c->alive) || clock_now_ns() < c->retry_ns)
		return;
	rc = c->ops->open(c);
	if (rc == 0) {
		opened(c);
		return;
	}
	if (rc != c->last_error && rc != -EALREADY) /* EALREADY: the back end has said more than we could */
		log_msg(LOG_CLASS_ERROR, "%s: %s does not answer: %s", c->proto_name, c->ops->name(c),
			strerror(-rc));
	c->last_error = rc;
	c->retry_ns = clock_now_ns() + RETRY_OPEN;
}

static void drain(int fd)
{
	uint64_t v;

	(void)!read(fd, &v, sizeof(v));
}

static int wait_ms(struct bfd_client *c)
{
	struct bfd_session *s;
	int ms = !atomic_load(&c->alive) ? 250 : c->ops->heartbeat ? (int)(BEAT_LOOK / NS_PER_MS) + 1 : 1000;

	pthread_mutex_lock(&c->lock);
	cds_list_for_each_entry(s, &c->sessions, node) if (s->awaiting && ms > 100) ms = 100;
	pthread_mutex_unlock(&c->lock);
	return ms;
}

void link_run_ahead(int priority)
{
	struct sched_param sp = {.sched_priority = priority};

	if (sched_setscheduler(0, SCHED_FIFO, &sp))
		log_msg(LOG_CLASS_WARNING,
			"No real-time priority for BFD and failover (%s): late when the machine is busy",
			strerror(errno));
}

void *link_thread(void *arg)
{
	struct bfd_client *c = arg;

	pthread_setname_np(pthread_self(), "link");
	prctl(PR_SET_TIMERSLACK, 1);
	link_run_ahead(PRIORITY_LINK);
	rcu_register_thread();
	while (!atomic_load(&c->stop)) {
		struct pollfd p[3];
		nfds_t n = 1;

		p[0] = (struct pollfd){c->wake_fd, POLLIN, 0};
		try_open(c);
		watch_heartbeat(c);
		provision(c);
		if (atomic_load(&c->alive)) {
			p[n++] = (struct pollfd){c->event_fd, POLLIN, 0};
			if (c->backend_fd >= 0)
				p[n++] = (struct pollfd){c->backend_fd, POLLIN, 0};
		}
		if (poll(p, n, wait_ms(c)) <= 0) {
			if (atomic_load(&c->alive))
				read_link_state(c);
			continue;
		}
		if (n > 1 && p[1].revents) {
			drain(c->event_fd);
			read_link_state(c);
		}
		if (p[0].revents)
			drain(c->wake_fd);
		if (n > 2 && p[2].revents) {
			bool there;

			pthread_mutex_lock(&c->lock);
			there = c->ops->readable(c);
			pthread_mutex_unlock(&c->lock);
			if (!there)
				lost(c);
		}
	}
	if (atomic_load(&c->alive)) {
		struct bfd_session *s;

		pthread_mutex_lock(&c->lock);
		cds_list_for_each_entry(s, &c->sessions,
			node) if (s->slot != CLIENT_NO_SLOT && !atomic_load(&c->keep)) c->ops->remove(c, s);
		c->ops->close(c);
		pthread_mutex_unlock(&c->lock);
	}
	rcu_unregister_thread();
	return NULL;
}
