/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Address families of an Established session: routes in, routes out, refresh,
 * and what is kept when the neighbour restarts.
 *
 * Routes in: each message's attributes are looked up by their bytes or decoded, the
 * prefixes go into a batch, the batch goes to the RIB when the turn of reading
 * ends. The source stays open from protocol start to stop: a lost session is a
 * flush (or stale marks), not a new source.
 * Routes out: the export side calls wake(), conn.c takes the bytes.
 * Callbacks of RIB and export come from shard threads and only post.
 */
#include "controlplane/bgp/session.h"
#include "controlplane/fib/fib.h"
#include <errno.h>
#include <stdlib.h>

static struct ev_loop *ev_of(struct bgp_channel *ch)
{
	return loop_ev(ch->s->thread->loop);
}

static const struct bgp_channel_settings *settings_of(const struct bgp_channel *ch)
{
	return &ch->s->cf->channel[ch->index];
}

static struct bgp_channel *find_channel(struct bgp_session *s, uint16_t afi, uint8_t safi)
{
	for (unsigned i = 0; i < s->n_channels; i++)
		if (s->channel[i].up && s->channel[i].afi == afi && s->channel[i].safi == safi)
			return &s->channel[i];
	return NULL;
}

/* ---- calls from other threads ---- */

struct channel_call {
	struct bgp_channel *ch;
	enum { LIMIT_RECEIVE, LIMIT_IMPORT, LIMIT_EXPORT } which;
	enum limit_action action;
};

static void run_limit(void *arg)
{
	static const char *const dirs[] = {"receive", "import", "export"};
	static const char *const actions[] = {"none", "warn", "block", "restart", "disable"};
	struct channel_call *m = arg;
	struct bgp_session *s = m->ch->s;
	const struct channel_config *cc = &settings_of(m->ch)->cf;
	const struct limit_config *l = m->which == LIMIT_RECEIVE  ? &cc->receive_limit
				       : m->which == LIMIT_IMPORT ? &cc->import_limit
								  : &cc->export_limit;

	if (m->action == LIMIT_NONE)
		log_msg(LOG_CLASS_INFO, "Protocol %s resets route %s limit (%u)", s->cf->name, dirs[m->which],
			l->value);
	else
		log_msg(LOG_CLASS_WARNING, "Protocol %s hits route %s limit (%u), action: %s", s->cf->name,
			dirs[m->which], l->value, actions[m->action]);
	if (m->action == LIMIT_RESTART || m->action == LIMIT_DISABLE)
		session_limit(s, m->action);
	session_release(s);
	free(m);
}

static void post_limit(struct bgp_channel *ch, int which, enum limit_action action)
{
	struct channel_call *m = malloc(sizeof(*m));

	if (!m)
		abort();
	session_hold(ch->s);
	m->ch = ch;
	m->which = which;
	m->action = action;
	loop_call(ch->s->thread->loop, run_limit, m);
}

static void on_source_limit(void *ctx, bool import_limit, enum limit_action action)
{
	post_limit(ctx, import_limit ? LIMIT_IMPORT : LIMIT_RECEIVE, action);
}

static void on_export_limit(void *ctx, enum limit_action action)
{
	post_limit(ctx, LIMIT_EXPORT, action);
}

static void run_resume(struct bgp_session *s)
{
	if (!s->paused)
		return;
	s->paused = false;
	if (s->conn)
		conn_resume(s->conn);
}

static void on_resume(void *ctx)
{
	struct bgp_channel *ch = ctx;

	session_call(ch->s, run_resume);
}

static void run_wake(void *arg)
{
	struct bgp_channel *ch = arg;
	struct bgp_session *s = ch->s;

	atomic_store_explicit(&ch->wake_posted, false, memory_order_release);
	if (s->conn)
		conn_flush(s->conn);
	session_release(s);
}

static void on_wake(void *ctx)
{
	struct bgp_channel *ch = ctx;

	if (atomic_exchange_explicit(&ch->wake_posted, true, memory_order_acq_rel))
		return;
	session_hold(ch->s);
	loop_call(ch->s->thread->loop, run_wake, ch);
}

/* ---- configuration of the two sides ---- */

struct rib_source_config bgp_source_config(struct bgp_session *s, unsigned index)
{
	struct bgp_settings *cf = s->cf;
	const struct bgp_channel_settings *cs = &cf->channel[index];
	const struct bgp_config *c = &cf->c;
	struct rib_source_config sc = {.proto_name = cf->name,
		.channel_name = cs->name,
		.type_name = "BGP",
		.source = RTS_BGP,
		.import = s->channel[index].import_from->channel[index].cf.import,
		.keep_filtered = cs->cf.import_keep_filtered,
		.receive_limit = cs->cf.receive_limit,
		.import_limit = cs->cf.import_limit,
		.igp_table = cs->igp_table,
		.base_table = cs->base_table,
		.no_roa_reload = !cs->cf.rpki_reload,
		.limit_hit = on_source_limit,
		.resume = on_resume,
		.ctx = &s->channel[index]};

