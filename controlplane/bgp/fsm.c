/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The state machine of RFC 4271 section 8, for each of a session's two
 * connections, and what happens between the two. See session.h.
 *
 * Texts that go to the log and to `show protocols` are those operators know
 * from BIRD: "Error: " for what we found, "Received: " for what we were told.
 */
#include "controlplane/bgp/session.h"
#include "controlplane/mrt/messages.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

static const char *const state_names[] = {
	"Idle", "Connect", "Active", "OpenSent", "OpenConfirm", "Established", "Close"};

const char *bgp_conn_state_name(enum bgp_conn_state s)
{
	return state_names[s];
}

static struct ev_loop *ev_of(struct bgp_conn *c)
{
	return loop_ev(c->s->thread->loop);
}

static struct bgp_conn *other_conn(struct bgp_conn *c)
{
	return c->outgoing ? &c->s->in : &c->s->out;
}

static void set_state(struct bgp_conn *c, enum bgp_conn_state state)
{
	if (c->state == state)
		return;
	c->state = state;
	session_publish(c->s);
}

/* ---- connecting ---- */

static struct transport_options transport_of(struct bgp_session *s)
{
	const struct bgp_config *c = &s->cf->c;

	return (struct transport_options){
		.local = !ipaddr_is_zero(&c->local) || s->cf->direct ? s->local_addr : c->local,
		.remote = c->remote,
		.remote_port = c->remote_port,
		.scope = ipaddr_is_link_local(&c->remote) ? s->ifindex : 0,
		.device = c->ifname && s->cf->direct ? s->ifname : NULL,
		.free_bind = c->free_bind,
		.ttl_security = c->ttl_security,
		.hops = s->cf->hops,
		.auth = c->auth,
		.password = c->password,
		.ao_keys = c->ao_keys};
}

static void start_connect_timer(struct bgp_conn *c, uint32_t seconds)
{
	ev_timer_stop(ev_of(c), &c->connect_timer);
	ev_now_update(ev_of(c));
	ev_timer_set(&c->connect_timer, seconds, 0);
	ev_timer_start(ev_of(c), &c->connect_timer);
	c->s->start_deadline = clock_now_ns() + seconds * NS_PER_S;
	c->s->start_total = seconds;
}

void fsm_wait_connect(struct bgp_conn *c, uint32_t seconds)
{
	conn_reset(c);
	start_connect_timer(c, seconds);
	set_state(c, BS_ACTIVE);
}

void fsm_connect(struct bgp_conn *c)
{
	struct bgp_session *s = c->s;
	struct transport_options o = transport_of(s);
	char err[TRANSPORT_ERR], text[IPADDR_STRLEN];
	int fd;

	conn_reset(c);
	session_trace(s, DBG_EVENTS, "Connecting to %s", ipaddr_format(&o.remote, text));
	fd = transport_connect(&o, err);
	if (fd < 0) {
		if (log_limit_ok(&s->report_limit))
			session_log(s, LOG_CLASS_ERROR, "%s", err);
		session_store_error(s, BE_SOCKET, "%s", err);
		fsm_wait_connect(c, s->cf->c.connect_retry);
		return;
	}
	c->state = BS_CONNECT;
	conn_attach(c, fd);
	start_connect_timer(c, s->cf->c.connect_retry);
	session_publish(s);
}

void fsm_connect_timer(struct bgp_conn *c)
{
	/* Active: time to try. Connect: nobody answered. */
	if (c->state == BS_ACTIVE || c->state == BS_CONNECT)
		fsm_connect(c);
}

void fsm_connected(struct bgp_conn *c)
{
	struct bgp_session *s = c->s;
	int error = 0, fd = c->fd;
	socklen_t len = sizeof(error);

	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		error = errno;
	if (error) {
		fsm_socket_error(c, error);
		return;
	}
	ev_timer_stop(ev_of(c), &c->connect_timer);
	ev_io_stop(ev_of(c), &c->wr);
	c->state = BS_IDLE; /* conn_attach() reads from now on */
	conn_attach(c, fd);
	session_trace(s, DBG_EVENTS, "Connected");
	fsm_send_open(c);
}

/* ---- OPEN ---- */

