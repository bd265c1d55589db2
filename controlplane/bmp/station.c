/* SPDX-License-Identifier: BSD-2-Clause */
#include "controlplane/bgp/message.h"
#include "controlplane/bmp/station_priv.h"
#include "shared/clock.h"
#include "shared/log.h"
#include "shared/rcu.h"
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define RETRY_S 10.
#define CONNECT_TIMEOUT_S 10.
#define STATISTICS_S 60.
/* ---- sessions ---- */

struct peer *station_find_peer(struct bmp_station *s, const struct bmp_peer *p)
{
	for (unsigned i = 0; i < s->n_peers; i++)
		if (s->peers[i].p == p)
			return &s->peers[i];
	return NULL;
}

static void forget_peers(struct bmp_station *s)
{
	for (unsigned i = 0; i < s->n_peers; i++)
		bmp_peer_release(s->peers[i].p);
	s->n_peers = 0;
}

struct hub_call {
	struct bmp_station *s;
	struct bmp_peer *p;
	struct bmp_export *export;
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
	tables_index_peers(s);
	bmp_put_peer_up(&s->tx, p);
	for (unsigned k = 0; k < p->n_channels; k++) {
		s->peers[s->n_peers - 1].wanted[k] = true;
		tables_want(s, p->channel[k].table);
	}
	station_flush(s);
}

static void peer_down(void *arg)
{
	struct hub_call *h = arg;
	struct bmp_station *s = h->s;
	struct peer *peer = station_find_peer(s, h->p);

	if (peer) {
		outs_close(s, h->p);
		bmp_put_peer_down(&s->tx, h->p, &h->down, clock_wall_ns());
		bmp_peer_release(h->p);
		*peer = s->peers[--s->n_peers];
		tables_index_peers(s);
	}
	bmp_peer_release(h->p);
	free(h);
	if (s->up)
		station_flush(s);
}