	sc.peer = (struct rib_peer){.bgp = true,
		.external = !cf->internal,
		.confed = !cf->internal && cf->interior,
		.rr_client = c->rr_client,
		.rs_client = c->rs_client,
		.path_metric = c->path_metric,
		.igp_metric = c->igp_metric,
		.med_metric = c->med_metric,
		.deterministic_med = c->deterministic_med,
		.prefer_older = c->prefer_older,
		.default_med = c->default_med,
		.default_local_pref = c->default_local_pref,
		.router_id = s->conn ? s->conn->peer.id : s->status.peer_id,
		.local_as = c->local_as,
		.remote_as = s->remote_as,
		.addr = c->remote,
		.local_addr = s->local_addr,
		.ifindex = cf->direct ? s->ifindex : 0};
	return sc;
}

static bool aigp_on(const struct bgp_session *s, const struct channel_config *cc)
{
	return cc->aigp == TRI_UNSET ? s->cf->interior : cc->aigp == TRI_ON;
}

static const struct bgp_af_caps *peer_af(const struct bgp_channel *ch)
{
	return bgp_caps_find_af(&ch->s->conn->peer.caps, ch->afi, ch->safi);
}

static bool extended_next_hop(const struct bgp_channel *ch)
{
	const struct bgp_af_caps *p = peer_af(ch);

	return ch->afi == BGP_AFI_IPV4 && ch->safi != BGP_SAFI_FLOW &&
	       settings_of(ch)->cf.extended_next_hop && p && p->extended_next_hop;
}

static void make_import_class(struct bgp_channel *ch)
{
	struct bgp_session *s = ch->s;
	struct bgp_settings *cf = s->cf;
	const struct bgp_config *c = &cf->c;
	const struct channel_config *cc = &settings_of(ch)->cf;
	struct bgp_import_class *k = &ch->import;

	memset(k, 0, sizeof(*k));
	k->afi = ch->afi;
	k->safi = ch->safi;
	k->as4 = s->conn->as4;
	k->internal = cf->internal;
	k->interior = cf->interior;
	k->allow_local_pref = c->allow_local_pref;
	k->allow_as_sets = c->allow_as_sets;
	k->enforce_first_as = c->enforce_first_as && !cf->internal;
	k->aigp = aigp_on(s, cc);
	k->graceful_shutdown = c->graceful_shutdown;
	k->graceful_shutdown_receive = c->graceful_shutdown_receive;
	k->gateway_recursive =
		cc->gateway_recursive == TRI_UNSET ? !cf->direct : cc->gateway_recursive == TRI_ON;
	k->prefer_link_local = cc->next_hop_prefer_local;
	k->extended_next_hop = extended_next_hop(ch);
	k->direct = cf->direct;
	k->role = (int8_t)c->role;
	k->preference = cc->preference;
	k->remote_as = s->remote_as;
	k->local_as = c->local_as;
	k->public_as = cf->public_as;
	k->allow_local_as = c->allow_local_as;
	k->router_id = cf->router_id;
	k->cluster_id = cf->cluster_id;
	k->default_local_pref = c->default_local_pref;
	k->local_addr = s->local_addr;
	if (cf->direct) {
		k->ifindex = s->ifindex;
		k->link = s->link;
		/* Reachable by definition; elsewhere the class is the same for all neighbours on a network,
		 * and so are cached sets. */
		if (!s->link.family)
			k->remote_addr = c->remote;
	}
	ch->import_hash = hash_bytes(k, sizeof(*k), s->thread->seed);
}

/* An address of the wanted family beside `have`: next hop self where session and routes differ in family. */
static bool sibling_address(struct bgp_session *s, bool v6, struct ipaddr *out)
{
	enum { MAX = 256 };
	struct iface_view *v;
	unsigned n;
	bool found = false;

	if (!s->daemon->ifaces)
		return false;
	v = calloc(MAX, sizeof(*v));
	if (!v)
		return false;
	n = ifaces_all(s->daemon->ifaces, v, MAX);
	for (unsigned i = 0; i < n && i < MAX && !found; i++) {
		bool here = s->ifindex && v[i].ifindex == s->ifindex;

		for (unsigned a = 0; a < v[i].n_addrs; a++)
			here |= ipaddr_equal(&v[i].addrs[a].addr, &s->local_addr);
		for (unsigned a = 0; here && !found && a < v[i].n_addrs; a++) {
			const struct ipaddr *ip = &v[i].addrs[a].addr;

			if (ipaddr_is_v4(ip) == v6 || ipaddr_is_link_local(ip))
				continue;
			*out = *ip;
			found = true;
		}
	}
	free(v);
	return found;
}

