/* SPDX-License-Identifier: BSD-2-Clause */
#include "controlplane/bmp/station.h"
#include "controlplane/bmp/message.h"
#include "controlplane/loop/loop.h"
#include "shared/clock.h"
#include "shared/log.h"
#include "shared/rcu.h"
#include <errno.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define RETRY_S 10.
#define CONNECT_TIMEOUT_S 10.
#define STATISTICS_S 60.
#define WALK_BELOW (1u << 20) /* bytes waiting to be sent */
#define SLICE 128u            /* prefixes under one rcu_read_lock() */
#define MAX_SHARDS 64u

enum { STOPPING_NO, STOPPING_TABLES, STOPPING_DONE };

/* A change of one route in an Adj-RIB-In. pre, post: attributes (held), 0 withdrawn. */
struct event {
	struct prefix net;
	uint32_t source, path_id, pre, post;
	bool pre_changed, post_changed;
	uint64_t changed_ns;
};

struct chunk {
	struct bmp_station *s;
	uint64_t connection;
	unsigned n, size;
	struct event event[];
};

/* A table in which some session's routes are. */
struct table {
	struct bmp_station *s;
	struct table *next;
	struct rib_table *table; /* held */
	struct rib_listener *listener;
	uint64_t connection;
	_Atomic unsigned open_shards, quiet_shards; /* that listen; that do no longer */
	struct chunk *chunk[MAX_SHARDS];            /* being filled, each by its shard */
	/* the walk */
	bool wanted, walking;
	struct rib_cursor cursor;
};

struct peer {
	struct bmp_peer *p;
	bool wanted[BMP_CHANNELS], walking[BMP_CHANNELS];
};

struct bmp_station {
	struct bmp_station_config c;
	char *name, *sys_name, *sys_descr;
	struct loop *loop;
	int fd;
	bool up;
	uint64_t connection; /* counts them: what belongs to one before is dropped */
	ev_io io;            /* reading only tells us that it is gone */
	ev_io out;
	ev_timer retry, patience, walk, statistics;
	struct bmp_buffer tx;
	struct bmp_subscriber subscriber;
	bool subscribed;
	struct peer *peers; /* sorted by nothing: found by index */
	unsigned n_peers, cap_peers;
	uint32_t *index; /* source -> peer * BMP_CHANNELS + channel + 1, open addressing; 0: empty */
	unsigned index_size;
	struct table *tables; /* listening or on the way out */
	struct rib_net_view *view;
	int stopping;
	_Atomic uint64_t queued_events; /* in chunks that are on their way */
	_Atomic bool overflow;
	_Atomic uint64_t limit;
	pthread_mutex_t lock; /* of the view */
	struct bmp_station_view shown;
};

static struct ev_loop *ev_of(struct bmp_station *s)
{
	return loop_ev(s->loop);
}

static void disconnect(struct bmp_station *s, const char *why);
static void flush(struct bmp_station *s);

/* ---- peers of this connection ---- */

static unsigned slot_of(const struct bmp_station *s, uint32_t source)
{
	unsigned mask = s->index_size - 1, i = (source * 2654435761u) & mask;

	while (s->index[i]) {
		uint32_t at = s->index[i] - 1;
		const struct bmp_peer *p = s->peers[at / BMP_CHANNELS].p;

		if (p->channel[at % BMP_CHANNELS].source == source)
			break;
		i = (i + 1) & mask;
	}
	return i;
}

static void make_index(struct bmp_station *s)
{
	unsigned size = 16;

	while (size < 4 * BMP_CHANNELS * (s->n_peers + 1))
		size *= 2;
	free(s->index);
	s->index = calloc(size, sizeof(*s->index));
	if (!s->index)
		abort();
	s->index_size = size;
	for (unsigned i = 0; i < s->n_peers; i++)
		for (unsigned k = 0; k < s->peers[i].p->n_channels; k++)
			s->index[slot_of(s, s->peers[i].p->channel[k].source)] = i * BMP_CHANNELS + k + 1;
}