void bgp_local_caps(struct bgp_session *s, struct bgp_caps *out)
{
	const struct bgp_config *c = &s->cf->c;

	memset(out, 0, sizeof(*out));
	out->role = BGP_ROLE_NONE;
	if (!c->capabilities || s->no_capabilities)
		return;
	out->any = true;
	out->multiprotocol = true;
	out->refresh = c->enable_refresh;
	out->enhanced_refresh = c->enable_refresh && c->enable_enhanced_refresh;
	out->as4 = c->enable_as4;
	out->as4_number = s->cf->public_as;
	out->extended_messages = c->enable_extended_messages;
	out->role = (int8_t)c->role;
	out->bfd_strict = c->bfd != BGP_BFD_OFF && c->bfd_strict;
	out->gr = c->gr_mode != GR_OFF;
	out->gr_time = (uint16_t)c->gr_time;
	/* RFC 8538: a NOTIFICATION may be followed by a graceful restart too. */
	out->gr_flags = (uint8_t)((s->recovering ? GR_FLAG_RESTART : 0) |
				  (c->gr_mode == GR_ON ? GR_FLAG_NOTIFICATION : 0));
	out->llgr = out->gr && c->llgr_mode != GR_OFF;
	if (c->advertise_software_version)
		strcpy(out->software, "peregrine/" PEREGRINE_VERSION);
	if (c->advertise_hostname && s->cf->hostname[0]) {
		out->hostname = true;
		strncpy(out->host, s->cf->hostname, sizeof(out->host) - 1);
	}
	for (unsigned i = 0; i < s->n_channels; i++) {
		const struct channel_config *cc = &s->cf->channel[i].cf;
		struct bgp_af_caps *a = bgp_caps_af(out, s->channel[i].afi, s->channel[i].safi);

		a->multiprotocol = true;
		if (s->channel[i].afi == BGP_AFI_IPV4 && cc->extended_next_hop)
			a->extended_next_hop = out->extended_next_hop = true;
		a->add_path = (uint8_t)cc->add_paths;
		out->add_path |= a->add_path != 0;
		a->paths_limit = cc->add_paths_receive_limit;
		out->paths_limit |= a->paths_limit != 0;
		if (c->gr_mode == GR_ON && cc->graceful_restart != TRI_OFF) {
			a->gr = true;
			a->gr_flags = s->recovering ? GR_AF_FORWARDING : 0;
		}
		if (out->llgr && c->llgr_mode == GR_ON && cc->llgr != TRI_OFF) {
			a->llgr = true;
			a->llgr_flags = s->recovering ? GR_AF_FORWARDING : 0;
			a->llgr_time = cc->llgr_stale_time != UINT32_MAX ? cc->llgr_stale_time : c->llgr_time;
		}
	}
}

static void keep_open(uint8_t **at, const uint8_t *msg, size_t len)
{
	free(*at);
	*at = malloc(len);
	if (!*at)
		abort();
	memcpy(*at, msg, len);
}

void fsm_send_open(struct bgp_conn *c)
{
	struct bgp_session *s = c->s;
	uint8_t buf[BGP_MAX_MESSAGE];
	size_t len;

	c->local = (struct bgp_open){.version = BGP_VERSION,
		.as = s->cf->public_as,
		.hold_time = (uint16_t)s->cf->c.hold_time,
		.id = s->cf->router_id};
	bgp_local_caps(s, &c->local.caps);
	len = bgp_open_encode(&c->local, buf, sizeof(buf));
	session_trace(s, DBG_PACKETS, "Sending OPEN(ver=%d,as=%u,hold=%u,id=%08x)", BGP_VERSION, c->local.as,
		c->local.hold_time, c->local.id);
	set_state(c, BS_OPENSENT);
	keep_open(&c->open_sent, buf, len);
	conn_send(c, buf, len);
	conn_set_hold_timer(c, s->cf->c.startup_hold_time);
}

static void send_keepalive(struct bgp_conn *c)
{
	uint8_t buf[BGP_HEADER_LEN];

	if (c->keepalive_queued)
		return; /* the socket is full: one waiting says as much as ten */
	session_trace(c->s, DBG_PACKETS, "Sending KEEPALIVE");
	c->keepalive_queued = true;
	conn_send(c, buf, bgp_keepalive_encode(buf));
}