static void find_next_hop(struct bgp_channel *ch)
{
	struct bgp_session *s = ch->s;
	const struct channel_config *cc = &settings_of(ch)->cf;
	bool v6 = ch->afi == BGP_AFI_IPV6;

	memset(&ch->next_hop_ll, 0, sizeof(ch->next_hop_ll));
	if (ch->safi == BGP_SAFI_FLOW) {
		memset(&ch->next_hop, 0, sizeof(ch->next_hop));
		return;
	}
	if (!ipaddr_is_zero(&cc->next_hop_address))
		ch->next_hop = cc->next_hop_address;
	else if (ipaddr_is_v4(&s->local_addr) != v6 || ch->safi != BGP_SAFI_UNICAST || extended_next_hop(ch))
		ch->next_hop = s->local_addr;
	else if (!sibling_address(s, v6, &ch->next_hop)) {
		memset(&ch->next_hop, 0, sizeof(ch->next_hop));
		session_log(s, LOG_CLASS_WARNING, "Missing next hop address for %s routes",
			settings_of(ch)->name);
	}
	if (s->cf->direct && !ipaddr_is_v4(&ch->next_hop))
		ch->next_hop_ll = ipaddr_is_link_local(&ch->next_hop) ? ch->next_hop : s->local_ll;
}

static uint8_t keep_mode(const struct channel_config *cc)
{
	return (uint8_t)
		cc->next_hop_keep; /* the grammar has put in the defaults of rs client and rr client */
}

static void make_export_class(struct bgp_channel *ch, struct bgp_export_class *k)
{
	struct bgp_session *s = ch->s;
	struct bgp_settings *cf = s->cf;
	const struct bgp_config *c = &cf->c;
	const struct channel_config *cc = &settings_of(ch)->cf;

	k->afi = ch->afi;
	k->safi = ch->safi;
	k->extended_next_hop = extended_next_hop(ch);
	k->external = !cf->internal;
	k->confed = !cf->internal && cf->interior;
	k->rs_client = c->rs_client;
	k->rr_client = c->rr_client;
	k->local_as = c->local_as;
	k->public_as = cf->public_as;
	k->router_id = cf->router_id;
	k->cluster_id = cf->cluster_id;
	k->default_local_pref = c->default_local_pref;
	k->allow_local_pref = c->allow_local_pref;
	k->allow_med = c->allow_med;
	k->interpret_communities = c->interpret_communities;
	k->next_hop_keep = keep_mode(cc);
	k->next_hop_self = (uint8_t)cc->next_hop_self;
	k->next_hop_address = cc->next_hop_address;
	k->local_addr = ch->next_hop;
	k->local_ll = ch->next_hop_ll;
	if (cf->direct) {
		k->link = s->link;
		k->ifindex = s->ifindex;
	}
	k->role = (int8_t)c->role;
	k->llgr_aware = s->conn->local.caps.llgr && s->conn->peer.caps.llgr;
	k->aigp = aigp_on(s, cc);
	k->aigp_originate = k->aigp && cc->aigp_originate;
	k->graceful_shutdown = c->graceful_shutdown;
}

static void make_export_config(struct bgp_channel *ch, struct export_peer_config *x)
{
	struct bgp_session *s = ch->s;
	const struct bgp_channel_settings *cs = settings_of(ch);

	/* Classes are compared as bytes. */
	memset(x, 0, sizeof(*x));
	x->table = cs->table;
	x->own_source = rib_source_id(ch->source);
	x->filter = ch->export_from->channel[ch->index].cf.export;
	x->mode = ch->add_path_tx ? EXPORT_ALL : cs->cf.secondary ? EXPORT_SECONDARY : EXPORT_BEST;
	if (ch->add_path_tx) {
		uint16_t wanted = peer_af(ch)->paths_limit;

		x->choice = cs->cf.add_paths_send;
		if (wanted && wanted < RIB_MAX_ROUTES && (!x->choice.limit || x->choice.limit > wanted))
			x->choice.limit = wanted;
	}
	x->export_limit = cs->cf.export_limit;
	x->no_roa_reload = !cs->cf.rpki_reload;
	x->end_of_rib = true;
	x->wake = on_wake;
	x->limit_hit = on_export_limit;
	x->ctx = ch;
	make_export_class(ch, &x->class);
	x->encode.afi = ch->afi;
	x->encode.safi = ch->safi;
	x->encode.as4 = s->conn->as4;
	x->encode.add_path = ch->add_path_tx;
	x->encode.extended_next_hop = extended_next_hop(ch);
	x->encode.max_message = (uint16_t)s->conn->max_message;
}