static struct peer *peer_of(struct bmp_station *s, uint32_t source, unsigned *channel)
{
	uint32_t at;

	if (!s->n_peers || !(at = s->index[slot_of(s, source)]))
		return NULL;
	*channel = (at - 1) % BMP_CHANNELS;
	return &s->peers[(at - 1) / BMP_CHANNELS];
}

static void forget_peers(struct bmp_station *s)
{
	for (unsigned i = 0; i < s->n_peers; i++)
		bmp_peer_release(s->peers[i].p);
	s->n_peers = 0;
}

/* ---- changes: in the shards' threads ---- */

static struct event *add_event(struct table *t, unsigned shard)
{
	struct chunk *c = t->chunk[shard];

	if (c && c->n == c->size) {
		c->size *= 2;
		c = realloc(c, sizeof(*c) + c->size * sizeof(c->event[0]));
	} else if (!c) {
		c = malloc(sizeof(*c) + 32 * sizeof(c->event[0]));
		if (c)
			*c = (struct chunk){.s = t->s, .connection = t->connection, .size = 32};
	}
	if (!c)
		abort();
	t->chunk[shard] = c;
	return &c->event[c->n++];
}

static const struct rib_route_view *same_route(
	const struct rib_route_view *r, const struct rib_route_view *list, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (list[i].owner == r->owner && list[i].path_id == r->path_id)
			return &list[i];
	return NULL;
}

/* What a route is behind the import filter. */
static uint32_t post_of(const struct rib_route_view *r)
{
	return r && !(r->flags & ROUTE_FILTERED) ? r->attrs : 0;
}

static void route_changed(struct table *t, unsigned shard, const struct prefix *net,
	const struct rib_route_view *old, const struct rib_route_view *new)
{
	const struct rib_route_view *any = new ? new : old;
	uint32_t pre_old = old ? old->attrs_received : 0, pre = new ? new->attrs_received : 0;
	uint32_t post_old = post_of(old), post = post_of(new);
	struct event *e;

	if (any->owner != any->source || (pre_old == pre && post_old == post))
		return; /* a pipe's, or not this one */
	e = add_event(t, shard);
	*e = (struct event){
		.net = *net,
		.source = any->source,
		.path_id = any->path_id,
		.pre = pre,
		.post = post,
		.pre_changed = pre_old != pre,
		.post_changed = post_old != post,
		.changed_ns = any->changed_ns,
	};
	if (pre)
		attrs_hold(pre);
	if (post)
		attrs_hold(post);
}

static void changed(void *ctx, struct rib_shard *shard, const struct rib_change *c, unsigned n, bool dump)
{
	struct table *t = ctx;
	unsigned number = rib_shard_index(shard);

	(void)dump;
	if (atomic_load_explicit(&t->s->overflow, memory_order_relaxed))
		return;
	for (; n; n--, c++) {
		for (unsigned i = 0; i < c->n_all_old_routes; i++)
			if (!same_route(&c->old_routes[i], c->routes, c->n_all_routes))
				route_changed(t, number, &c->net->prefix, &c->old_routes[i], NULL);
		for (unsigned i = 0; i < c->n_all_routes; i++)
			route_changed(t, number, &c->net->prefix,
				same_route(&c->routes[i], c->old_routes, c->n_all_old_routes), &c->routes[i]);
	}
}

static void release_events(struct chunk *c)
{
	for (unsigned i = 0; i < c->n; i++) {
		if (c->event[i].pre)
			attrs_release(c->event[i].pre);
		if (c->event[i].post)
			attrs_release(c->event[i].post);
	}
}

static void take_chunk(void *arg);

static void post_chunk(void *ctx, struct rib_shard *shard)
{
	struct table *t = ctx;
	struct chunk **at = &t->chunk[rib_shard_index(shard)], *c = *at;
	uint64_t waiting;

	if (!c)
		return;
	*at = NULL;
	waiting = atomic_fetch_add(&t->s->queued_events, c->n) + c->n;
	if (waiting * sizeof(struct event) > atomic_load_explicit(&t->s->limit, memory_order_relaxed))
		atomic_store(&t->s->overflow, true); /* take_chunk() sees it */
	loop_call(t->s->loop, take_chunk, c);
}