static void peer_exports(void *arg)
{
	struct hub_call *h = arg;
	struct bmp_station *s = h->s;

	if (station_find_peer(s, h->p))
		outs_set(s, h->p, h->export);
	bmp_export_release(h->export);
	bmp_peer_release(h->p);
	free(h);
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

static void hub_export(struct bmp_subscriber *sub, struct bmp_peer *p, struct bmp_export *e)
{
	struct hub_call *h = hub_call(sub, p);

	h->export = e;
	loop_call(h->s->loop, peer_exports, h);
}

static void on_statistics(struct ev_loop *ev, ev_timer *w, int revents)
{
	struct bmp_station *s = w->data;
	uint64_t now = clock_wall_ns();

	(void)ev, (void)revents;
	rcu_read_lock();
	for (unsigned i = 0; i < s->n_peers; i++) {
		const struct bmp_peer *p = s->peers[i].p;
		struct bmp_statistics count = {.sent = outs_count(s, p)};

		for (unsigned k = 0; k < p->n_channels; k++) {
			const struct rib_source *src = rib_source_by_id(s->c.rib, p->channel[k].source);
			struct rib_source_stats st;

			if (!src)
				continue;
			rib_source_stats(src, &st);
			count.received += st.received;
			count.rejected += st.filtered;
		}
		bmp_put_statistics(&s->tx, p, &count, now);
	}
	rcu_read_unlock();
	station_flush(s);
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

void station_flush(struct bmp_station *s)
{
	size_t left, total = 0;

	while (s->up && (left = bmp_buffer_left(&s->tx)) && total < 4u << 20) {
		ssize_t n = send(s->fd, s->tx.data + s->tx.at, left, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != EAGAIN) {
			station_disconnect(s, strerror(errno));
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
		ev_io_start(station_ev(s), &s->out);
	else
		ev_io_stop(station_ev(s), &s->out);
	if (bmp_buffer_left(&s->tx) < WALK_BELOW && (tables_walking(s) || outs_waiting(s)))
		station_more_soon(s);
}

void station_more_soon(struct bmp_station *s)
{
	if (s->up && !ev_is_active(&s->walk)) {
		ev_timer_set(&s->walk, 0, 0);
		ev_timer_start(station_ev(s), &s->walk);
	}
}

static void on_walk(struct ev_loop *ev, ev_timer *w, int revents)
{
	struct bmp_station *s = w->data;

	(void)ev, (void)revents;
	tables_walk(s);
	outs_fetch(s);
	station_flush(s); /* comes back when there is room and more to fetch */
}

static void connected(struct bmp_station *s)
{
	ev_timer_stop(station_ev(s), &s->patience);
	ev_io_stop(station_ev(s), &s->out);
	s->up = true;
	s->connection++;
	atomic_store(&s->overflow, false);
	log_msg(LOG_CLASS_INFO, "%s: Connected to the BMP station", s->name);
	show(s, true, NULL);
	bmp_put_initiation(&s->tx, s->sys_descr, s->sys_name);
	ev_io_set(&s->io, s->fd, EV_READ);
	ev_io_start(station_ev(s), &s->io);
	ev_timer_set(&s->statistics, STATISTICS_S, STATISTICS_S);
	ev_timer_start(station_ev(s), &s->statistics);
	if (s->local) {
		bmp_put_peer_up(&s->tx, s->local);
		tables_want_local(s);
	}
	bmp_hub_subscribe(s->c.hub, &s->subscriber);
	s->subscribed = true;
	station_flush(s);
}

static void hang_up(struct bmp_station *s)
{
	struct ev_loop *ev = station_ev(s);

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
	outs_close(s, NULL);
	forget_peers(s);
	tables_close(s);
	account(s, 0);
}

void station_disconnect(struct bmp_station *s, const char *why)
{
	char text[128];

	snprintf(text, sizeof(text), "%s", why);
	if (s->up)
		log_msg(LOG_CLASS_WARNING, "%s: Connection to the BMP station lost: %s", s->name, text);
	hang_up(s);
	show(s, false, text);
	ev_timer_stop(station_ev(s), &s->retry);
	ev_timer_set(&s->retry, RETRY_S, 0);
	ev_timer_start(station_ev(s), &s->retry);
}

/* Nothing is expected from a station but that it hangs up. */
static void on_readable(struct ev_loop *ev, ev_io *w, int revents)
{
	struct bmp_station *s = w->data;
	char junk[4096];
	ssize_t n = read(s->fd, junk, sizeof(junk));

	(void)ev, (void)revents;
	if (n == 0)
		station_disconnect(s, "closed by the station");
	else if (n < 0 && errno != EAGAIN && errno != EINTR)
		station_disconnect(s, strerror(errno));
}

static void on_writable(struct ev_loop *ev, ev_io *w, int revents)
{
	struct bmp_station *s = w->data;
	int error = 0;
	socklen_t len = sizeof(error);

	(void)ev, (void)revents;
	if (s->up) {
		station_flush(s);
		return;
	}
	if (getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		error = errno;
	if (error)
		station_disconnect(s, strerror(error));
	else
		connected(s);
}

static void on_patience(struct ev_loop *ev, ev_timer *w, int revents)
{
	(void)ev, (void)revents;
	station_disconnect(w->data, strerror(ETIMEDOUT));
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
		station_disconnect(s, strerror(-rc));
		return;
	}
	ev_io_set(&s->out, s->fd, EV_WRITE);
	ev_io_start(ev, &s->out);
	ev_timer_set(&s->patience, CONNECT_TIMEOUT_S, 0);
	ev_timer_start(ev, &s->patience);
}

/* ---- life ---- */

/* RFC 9069: the Loc-RIB is told as if it were a peer, with OPENs made up for what they say about the
 * encoding.
 */
static struct bmp_peer *make_local(const struct bmp_station_config *c)
{
	struct bgp_open o = {.version = BGP_VERSION, .as = c->local_as, .id = c->router_id, .caps.any = true};
	uint8_t open[256];
	struct bmp_peer *p;
	size_t n;

	o.caps.role = BGP_ROLE_NONE;
	o.caps.as4 = true;
	o.caps.as4_number = c->local_as;
	bgp_caps_af(&o.caps, BGP_AFI_IPV4, BGP_SAFI_UNICAST)->multiprotocol = true;
	bgp_caps_af(&o.caps, BGP_AFI_IPV6, BGP_SAFI_UNICAST)->multiprotocol = true;
	n = bgp_open_encode(&o, open, sizeof(open));
	p = bmp_peer_new(open, n, open, n);
	p->local_rib = true;
	p->as = c->local_as;
	p->id = c->router_id;
	p->up_wall_ns = clock_wall_ns();
	for (unsigned i = 0; i < BMP_CHANNELS; i++)
		p->channel[p->n_channels++] = (struct bmp_peer_channel){
			.table = c->local_table[i], .afi = i ? BGP_AFI_IPV6 : BGP_AFI_IPV4};
	return p;
}

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
	if (c->ribs & BMP_RIB_BIT(BMP_LOCAL))
		s->local = make_local(c);
	s->subscriber = (struct bmp_subscriber){.up = hub_up, .down = hub_down, .export = hub_export};
	if (c->mirror)
		s->subscriber.mirror = station_mirror;
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
	ev_timer_start(station_ev(s), &s->retry);
	rc = loop_start(s->loop);
	if (rc == 0)
		return s;
	bmp_station_destroy(s);
	errno = -rc;
	return NULL;
}

void station_tables_closed(struct bmp_station *s)
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
		station_flush(s); /* what the socket takes at once; it is no use to wait */
	}
	hang_up(s);
	ev_timer_stop(station_ev(s), &s->retry);
	s->stopping = STOPPING_TABLES;
	station_tables_closed(s);
}

void bmp_station_stop(struct bmp_station *s)
{
	loop_call(s->loop, stop, s);
}

void bmp_station_destroy(struct bmp_station *s)
{
	loop_join_destroy(s->loop);
	if (s->local)
		bmp_peer_release(s->local);
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