/* ---- up and down ---- */

static void take_filters(struct bgp_channel *ch, bool import, bool export)
{
	struct bgp_settings *now = ch->s->cf;

	if (import && ch->import_from != now) {
		bgp_settings_release(ch->import_from);
		ch->import_from = bgp_settings_hold(now);
	}
	if (export && ch->export_from != now) {
		bgp_settings_release(ch->export_from);
		ch->export_from = bgp_settings_hold(now);
	}
}

static void on_stale_timer(struct ev_loop *ev, ev_timer *w, int revents)
{
	struct bgp_channel *ch = w->data;

	(void)ev;
	(void)revents;
	if (ch->llgr)
		session_log(ch->s, LOG_CLASS_INFO, "Long-lived stale timeout");
	channel_drop_stale(ch);
	session_gr_done(ch->s);
}

void channels_init(struct bgp_session *s)
{
	for (unsigned i = 0; i < s->n_channels; i++) {
		struct bgp_channel *ch = &s->channel[i];

		ch->s = s;
		ch->index = i;
		ch->afi = s->cf->channel[i].afi;
		ch->safi = s->cf->channel[i].safi;
		ch->import_from = bgp_settings_hold(s->cf);
		ch->export_from = bgp_settings_hold(s->cf);
		ev_timer_init(&ch->stale_timer, on_stale_timer, 0, 0);
		ch->stale_timer.data = ch;
	}
}

void channel_attach_export(struct bgp_channel *ch)
{
	if (ch->export || !ch->up || ch->s->recovering)
		return;
	ch->export = export_attach(ch->s->daemon->export, &ch->export_cf);
	if (!ch->export) {
		session_log(ch->s, LOG_CLASS_ERROR,
			"Cannot export %s routes: out of memory or export filters", settings_of(ch)->name);
		session_call(ch->s, session_out_of_resources);
	}
	channel_tell_stations(ch);
}

static void detach_export(struct bgp_channel *ch)
{
	struct bgp_session *s = ch->s;
	struct export_peer *x = ch->export;

	if (!x)
		return;
	ch->export = NULL;
	/* Readers count through the pointer in status: take it away before the thing itself goes. */
	pthread_mutex_lock(&s->lock);
	export_peer_stats(x, &s->status.channel[ch->index].export_stats);
	s->status.channel[ch->index].export = NULL;
	pthread_mutex_unlock(&s->lock);
	export_detach(x);
}

/* RFC 4724 section 4.2: what the neighbour says about the routes it had before. */
static void check_stale(struct bgp_channel *ch)
{
	const struct bgp_af_caps *p = peer_af(ch);
	bool kept = p && (ch->llgr ? p->llgr && (p->llgr_flags & GR_AF_FORWARDING)
				   : p->gr && (p->gr_flags & GR_AF_FORWARDING));

	if (!ch->stale)
		return;
	ev_timer_stop(ev_of(ch), &ch->stale_timer);
	if (!kept) {
		channel_drop_stale(ch);
		return;
	}
	/* A neighbour that never sends End-of-RIB must not leave stale routes for ever. */
	ev_now_update(ev_of(ch));
	ev_timer_set(&ch->stale_timer, 360, 0);
	ev_timer_start(ev_of(ch), &ch->stale_timer);
}

static void note_restart_caps(struct bgp_channel *ch)
{
	struct bgp_session *s = ch->s;
	const struct bgp_config *c = &s->cf->c;
	const struct channel_config *cc = &settings_of(ch)->cf;
	const struct bgp_af_caps *p = peer_af(ch);

	ch->gr_negotiated = c->gr_mode != GR_OFF && cc->graceful_restart != TRI_OFF && p && p->gr;
	ch->llgr_negotiated = s->conn->local.caps.llgr && cc->llgr != TRI_OFF && p && p->llgr;
	ch->llgr_time = ch->llgr_negotiated ? p->llgr_time : 0;
	if (c->max_llgr_time && ch->llgr_time > c->max_llgr_time)
		ch->llgr_time = c->max_llgr_time;
	if (ch->llgr_negotiated && ch->llgr_time < c->min_llgr_time)
		ch->llgr_time = c->min_llgr_time;
}