static void listening(void *ctx, struct rib_shard *shard);
static void closed(void *ctx, struct rib_shard *shard);
static const struct rib_listener_ops listener_ops = {changed, listening, closed, post_chunk};

/* ---- tables ---- */

static void walk_soon(struct bmp_station *s)
{
	if (s->up && !ev_is_active(&s->walk)) {
		ev_timer_set(&s->walk, 0, 0);
		ev_timer_start(ev_of(s), &s->walk);
	}
}

static void table_listens(void *arg)
{
	struct table *t = arg;

	walk_soon(t->s);
}

static void listening(void *ctx, struct rib_shard *shard)
{
	struct table *t = ctx;

	(void)shard;
	if (atomic_fetch_add(&t->open_shards, 1) + 1 == rib_shards(t->s->c.rib))
		loop_call(t->s->loop, table_listens, t);
}

static void finish_stop(struct bmp_station *s);

static void table_closed(void *arg)
{
	struct table *t = arg, **at;
	struct bmp_station *s = t->s;

	for (at = &s->tables; *at != t;)
		at = &(*at)->next;
	*at = t->next;
	rib_table_close(t->table);
	free(t);
	finish_stop(s);
}

static void closed(void *ctx, struct rib_shard *shard)
{
	struct table *t = ctx;
	struct chunk **at = &t->chunk[rib_shard_index(shard)];

	if (*at) {
		release_events(*at);
		free(*at);
		*at = NULL;
	}
	if (atomic_fetch_add(&t->quiet_shards, 1) + 1 == rib_shards(t->s->c.rib))
		loop_call(t->s->loop, table_closed, t);
}

static void want_table(struct bmp_station *s, struct rib_table *table)
{
	struct table *t;

	for (t = s->tables; t; t = t->next)
		if (t->table == table && t->connection == s->connection)
			break;
	if (!t) {
		if (!rib_table_hold(table))
			return; /* on its way out, and its routes with it */
		t = calloc(1, sizeof(*t));
		if (!t)
			abort();
		t->s = s;
		t->table = table;
		t->connection = s->connection;
		t->next = s->tables;
		s->tables = t;
		t->listener =
			rib_listener_open(table, RIB_LISTEN_RECEIVED | RIB_LISTEN_NO_DUMP, &listener_ops, t);
	}
	t->wanted = true;
	walk_soon(s);
}

static void close_tables(struct bmp_station *s)
{
	for (struct table *t = s->tables; t; t = t->next)
		if (t->listener) {
			rib_listener_close(t->listener);
			t->listener = NULL;
		}
}

/* ---- what is said ---- */

static uint64_t wall_of(uint64_t mono_ns)
{
	return mono_ns + (clock_wall_ns() - clock_now_ns());
}

static void say_event(struct bmp_station *s, const struct event *e)
{
	unsigned k;
	const struct peer *p = peer_of(s, e->source, &k);
	uint64_t wall;

	if (!p)
		return; /* the station was told that it is down */
	wall = wall_of(e->changed_ns);
	if (e->pre_changed && s->c.pre_policy)
		bmp_put_route(&s->tx, p->p, &p->p->channel[k], BMP_PRE_POLICY, &e->net, e->path_id,
			attrs_get(e->pre), wall);
	if (e->post_changed && s->c.post_policy)
		bmp_put_route(&s->tx, p->p, &p->p->channel[k], BMP_POST_POLICY, &e->net, e->path_id,
			attrs_get(e->post), wall);
}

static bool too_much(struct bmp_station *s)
{
	return atomic_load(&s->overflow) ||
	       bmp_buffer_left(&s->tx) > atomic_load_explicit(&s->limit, memory_order_relaxed);
}