void fsm_keepalive_due(struct bgp_conn *c)
{
	send_keepalive(c);
}

static int refuse_capability(struct bgp_error *e, uint8_t code)
{
	uint8_t cap[2] = {code, 0};

	return bgp_fail_data(e, BGP_ERR_OPEN, 7, cap, 2);
}

static int check_as(struct bgp_session *s, const struct bgp_open *o, struct bgp_error *e)
{
	const struct bgp_config *c = &s->cf->c;
	uint8_t as[4];
	bool good = c->remote_as                        ? o->as == c->remote_as
		    : c->peer_type == BGP_PEER_INTERNAL ? o->as == c->local_as
							: o->as != c->local_as;

	if (good)
		return 0;
	put_u32(as, o->as);
	return bgp_fail_data(e, BGP_ERR_OPEN, 2, as, 4);
}

/* Required capabilities: `require ...`, RFC 5492 section 3. */
static int check_required(struct bgp_session *s, const struct bgp_open *o, struct bgp_error *e)
{
	const struct bgp_config *c = &s->cf->c;
	const struct bgp_caps *p = &o->caps;

	if (c->require_refresh && !p->refresh)
		return refuse_capability(e, 2);
	if (c->require_enhanced_refresh && !p->enhanced_refresh)
		return refuse_capability(e, 70);
	if (c->require_as4 && !p->as4)
		return refuse_capability(e, 65);
	if (c->require_extended_messages && !p->extended_messages)
		return refuse_capability(e, 6);
	if (c->require_hostname && !p->hostname)
		return refuse_capability(e, 73);
	if (c->require_gr && !p->gr)
		return refuse_capability(e, 64);
	if (c->require_llgr && !p->llgr)
		return refuse_capability(e, 71);
	return 0;
}

/* RFC 9234 section 4.2 */
static int check_roles(struct bgp_session *s, const struct bgp_open *o, struct bgp_error *e)
{
	static const int8_t fits[] = {[BGP_ROLE_PROVIDER] = BGP_ROLE_CUSTOMER,
		[BGP_ROLE_RS_SERVER] = BGP_ROLE_RS_CLIENT,
		[BGP_ROLE_RS_CLIENT] = BGP_ROLE_RS_SERVER,
		[BGP_ROLE_CUSTOMER] = BGP_ROLE_PROVIDER,
		[BGP_ROLE_PEER] = BGP_ROLE_PEER};
	int role = s->cf->c.role;

	if (role == BGP_ROLE_NONE)
		return 0;
	if (o->caps.role == BGP_ROLE_NONE)
		return s->cf->c.require_roles ? bgp_fail(e, BGP_ERR_OPEN, 11) : 0;
	return o->caps.role_conflict || o->caps.role != fits[role] ? bgp_fail(e, BGP_ERR_OPEN, 11) : 0;
}

bool bgp_family_agreed(const struct bgp_conn *c, uint8_t afi, uint8_t safi)
{
	const struct bgp_af_caps *l = bgp_caps_find_af(&c->local.caps, afi, safi);
	const struct bgp_af_caps *p = bgp_caps_find_af(&c->peer.caps, afi, safi);
	/* RFC 4760 section 8: without the capability it is IPv4 unicast. */
	bool classic = afi == BGP_AFI_IPV4 && safi == BGP_SAFI_UNICAST;
	bool ours = c->local.caps.multiprotocol ? l && l->multiprotocol : classic;
	bool theirs = c->peer.caps.multiprotocol ? p && p->multiprotocol : classic;

	return ours && theirs;
}