static bool add_path_agreed(const struct bgp_channel *ch, enum add_path_mode ours, enum add_path_mode theirs)
{
	const struct bgp_af_caps *l = bgp_caps_find_af(&ch->s->conn->local.caps, ch->afi, ch->safi),
				 *p = peer_af(ch);

	return l && p && (l->add_path & ours) && (p->add_path & theirs);
}

void channel_up(struct bgp_channel *ch)
{
	struct rib_source_config sc;

	take_filters(ch, true, true);
	sc = bgp_source_config(ch->s, ch->index);
	ch->up = true;
	ch->eor_received = false;
	ch->refreshing = false;
	ch->add_path_rx = add_path_agreed(ch, ADD_PATH_RX, ADD_PATH_TX);
	ch->add_path_tx = add_path_agreed(ch, ADD_PATH_TX, ADD_PATH_RX);
	check_stale(ch);
	note_restart_caps(ch);
	find_next_hop(ch);
	make_import_class(ch);
	rib_source_reconfigure(ch->source, &sc, RIB_IF_CHANGED);
	make_export_config(ch, &ch->export_cf);
	channel_attach_export(ch);
}

static void leave(struct bgp_channel *ch)
{
	if (ch->batch)
		rib_batch_discard(ch->batch);
	ch->batch = NULL;
	detach_export(ch);
	ch->up = false;
	ch->refreshing = false;
}

void channel_down(struct bgp_channel *ch, bool retain)
{
	if (!ch->up) {
		if (ch->stale && !retain)
			channel_drop_stale(ch);
		return;
	}
	leave(ch);
	if (retain && (ch->gr_negotiated || ch->llgr_negotiated)) {
		rib_source_mark_stale(ch->source, false);
		ch->stale = true;
		ch->llgr = false;
		return;
	}
	ev_timer_stop(ev_of(ch), &ch->stale_timer);
	ch->stale = ch->llgr = false;
	rib_source_flush(ch->source);
}

void channel_stop(struct bgp_channel *ch)
{
	leave(ch);
	ev_timer_stop(ev_of(ch), &ch->stale_timer);
	ch->stale = ch->llgr = false;
	ch->source = NULL; /* main's again */
}

void channel_drop_stale(struct bgp_channel *ch)
{
	ev_timer_stop(ev_of(ch), &ch->stale_timer);
	if (!ch->stale)
		return;
	ch->stale = ch->llgr = false;
	rib_source_sweep_stale(ch->source);
	session_publish(ch->s);
}

/* The neighbour has not come back in its restart time: RFC 9494 section 4.2, or the end. */
void channel_stale_expired(struct bgp_channel *ch)
{
	if (!ch->stale || ch->llgr)
		return;
	if (!ch->llgr_negotiated || !ch->llgr_time) {
		channel_drop_stale(ch);
		return;
	}
	ch->llgr = true;
	rib_source_mark_stale(ch->source, true);
	ev_now_update(ev_of(ch));
	ev_timer_set(&ch->stale_timer, ch->llgr_time, 0);
	ev_timer_start(ev_of(ch), &ch->stale_timer);
	session_publish(ch->s);
}

void channels_release(struct bgp_session *s)
{
	for (unsigned i = 0; i < s->n_channels; i++) {
		bgp_settings_release(s->channel[i].import_from);
		bgp_settings_release(s->channel[i].export_from);
	}
}

static void request_refresh(struct bgp_channel *ch)
{
	uint8_t buf[BGP_HEADER_LEN + 4];

	if (!ch->s->conn->refresh) {
		session_log(ch->s, LOG_CLASS_WARNING, "Route refresh is not supported by the neighbor");
		return;
	}
	session_trace(ch->s, DBG_PACKETS, "Sending ROUTE-REFRESH");
	conn_send(ch->s->conn, buf, bgp_refresh_encode(ch->afi, ch->safi, REFRESH_REQUEST, buf));
}

/* `configure soft` asks for no reload: an import filter that differs is for routes to come, an export filter
 * waits for a reload; everything else is taken over. */
void channel_reconfigure(struct bgp_channel *ch, bool reload_in, bool reload_out)
{
	const struct channel_config *now = &settings_of(ch)->cf;
	uint64_t hash = ch->import_hash;
	struct rib_source_config sc;

	if (!ch->source)
		return;
	take_filters(ch, true,
		reload_out || filter_same(&now->export, &ch->export_from->channel[ch->index].cf.export));
	sc = bgp_source_config(ch->s, ch->index);
	if (ch->up)
		make_import_class(ch);
	rib_source_reconfigure(ch->source, &sc, reload_in ? RIB_IF_CHANGED : RIB_NEVER);
	if (!ch->up)
		return;
	/* What is made of attributes has changed: the neighbour is to say them again. */
	if (ch->import_hash != hash)
		request_refresh(ch);
	find_next_hop(ch);
	make_export_config(ch, &ch->export_cf);
	if (ch->export) {
		export_reconfigure(ch->export, &ch->export_cf);
		channel_tell_stations(ch);
	}
}