static void take_chunk(void *arg)
{
	struct chunk *c = arg;
	struct bmp_station *s = c->s;

	atomic_fetch_sub(&s->queued_events, c->n);
	if (s->up && c->connection == s->connection)
		for (unsigned i = 0; i < c->n; i++)
			say_event(s, &c->event[i]);
	release_events(c);
	free(c);
	if (!s->up)
		return;
	if (too_much(s)) {
		pthread_mutex_lock(&s->lock);
		s->shown.overflows++;
		pthread_mutex_unlock(&s->lock);
		disconnect(s, "TX buffer limit reached");
	} else {
		flush(s);
	}
}

/* ---- what was there before ---- */

static void walk_begin(struct bmp_station *s, struct table *t)
{
	t->wanted = false;
	t->walking = true;
	t->cursor = (struct rib_cursor){.table = t->table};
	for (unsigned i = 0; i < s->n_peers; i++)
		for (unsigned k = 0; k < s->peers[i].p->n_channels; k++)
			if (s->peers[i].p->channel[k].table == t->table && s->peers[i].wanted[k]) {
				s->peers[i].wanted[k] = false;
				s->peers[i].walking[k] = true;
			}
}

static void walk_end(struct bmp_station *s, struct table *t)
{
	uint64_t now = clock_wall_ns();

	t->walking = false;
	for (unsigned i = 0; i < s->n_peers; i++)
		for (unsigned k = 0; k < s->peers[i].p->n_channels; k++) {
			struct peer *p = &s->peers[i];

			if (p->p->channel[k].table != t->table || !p->walking[k])
				continue;
			p->walking[k] = false;
			if (s->c.pre_policy)
				bmp_put_end_of_rib(&s->tx, p->p, &p->p->channel[k], BMP_PRE_POLICY, now);
			if (s->c.post_policy)
				bmp_put_end_of_rib(&s->tx, p->p, &p->p->channel[k], BMP_POST_POLICY, now);
		}
}

static void walk_net(struct bmp_station *s)
{
	for (unsigned i = 0; i < s->view->n_routes && i < RIB_MAX_ROUTES; i++) {
		const struct rib_route_view *r = &s->view->routes[i];
		struct event e = {.net = s->view->net.prefix,
			.source = r->source,
			.path_id = r->path_id,
			.pre = r->attrs_received,
			.post = post_of(r),
			.changed_ns = r->changed_ns};
		const struct peer *p;
		unsigned k;

		if (r->owner != r->source)
			continue;
		p = peer_of(s, r->source, &k);
		if (!p || !p->walking[k])
			continue;
		e.pre_changed = e.pre != 0;
		e.post_changed = e.post != 0;
		say_event(s, &e);
	}
}

static bool walk_slice(struct bmp_station *s, struct table *t)
{
	bool more = true;

	rcu_read_lock();
	for (unsigned i = 0; i < SLICE && (more = rib_next(&t->cursor, s->view, RIB_MAX_ROUTES)); i++)
		walk_net(s);
	rcu_read_unlock();
	return more;
}

static void on_walk(struct ev_loop *ev, ev_timer *w, int revents)
{
	struct bmp_station *s = w->data;
	unsigned slices = 0;

	(void)ev, (void)revents;
	for (struct table *t = s->tables; t; t = t->next) {
		if (t->connection != s->connection || !t->listener ||
			atomic_load(&t->open_shards) < rib_shards(s->c.rib))
			continue;
		if (t->wanted && !t->walking)
			walk_begin(s, t);
		while (t->walking && bmp_buffer_left(&s->tx) < WALK_BELOW && slices++ < 16)
			if (!walk_slice(s, t)) {
				walk_end(s, t);
				if (t->wanted)
					walk_begin(s, t);
			}
	}
	flush(s); /* goes on with the walk when there is room */
}

static bool walks(const struct bmp_station *s)
{
	for (const struct table *t = s->tables; t; t = t->next)
		if (t->connection == s->connection && t->listener && (t->wanted || t->walking) &&
			atomic_load(&t->open_shards) == rib_shards(s->c.rib))
			return true;
	return false;
}

/* ---- sessions ---- */