static int check_families(struct bgp_conn *c, struct bgp_error *e)
{
	struct bgp_session *s = c->s;
	unsigned agreed = 0;

	for (unsigned i = 0; i < s->n_channels; i++) {
		struct bgp_channel *ch = &s->channel[i];
		const struct channel_config *cc = &s->cf->channel[i].cf;
		const struct bgp_af_caps *p = bgp_caps_find_af(&c->peer.caps, ch->afi, ch->safi);
		bool have = bgp_family_agreed(c, ch->afi, ch->safi);
		uint8_t cap[6] = {1, 4, 0, ch->afi, 0, ch->safi};

		agreed += have;
		if (cc->mandatory && !have)
			return bgp_fail_data(e, BGP_ERR_OPEN, 7, cap, 6);
		if (have && cc->require_add_paths &&
			(!p || (cc->add_paths & ADD_PATH_RX && !(p->add_path & ADD_PATH_TX)) ||
				(cc->add_paths & ADD_PATH_TX && !(p->add_path & ADD_PATH_RX))))
			return refuse_capability(e, 69);
		if (have && cc->require_extended_next_hop && ch->afi == BGP_AFI_IPV4 &&
			(!p || !p->extended_next_hop))
			return refuse_capability(e, 5);
	}
	return agreed || !s->n_channels ? 0 : bgp_fail(e, BGP_ERR_OPEN, 8);
}

static int check_open(struct bgp_conn *c, struct bgp_error *e)
{
	struct bgp_session *s = c->s;
	const struct bgp_open *o = &c->peer;
	uint8_t data[4];

	if (check_as(s, o, e) < 0)
		return -EBADMSG;
	/* RFC 6286 section 2.2 */
	put_u32(data, o->id);
	if (o->as == s->cf->c.local_as && o->id == s->cf->router_id)
		return bgp_fail_data(e, BGP_ERR_OPEN, 3, data, 4);
	put_u16(data, o->hold_time);
	if (o->hold_time && o->hold_time < s->cf->c.min_hold_time)
		return bgp_fail_data(e, BGP_ERR_OPEN, 6, data, 2);
	if (check_required(s, o, e) < 0 || check_roles(s, o, e) < 0)
		return -EBADMSG;
	return check_families(c, e);
}

/* RFC 4271 section 6.8 with RFC 6286: is the neighbour's connection the one to keep? */
static bool neighbor_wins(const struct bgp_session *s, const struct bgp_open *o)
{
	return o->id != s->cf->router_id ? o->id > s->cf->router_id : o->as > s->cf->public_as;
}

/* Called when c has received an OPEN. False: c was given up. */
static bool resolve_collision(struct bgp_conn *c)
{
	struct bgp_session *s = c->s;
	struct bgp_conn *o = other_conn(c), *loser;
	struct bgp_error e;

	if (o->state == BS_CONNECT || o->state == BS_ACTIVE) {
		conn_reset(o); /* no need to try any more */
		return true;
	}
	if (o->state != BS_OPENCONFIRM && o->state != BS_ESTABLISHED)
		return true;
	loser = o->state == BS_ESTABLISHED || neighbor_wins(s, &c->peer) == c->outgoing ? c : o;
	session_trace(s, DBG_EVENTS, "Connection collision, giving up %s connection",
		loser == c ? "this" : "the other");
	bgp_fail(&e, BGP_ERR_CEASE, CEASE_COLLISION);
	conn_close(loser, &e);
	session_publish(s);
	return loser != c;
}

static void agree(struct bgp_conn *c)
{
	struct bgp_session *s = c->s;
	const struct bgp_config *cf = &s->cf->c;
	const struct bgp_caps *l = &c->local.caps, *p = &c->peer.caps;
	uint32_t hold = cf->hold_time < c->peer.hold_time ? cf->hold_time : c->peer.hold_time;
	uint32_t keep = cf->keepalive_time ? cf->keepalive_time : cf->hold_time / 3;

	c->as4 = l->as4 && p->as4;
	c->refresh = l->refresh && p->refresh;
	c->enhanced_refresh = l->enhanced_refresh && p->enhanced_refresh;
	c->extended_messages = l->extended_messages && p->extended_messages;
	c->max_message = c->extended_messages ? BGP_MAX_EXTENDED_MESSAGE : BGP_MAX_MESSAGE;
	c->hold_time = hold;
	/* The configured one goes with the configured hold time; scaled with it. */
	if (hold != cf->hold_time && cf->hold_time)
		keep = (uint32_t)((uint64_t)keep * hold / cf->hold_time);
	if (hold && !keep)
		keep = 1;
	if (hold && keep < cf->min_keepalive_time)
		keep = cf->min_keepalive_time < hold ? cf->min_keepalive_time : hold;
	c->keepalive_time = hold ? keep : 0;
	c->send_hold_time = cf->send_hold_time != UINT32_MAX ? cf->send_hold_time : hold * 2;
}