/* ---- routes in ---- */

static void report(void *ctx, const char *line)
{
	struct bgp_session *s = ctx;

	s->mirror.reported = true;
	if (log_limit_ok(&s->report_limit))
		session_log(s, LOG_CLASS_REMOTE, "%s", line);
}

static struct rib_batch *batch_of(struct bgp_channel *ch)
{
	if (!ch->batch)
		ch->batch = rib_batch_create(ch->source);
	return ch->batch;
}

static struct net net_template(const struct bgp_channel *ch)
{
	struct net n;

	memset(&n, 0, sizeof(n));
	n.type = ch->afi == BGP_AFI_IPV4 ? NET_IP4 : NET_IP6;
	return n;
}

static int bad_nlri(struct bgp_error *e)
{
	return bgp_fail(e, BGP_ERR_UPDATE, 10);
}

/*
 * One entry of a family whose destinations are no prefixes. What is framed and yet malformed is passed over
 * with a line: nothing can be withdrawn by it, for nothing was taken by that name (RFC 7606 section 5.4 does
 * so for unknown types).
 */
static int next_nlri(struct bgp_channel *ch, struct bgp_bytes *nlri, bool reach)
{
	struct bgp_nlri *n = ch->s->thread->nlri;
	int r;

	while ((r = bgp_nlri_decode(nlri, bgp_family_net(ch->afi, ch->safi), reach, ch->add_path_rx, n)) >
			0 &&
		n->wrong)
		if (log_limit_ok(&ch->s->report_limit))
			session_log(ch->s, LOG_CLASS_REMOTE, "Invalid %s route: %s", settings_of(ch)->name,
				n->wrong);
	return r;
}

static int withdraw_nlri(struct bgp_channel *ch, struct bgp_bytes nlri, bool reach, struct bgp_error *e)
{
	const struct bgp_nlri *n = ch->s->thread->nlri;
	int r;

	while ((r = next_nlri(ch, &nlri, reach)) > 0)
		rib_batch_withdraw(batch_of(ch), &n->net, n->path_id);
	return r < 0 ? bad_nlri(e) : 0;
}

/* The attributes of one route: those of the message, and what stands in its NLRI. A reference. */
static uint32_t with_labels(const struct bgp_nlri *n, uint32_t id)
{
	struct attrs a = *attrs_get(id);
	struct attr_extra list[256 + 1];
	unsigned i = 0;

	while (i < a.n_extra && i < 256 && a.extra[i].id < bgp_labels_id(n->net.type)) {
		list[i] = a.extra[i];
		i++;
	}
	/* What BGP knows of comes before; nothing else has been added yet. */
	list[i] = (struct attr_extra){.id = bgp_labels_id(n->net.type),
		.type = T_BYTESTRING,
		.len = (uint16_t)n->n_labels,
		.data = n->labels};
	a.extra = list;
	a.n_extra = (uint16_t)(i + 1);
	return attrs_intern(&a);
}

static int announce_nlri(struct bgp_channel *ch, struct bgp_bytes nlri, uint32_t id, struct bgp_error *e)
{
	const struct bgp_nlri *n = ch->s->thread->nlri;
	uint32_t own;
	int r;

	while ((r = next_nlri(ch, &nlri, true)) > 0) {
		own = n->n_labels ? with_labels(n, id) : id;
		rib_batch_announce(batch_of(ch), &n->net, n->path_id, own);
		if (own != id)
			attrs_release(own);
	}
	return r < 0 ? bad_nlri(e) : 0;
}

/* reach: said as announced, and the attributes were such that it is to be withdrawn. */
static int withdraw(struct bgp_channel *ch, struct bgp_bytes nlri, bool reach, struct bgp_error *e)
{
	struct net n = net_template(ch);
	uint32_t path_id;
	int r;

	if (ch->safi != BGP_SAFI_UNICAST)
		return withdraw_nlri(ch, nlri, reach, e);
	while ((r = bgp_nlri_next(&nlri, ch->afi, ch->add_path_rx, &path_id, &n.prefix)) > 0)
		rib_batch_withdraw(batch_of(ch), &n, path_id);
	return r < 0 ? bad_nlri(e) : 0;
}

static void unusable(struct bgp_channel *ch, const struct prefix *p)
{
	char text[PREFIX_STRLEN];

	if (log_limit_ok(&ch->s->report_limit))
		session_log(ch->s, LOG_CLASS_REMOTE, "Ignoring bogus route %s", prefix_format(p, text));
}