struct hub_call {
	struct bmp_station *s;
	struct bmp_peer *p;
	struct bmp_down down;
};

static void peer_up(void *arg)
{
	struct hub_call *h = arg;
	struct bmp_station *s = h->s;
	struct bmp_peer *p = h->p;

	free(h);
	if (!s->up) {
		bmp_peer_release(p);
		return;
	}
	if (s->n_peers == s->cap_peers) {
		s->cap_peers = s->cap_peers ? 2 * s->cap_peers : 16;
		s->peers = realloc(s->peers, s->cap_peers * sizeof(*s->peers));
		if (!s->peers)
			abort();
	}
	s->peers[s->n_peers++] = (struct peer){.p = p};
	make_index(s);
	bmp_put_peer_up(&s->tx, p);
	for (unsigned k = 0; k < p->n_channels; k++) {
		s->peers[s->n_peers - 1].wanted[k] = true;
		want_table(s, p->channel[k].table);
	}
	flush(s);
}

static void peer_down(void *arg)
{
	struct hub_call *h = arg;
	struct bmp_station *s = h->s;

	for (unsigned i = 0; i < s->n_peers; i++) {
		if (s->peers[i].p != h->p)
			continue;
		bmp_put_peer_down(&s->tx, h->p, &h->down, clock_wall_ns());
		bmp_peer_release(h->p);
		s->peers[i] = s->peers[--s->n_peers];
		make_index(s);
		break;
	}
	bmp_peer_release(h->p);
	free(h);
	if (s->up)
		flush(s);
}

static struct hub_call *hub_call(struct bmp_subscriber *sub, struct bmp_peer *p)
{
	struct hub_call *h = calloc(1, sizeof(*h));

	if (!h)
		abort();
	h->s = caa_container_of(sub, struct bmp_station, subscriber);
	h->p = p;
	return h;
}

static void hub_up(struct bmp_subscriber *sub, struct bmp_peer *p)
{
	struct hub_call *h = hub_call(sub, p);

	loop_call(h->s->loop, peer_up, h);
}

static void hub_down(struct bmp_subscriber *sub, struct bmp_peer *p, const struct bmp_down *why)
{
	struct hub_call *h = hub_call(sub, p);

	h->down = *why;
	loop_call(h->s->loop, peer_down, h);
}

static void on_statistics(struct ev_loop *ev, ev_timer *w, int revents)
{
	struct bmp_station *s = w->data;
	uint64_t now = clock_wall_ns();

	(void)ev, (void)revents;
	rcu_read_lock();
	for (unsigned i = 0; i < s->n_peers; i++) {
		const struct bmp_peer *p = s->peers[i].p;
		uint64_t received = 0;
		uint32_t rejected = 0;

		for (unsigned k = 0; k < p->n_channels; k++) {
			const struct rib_source *src = rib_source_by_id(s->c.rib, p->channel[k].source);
			struct rib_source_stats st;

			if (!src)
				continue;
			rib_source_stats(src, &st);
			received += st.received;
			rejected += st.filtered;
		}
		bmp_put_statistics(&s->tx, p, received, rejected, now);
	}
	rcu_read_unlock();
	flush(s);
}

/* ---- the connection ---- */

static void show(struct bmp_station *s, bool connected, const char *why)
{
	bool was;

	pthread_mutex_lock(&s->lock);
	was = s->shown.connected;
	s->shown.connected = connected;
	s->shown.connections += connected;
	snprintf(s->shown.error, sizeof(s->shown.error), "%s", why ? why : "");
	pthread_mutex_unlock(&s->lock);
	if (was != connected)
		s->c.state(s->c.ctx, connected);
}

static void account(struct bmp_station *s, size_t sent)
{
	pthread_mutex_lock(&s->lock);
	s->shown.messages_bytes += sent;
	s->shown.queued_bytes = bmp_buffer_left(&s->tx);
	pthread_mutex_unlock(&s->lock);
}