static void establish(struct bgp_conn *c)
{
	struct bgp_session *s = c->s;
	struct bgp_conn *o = other_conn(c);
	struct bgp_error e;

	bgp_fail(&e, BGP_ERR_CEASE, CEASE_COLLISION);
	conn_close(o, &e); /* nothing to say where nothing was said yet */
	c->state = BS_ESTABLISHED;
	s->conn = c;
	session_established(s);
}

static void confirm(struct bgp_conn *c)
{
	send_keepalive(c);
	conn_set_hold_timer(c, c->hold_time);
	conn_start_keepalives(c);
}

/*
 * draft-ietf-idr-bgp-bfd-strict-mode: the KEEPALIVE that says yes to the neighbour's OPEN is not sent before
 * BFD is Up. Until then the hold timer has the time allowed for that; a neighbour that has said yes itself is
 * remembered.
 */
static void wait_for_bfd(struct bgp_conn *c)
{
	session_trace(c->s, DBG_EVENTS, "Waiting for BFD session");
	c->bfd_wait = true;
	c->confirmed = false;
	conn_set_hold_timer(c, c->s->cf->c.bfd_strict_hold);
	session_publish(c->s);
}

void fsm_bfd_up(struct bgp_conn *c)
{
	bool confirmed = c->confirmed;

	if (!c->bfd_wait || c->state != BS_OPENCONFIRM)
		return;
	c->bfd_wait = c->confirmed = false;
	confirm(c);
	session_publish(c->s);
	if (confirmed)
		establish(c);
}

static bool on_open(struct bgp_conn *c, const uint8_t *body, size_t len)
{
	struct bgp_session *s = c->s;
	struct bgp_error e;

	if (bgp_open_decode(body, len, &c->peer, &e) < 0 || (c->got_open = true, check_open(c, &e)) < 0) {
		session_trace(s, DBG_PACKETS, "Got OPEN(as=%u,hold=%u,id=%08x)", c->peer.as,
			c->peer.hold_time, c->peer.id);
		fsm_error(c, &e);
		return false;
	}
	session_trace(
		s, DBG_PACKETS, "Got OPEN(as=%u,hold=%u,id=%08x)", c->peer.as, c->peer.hold_time, c->peer.id);
	if (!resolve_collision(c))
		return false;
	agree(c);
	keep_open(&c->open_received, body - BGP_HEADER_LEN, BGP_HEADER_LEN + len);
	s->remote_as = c->peer.as;
	set_state(c, BS_OPENCONFIRM);
	if (s->cf->c.bfd_strict && !s->bfd) {
		session_note_address(s, c); /* where it was not known before */
		session_open_bfd(s);
	}
	if (session_needs_bfd(s))
		wait_for_bfd(c);
	else
		confirm(c);
	return true;
}

/* ---- errors ---- */

/* After a connection is gone: what keeps the session trying. */
static void carry_on(struct bgp_conn *c)
{
	struct bgp_session *s = c->s;

	if (!s->running || s->conn || s->start_state != BSS_CONNECT)
		return;
	if (s->dynamic) {
		if (s->in.state == BS_IDLE)
			session_ended(s);
		return;
	}
	if (!s->cf->c.passive && s->out.state == BS_IDLE && s->in.state < BS_OPENSENT)
		fsm_wait_connect(&s->out, s->cf->c.connect_retry);
	session_publish(s);
}

/* The session as a whole has failed: nothing of it goes on. */
static void fail_session(struct bgp_conn *c, bool was_established, bool retain, enum bmp_down_reason reason,
	const struct bgp_error *why)
{
	struct bgp_session *s = c->s;
	struct bgp_error e;

	if (was_established) {
		s->conn = NULL;
		session_lost(s, retain, reason, why);
	}
	bgp_fail(&e, BGP_ERR_CEASE, 0);
	conn_close(other_conn(c), &e);
	session_begin(s);
}