static int announce_all(struct bgp_channel *ch, struct bgp_bytes nlri, uint32_t id, struct bgp_error *e)
{
	struct net n = net_template(ch);
	struct rib_batch *b = batch_of(ch);
	uint32_t path_id;
	int r;

	if (ch->safi != BGP_SAFI_UNICAST)
		return announce_nlri(ch, nlri, id, e);

	while ((r = bgp_nlri_next(&nlri, ch->afi, ch->add_path_rx, &path_id, &n.prefix)) > 0) {
		if (bgp_prefix_is_usable(&n.prefix))
			rib_batch_announce(b, &n, path_id, id);
		else
			unusable(ch, &n.prefix);
	}
	return r < 0 ? bad_nlri(e) : 0;
}

/* The id of what the key means for this channel, valid until the next call; 0: treat as withdrawn. */
static uint32_t attributes(struct bgp_channel *ch, const struct bgp_update *u, struct bgp_bytes next_hop)
{
	struct bgp_session *s = ch->s;
	struct bgp_thread *t = s->thread;
	struct bgp_import_context c = {&ch->import, s->daemon->ifaces, report, s};
	uint32_t id = attr_cache_find(t->cache, ch->import_hash, u->key, next_hop);
	struct attrs a;

	if (id)
		return id;
	if (bgp_attrs_decode(&c, u->key, next_hop, &t->decode, &a) != BGP_DECODE_OK)
		return 0;
	id = attrs_intern(&a);
	attr_cache_put(t->cache, id);
	return id;
}

static int announce(struct bgp_channel *ch, const struct bgp_update *u, struct bgp_bytes nlri,
	struct bgp_bytes next_hop, struct bgp_error *e)
{
	uint32_t id = 0;

	if (u->framing_error)
		report(ch->s, "Malformed attribute list - framing error");
	else if (u->bad_mp_flags)
		report(ch->s, "Malformed MP_REACH_NLRI attribute - conflicting flags");
	else
		id = attributes(ch, u, next_hop);
	/* Not a loop, which is no error. */
	ch->s->mirror.errored |= !id && ch->s->mirror.reported;
	return id ? announce_all(ch, nlri, id, e) : withdraw(ch, nlri, true, e);
}

static void unexpected_family(struct bgp_session *s, uint16_t afi, uint8_t safi)
{
	if (log_limit_ok(&s->report_limit))
		session_log(s, LOG_CLASS_REMOTE, "Unexpected AF <%u/%u> in UPDATE", afi, safi);
}

static void tell_eor(struct bgp_session *s)
{
	bgp_tell_main(s, BGP_EVENT_EOR);
}

/* A shard's thread: what came before the mark is in the tables, and the kernel's queue has it. */
static void eor_passed(void *ctx)
{
	session_call(ctx, tell_eor);
	session_release(ctx);
}

static void end_of_rib(struct bgp_session *s, uint16_t afi, uint8_t safi)
{
	struct bgp_channel *ch = find_channel(s, afi, safi);

	session_trace(s, DBG_PACKETS, "Got END-OF-RIB");
	if (!ch)
		return;
	channels_submit(s); /* what came before it */
	if (ch->stale)
		channel_drop_stale(ch);
	if (ch->eor_received)
		return;
	ch->eor_received = true;
	rib_source_barrier(ch->source, eor_passed, session_hold(s));
}

/* RFC 7606 section 7.11: with any other length the prefixes behind it cannot be trusted. */
static bool next_hop_length_ok(uint8_t safi, size_t n)
{
	if (safi == BGP_SAFI_VPN)
		return n == 12 || n == 24 || n == 48;
	return n == 4 || n == 16 || n == 32 || safi == BGP_SAFI_FLOW;
}