static void flush(struct bmp_station *s)
{
	size_t left, total = 0;

	while (s->up && (left = bmp_buffer_left(&s->tx)) && total < 4u << 20) {
		ssize_t n = send(s->fd, s->tx.data + s->tx.at, left, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != EAGAIN) {
			disconnect(s, strerror(errno));
			return;
		}
		if (n < 0)
			break;
		bmp_buffer_sent(&s->tx, (size_t)n);
		total += (size_t)n;
	}
	if (!s->up)
		return;
	account(s, total);
	if (bmp_buffer_left(&s->tx))
		ev_io_start(ev_of(s), &s->out);
	else
		ev_io_stop(ev_of(s), &s->out);
	if (bmp_buffer_left(&s->tx) < WALK_BELOW && walks(s))
		walk_soon(s);
}

static void connected(struct bmp_station *s)
{
	ev_timer_stop(ev_of(s), &s->patience);
	ev_io_stop(ev_of(s), &s->out);
	s->up = true;
	s->connection++;
	atomic_store(&s->overflow, false);
	log_msg(LOG_CLASS_INFO, "%s: Connected to the BMP station", s->name);
	show(s, true, NULL);
	bmp_put_initiation(&s->tx, s->sys_descr, s->sys_name);
	ev_io_set(&s->io, s->fd, EV_READ);
	ev_io_start(ev_of(s), &s->io);
	ev_timer_set(&s->statistics, STATISTICS_S, STATISTICS_S);
	ev_timer_start(ev_of(s), &s->statistics);
	bmp_hub_subscribe(s->c.hub, &s->subscriber);
	s->subscribed = true;
	flush(s);
}

static void hang_up(struct bmp_station *s)
{
	struct ev_loop *ev = ev_of(s);

	ev_io_stop(ev, &s->io);
	ev_io_stop(ev, &s->out);
	ev_timer_stop(ev, &s->patience);
	ev_timer_stop(ev, &s->walk);
	ev_timer_stop(ev, &s->statistics);
	if (s->subscribed)
		bmp_hub_unsubscribe(s->c.hub, &s->subscriber);
	s->subscribed = s->up = false;
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
	bmp_buffer_free(&s->tx);
	forget_peers(s);
	close_tables(s);
	account(s, 0);
}

static void disconnect(struct bmp_station *s, const char *why)
{
	char text[128];

	snprintf(text, sizeof(text), "%s", why);
	if (s->up)
		log_msg(LOG_CLASS_WARNING, "%s: Connection to the BMP station lost: %s", s->name, text);
	hang_up(s);
	show(s, false, text);
	ev_timer_stop(ev_of(s), &s->retry);
	ev_timer_set(&s->retry, RETRY_S, 0);
	ev_timer_start(ev_of(s), &s->retry);
}

/* Nothing is expected from a station but that it hangs up. */
static void on_readable(struct ev_loop *ev, ev_io *w, int revents)
{
	struct bmp_station *s = w->data;
	char junk[4096];
	ssize_t n = read(s->fd, junk, sizeof(junk));

	(void)ev, (void)revents;
	if (n == 0)
		disconnect(s, "closed by the station");
	else if (n < 0 && errno != EAGAIN && errno != EINTR)
		disconnect(s, strerror(errno));
}