void fsm_socket_error(struct bgp_conn *c, int error)
{
	struct bgp_session *s = c->s;
	bool was = s->conn == c;
	enum bgp_conn_state state = c->state;

	if (error) {
		session_trace(s, DBG_EVENTS, "Connection lost (%s)", strerror(error));
		session_store_error(s, BE_SOCKET, "%s", strerror(error));
	} else {
		session_trace(s, DBG_EVENTS, "Connection closed");
		session_store_error(s, BE_SOCKET, "Connection closed");
	}
	if (was) {
		bool retain = session_can_retain(s);

		s->silent_loss = true;
		conn_reset(c);
		fail_session(c, true, retain, BMP_DOWN_REMOTE, NULL);
		return;
	}
	conn_reset(c);
	if (c->outgoing && (state == BS_CONNECT || state == BS_ACTIVE))
		fsm_wait_connect(c, s->cf->c.connect_retry);
	else
		carry_on(c);
}

/* RFC 8538 section 4: after a NOTIFICATION, if both sides said so and it was no Hard Reset. */
static bool retain_after_notification(struct bgp_conn *c, const struct bgp_error *e)
{
	if (c->s->conn != c || (e->code == BGP_ERR_CEASE && e->subcode == CEASE_HARD_RESET))
		return false;
	if (!(c->local.caps.gr_flags & GR_FLAG_NOTIFICATION) ||
		!(c->peer.caps.gr_flags & GR_FLAG_NOTIFICATION))
		return false;
	return session_can_retain(c->s);
}

void fsm_error(struct bgp_conn *c, const struct bgp_error *e)
{
	struct bgp_session *s = c->s;
	bool was = s->conn == c, retain = retain_after_notification(c, e);
	char name[32], detail[300];

	s->mirror.errored |= e->code != BGP_ERR_CEASE;
	bgp_error_detail(e, detail, sizeof(detail));
	if (e->code != BGP_ERR_CEASE)
		session_log(s, LOG_CLASS_REMOTE, "Error: %s%s", bgp_error_name(e->code, e->subcode, name),
			detail);
	/* Which number it was is half of the answer; other data are for the log. */
	session_store_error(s, BE_BGP_TX, "%s%s", bgp_error_name(e->code, e->subcode, name),
		e->code == BGP_ERR_OPEN && e->subcode == 2 ? detail : "");
	conn_close(c, e);
	if (e->code != BGP_ERR_CEASE)
		session_back_off(s);
	fail_session(c, was, retain, BMP_DOWN_LOCAL_NOTIFICATION, e);
}

static void disable_after_cease(struct bgp_session *s, uint8_t subcode)
{
	/* Bit 0: a Cease without subcode, or one newer than the list. */
	uint32_t bit = 1u << (subcode <= 8 ? subcode : 0);

	if (!(s->cf->c.disable_after_cease & bit))
		return;
	session_log(s, LOG_CLASS_INFO, "Disabled after Cease notification");
	s->startup_delay = 0;
	session_ask_disable(s);
}

static void on_notification(struct bgp_conn *c, const uint8_t *body, size_t len)
{
	struct bgp_session *s = c->s;
	struct bgp_error e;
	bool was = s->conn == c, retain;
	char name[32], detail[300];

	bgp_fail_data(&e, body[0], body[1], body + 2, len - 2);
	retain = retain_after_notification(c, &e);
	bgp_error_detail(&e, detail, sizeof(detail));
	if (e.code == BGP_ERR_OPEN && e.subcode == 2 && !detail[0])
		snprintf(detail, sizeof(detail), ": %u", c->local.as); /* it is ours that was refused */
	session_log(s, LOG_CLASS_REMOTE, "Received: %s%s", bgp_error_name(e.code, e.subcode, name), detail);
	if (e.code == BGP_ERR_CEASE && e.subcode == CEASE_COLLISION && !was) {
		/* The neighbour has chosen the other connection. */
		conn_reset(c);
		carry_on(c);
		return;
	}
	session_store_error(s, BE_BGP_RX, "%s%s", bgp_error_name(e.code, e.subcode, name),
		e.code == BGP_ERR_CEASE || (e.code == BGP_ERR_OPEN && e.subcode == 2) ? detail : "");
	conn_reset(c);
	if (e.code == BGP_ERR_OPEN && e.subcode == 4 && !s->no_capabilities) {
		/* A very old speaker: once more without. */
		session_log(s, LOG_CLASS_INFO,
			"Neighbor refuses optional parameters, trying without capabilities");
		s->no_capabilities = true;
	} else if (e.code == BGP_ERR_CEASE) {
		disable_after_cease(s, e.subcode);
	} else {
		session_back_off(s);
	}
	fail_session(c, was, retain, BMP_DOWN_REMOTE_NOTIFICATION, &e);
}