bool channel_update(struct bgp_session *s, const uint8_t *body, size_t len, struct bgp_error *e)
{
	static const struct bgp_bytes no_next_hop = {NULL, 0};
	struct bgp_update u;
	struct bgp_channel *ch;
	uint16_t afi;
	uint8_t safi;

	if (bgp_update_split(body, len, s->thread->key_buf, &u, e) < 0)
		return false;
	session_trace(s, DBG_PACKETS, "Got UPDATE");
	if (bgp_update_is_end_of_rib(&u, &afi, &safi)) {
		end_of_rib(s, afi, safi);
		return true;
	}
	if (u.withdrawn.len || u.nlri.len) {
		ch = find_channel(s, BGP_AFI_IPV4, BGP_SAFI_UNICAST);
		if (!ch)
			unexpected_family(s, BGP_AFI_IPV4, BGP_SAFI_UNICAST);
		else if (withdraw(ch, u.withdrawn, false, e) < 0 ||
			 (u.nlri.len && announce(ch, &u, u.nlri, no_next_hop, e) < 0))
			return false;
	}
	if (u.mp_unreach) {
		ch = find_channel(s, u.unreach_afi, u.unreach_safi);
		if (!ch)
			unexpected_family(s, u.unreach_afi, u.unreach_safi);
		else if (withdraw(ch, u.unreach, false, e) < 0)
			return false;
	}
	if (u.mp_reach) {
		ch = find_channel(s, u.reach_afi, u.reach_safi);
		if (!ch) {
			unexpected_family(s, u.reach_afi, u.reach_safi);
			return true;
		}
		if (!next_hop_length_ok(ch->safi, u.next_hop.len)) {
			bgp_fail(e, BGP_ERR_UPDATE, 9);
			return false;
		}
		if (announce(ch, &u, u.reach, u.next_hop, e) < 0)
			return false;
	}
	return true;
}

void channels_submit(struct bgp_session *s)
{
	for (unsigned i = 0; i < s->n_channels; i++) {
		struct rib_batch *b = s->channel[i].batch;

		if (!b)
			continue;
		s->channel[i].batch = NULL;
		if (!rib_submit(b))
			s->paused = true;
	}
}

/* ---- refresh ---- */

/*
 * By hand. In: our filter runs again over what we have, and the neighbour is asked to say everything again,
 * in case that what we have is the problem (unless `import table` says that what we keep is the truth). Out:
 * everything again.
 */
void channel_reload(struct bgp_channel *ch, bool in, bool out)
{
	if (!ch->up)
		return;
	take_filters(ch, in, out);
	if (in) {
		struct rib_source_config sc = bgp_source_config(ch->s, ch->index);

		rib_source_reconfigure(ch->source, &sc, RIB_ALWAYS);
		if (!settings_of(ch)->cf.import_table)
			request_refresh(ch);
	}
	if (out && ch->export) {
		make_export_config(ch, &ch->export_cf);
		export_reconfigure(ch->export, &ch->export_cf);
		channel_tell_stations(ch);
		export_refresh(ch->export, ch->s->conn->enhanced_refresh);
	}
}

static void begin_refresh(struct bgp_channel *ch)
{
	if (ch->stale) {
		session_log(ch->s, LOG_CLASS_REMOTE, "BEGIN-OF-RR received before END-OF-RIB, ignoring");
		return;
	}
	channels_submit(ch->s);
	ch->refreshing = true;
	rib_source_mark_stale(ch->source, false);
}

static void end_refresh(struct bgp_channel *ch)
{
	if (!ch->refreshing) {
		session_log(
			ch->s, LOG_CLASS_REMOTE, "END-OF-RR received without prior BEGIN-OF-RR, ignoring");
		return;
	}
	channels_submit(ch->s);
	ch->refreshing = false;
	rib_source_sweep_stale(ch->source);
}

int channel_refresh(struct bgp_session *s, const uint8_t *body, size_t len, struct bgp_error *e)
{
	static const uint8_t type = BGP_MSG_ROUTE_REFRESH;
	bool enhanced = s->conn->enhanced_refresh;
	struct bgp_refresh r;
	struct bgp_channel *ch;

	if (!s->conn->local.caps.refresh) /* we never said that we understand it */
		return bgp_fail_data(e, BGP_ERR_HEADER, 3, &type, 1);
	if (bgp_refresh_decode(body, len, enhanced, &r, e) < 0)
		return -EBADMSG;
	ch = find_channel(s, r.afi, r.safi);
	if (!ch) {
		session_log(s, LOG_CLASS_WARNING, "Got ROUTE-REFRESH subtype %u for AF %u.%u, ignoring",
			r.subtype, r.afi, r.safi);
		return 0;
	}
	switch (r.subtype) {
	case REFRESH_REQUEST:
		session_trace(s, DBG_PACKETS, "Got ROUTE-REFRESH");
		if (ch->export)
			export_refresh(ch->export, enhanced);
		break;
	case REFRESH_BEGIN:
		session_trace(s, DBG_PACKETS, "Got BEGIN-OF-RR");
		begin_refresh(ch);
		break;
	case REFRESH_END:
		session_trace(s, DBG_PACKETS, "Got END-OF-RR");
		end_refresh(ch);
		break;
	default:
		session_log(s, LOG_CLASS_WARNING, "Got ROUTE-REFRESH subtype %u for AF %u.%u, ignoring",
			r.subtype, r.afi, r.safi);
	}
	return 0;
}