static void on_writable(struct ev_loop *ev, ev_io *w, int revents)
{
	struct bmp_station *s = w->data;
	int error = 0;
	socklen_t len = sizeof(error);

	(void)ev, (void)revents;
	if (s->up) {
		flush(s);
		return;
	}
	if (getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		error = errno;
	if (error)
		disconnect(s, strerror(error));
	else
		connected(s);
}

static void on_patience(struct ev_loop *ev, ev_timer *w, int revents)
{
	(void)ev, (void)revents;
	disconnect(w->data, strerror(ETIMEDOUT));
}

static int start_connect(struct bmp_station *s)
{
	struct sockaddr_storage to, from;
	socklen_t len = ipaddr_to_sockaddr(&s->c.address, s->c.port, 0, &to);
	int one = 1;

	s->fd = socket(to.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (s->fd < 0)
		return -errno;
	setsockopt(s->fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
	if (!ipaddr_is_zero(&s->c.local)) {
		socklen_t l = ipaddr_to_sockaddr(&s->c.local, 0, 0, &from);

		if (bind(s->fd, (struct sockaddr *)&from, l) < 0)
			return -errno;
	}
	if (connect(s->fd, (struct sockaddr *)&to, len) < 0 && errno != EINPROGRESS)
		return -errno;
	return 0;
}

static void on_retry(struct ev_loop *ev, ev_timer *w, int revents)
{
	struct bmp_station *s = w->data;
	int rc = start_connect(s);

	(void)revents;
	if (rc < 0) {
		disconnect(s, strerror(-rc));
		return;
	}
	ev_io_set(&s->out, s->fd, EV_WRITE);
	ev_io_start(ev, &s->out);
	ev_timer_set(&s->patience, CONNECT_TIMEOUT_S, 0);
	ev_timer_start(ev, &s->patience);
}

/* ---- life ---- */

static char *copy(const char *text)
{
	char *c = strdup(text);

	if (!c)
		abort();
	return c;
}

struct bmp_station *bmp_station_create(const struct bmp_station_config *c)
{
	struct bmp_station *s = calloc(1, sizeof(*s));
	int rc;

	if (!s)
		return NULL;
	s->c = *c;
	s->name = copy(c->name);
	s->sys_name = copy(c->sys_name);
	s->sys_descr = copy(c->sys_descr);
	s->fd = -1;
	s->subscriber = (struct bmp_subscriber){.up = hub_up, .down = hub_down};
	atomic_init(&s->limit, c->limit_bytes);
	pthread_mutex_init(&s->lock, NULL);
	s->view = malloc(sizeof(*s->view) + RIB_MAX_ROUTES * sizeof(s->view->routes[0]));
	s->loop = loop_create("bmp");
	if (!s->view || !s->loop)
		abort();
	ev_io_init(&s->io, on_readable, -1, EV_READ);
	ev_io_init(&s->out, on_writable, -1, EV_WRITE);
	ev_timer_init(&s->retry, on_retry, 0, 0);
	ev_timer_init(&s->patience, on_patience, 0, 0);
	ev_timer_init(&s->walk, on_walk, 0, 0);
	ev_timer_init(&s->statistics, on_statistics, 0, 0);
	s->io.data = s->out.data = s->retry.data = s->patience.data = s->walk.data = s->statistics.data = s;
	ev_timer_start(ev_of(s), &s->retry);
	rc = loop_start(s->loop);
	if (rc == 0)
		return s;
	bmp_station_destroy(s);
	errno = -rc;
	return NULL;
}

static void finish_stop(struct bmp_station *s)
{
	if (s->stopping != STOPPING_TABLES || s->tables)
		return;
	s->stopping = STOPPING_DONE;
	s->c.stopped(s->c.ctx);
}

static void stop(void *arg)
{
	struct bmp_station *s = arg;

	if (s->up) {
		bmp_put_termination(&s->tx, 0);
		flush(s); /* what the socket takes at once; it is no use to wait */
	}
	hang_up(s);
	ev_timer_stop(ev_of(s), &s->retry);
	s->stopping = STOPPING_TABLES;
	finish_stop(s);
}

void bmp_station_stop(struct bmp_station *s)
{
	loop_call(s->loop, stop, s);
}

void bmp_station_destroy(struct bmp_station *s)
{
	loop_join_destroy(s->loop);
	bmp_buffer_free(&s->tx);
	pthread_mutex_destroy(&s->lock);
	free(s->peers);
	free(s->index);
	free(s->view);
	free(s->name);
	free(s->sys_name);
	free(s->sys_descr);
	free(s);
}

void bmp_station_set_limit(struct bmp_station *s, uint64_t bytes)
{
	atomic_store(&s->limit, bytes);
}

void bmp_station_view(struct bmp_station *s, struct bmp_station_view *out)
{
	pthread_mutex_lock(&s->lock);
	*out = s->shown;
	pthread_mutex_unlock(&s->lock);
}