void fsm_hold_expired(struct bgp_conn *c)
{
	struct bgp_error e;

	if (c->bfd_wait) {
		session_bfd_missing(c->s);
		return;
	}
	session_trace(c->s, DBG_EVENTS, "Hold timer expired");
	c->s->silent_loss = true;
	bgp_fail(&e, BGP_ERR_HOLD, 0);
	fsm_error(c, &e);
}

void fsm_send_hold_expired(struct bgp_conn *c)
{
	struct bgp_session *s = c->s;
	bool was = s->conn == c;
	struct linger now = {.l_onoff = 1, .l_linger = 0};

	/* The neighbour takes nothing: a NOTIFICATION would only queue behind the rest (RFC 9687
	 * section 3.2). */
	session_log(s, LOG_CLASS_REMOTE, "Error: Send hold timer expired");
	session_store_error(s, BE_BGP_TX, "Send hold timer expired");
	setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	conn_reset(c);
	s->silent_loss = true;
	session_back_off(s);
	fail_session(c, was, false, BMP_DOWN_LOCAL, NULL);
}

/* ---- messages ---- */

static bool unexpected(struct bgp_conn *c, uint8_t type)
{
	struct bgp_error e;
	uint8_t subcode = c->state == BS_OPENSENT ? 1 : c->state == BS_OPENCONFIRM ? 2 : 3;

	bgp_fail_data(&e, BGP_ERR_FSM, subcode, &type, 1); /* RFC 6608 */
	fsm_error(c, &e);
	return false;
}

static bool on_established(struct bgp_conn *c, uint8_t type, const uint8_t *body, size_t len)
{
	struct bgp_session *s = c->s;
	struct bgp_error e;

	switch (type) {
	case BGP_MSG_UPDATE:
		if (channel_update(s, body, len, &e))
			return true;
		channels_submit(s);
		fsm_error(c, &e);
		return false;
	case BGP_MSG_KEEPALIVE: return true;
	case BGP_MSG_ROUTE_REFRESH:
		if (channel_refresh(s, body, len, &e) == 0)
			return true;
		fsm_error(c, &e);
		return false;
	default: return unexpected(c, type);
	}
}

static bool look_at(struct bgp_conn *c, const uint8_t *msg, size_t len)
{
	const uint8_t *body = msg + BGP_HEADER_LEN;
	uint8_t type = msg[18];

	if (c->s->cf->mrt_messages && (c->s->cf->mrtdump & MRTDUMP_MESSAGES)) {
		const struct mrt_session who = session_mrt(c->s, c);

		mrt_messages_received(c->s->cf->mrt_messages, &who, msg, len);
	}
	len -= BGP_HEADER_LEN;
	if (type == BGP_MSG_NOTIFICATION) {
		channels_submit(c->s);
		on_notification(c, body, len);
		return false;
	}
	switch (c->state) {
	case BS_OPENSENT: return type == BGP_MSG_OPEN ? on_open(c, body, len) : unexpected(c, type);
	case BS_OPENCONFIRM:
		if (type != BGP_MSG_KEEPALIVE)
			return unexpected(c, type);
		if (c->bfd_wait)
			c->confirmed = true;
		else
			establish(c);
		return true;
	case BS_ESTABLISHED: return on_established(c, type, body, len);
	default: return false;
	}
}

bool fsm_message(struct bgp_conn *c, const uint8_t *msg, size_t len)
{
	struct bgp_session *s = c->s;
	bool goes_on;

	if (c->state != BS_ESTABLISHED || !s->daemon->bmp || !bmp_hub_mirrors(s->daemon->bmp))
		return look_at(c, msg, len);
	s->mirror.message = msg;
	s->mirror.len = len;
	s->mirror.reported = s->mirror.errored = false;
	goes_on = look_at(c, msg, len);
	session_mirror(s); /* unless the end of the connection has done so */
	return goes_on;
}
