/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `neighbor interface "eth0"`: the neighbour is the router at the other end of a link, whatever its
 * link-local address is (the "unnumbered" peering of other daemons).
 *
 * It is found by its Router Advertisements (ra.c), or because it connects before we have heard one; it finds
 * us by ours. From then on there is a session as with any link-local neighbour. Another router takes its
 * place when the session is not Established and the first has not been heard for a while: on a link with
 * several routers the first one stays, a new box at the old one's port is found.
 *
 * Main thread.
 */
#include "controlplane/bgp/bgp_proto.h"
#include "controlplane/bgp/ra.h"
#include <arpa/inet.h>
#include <errno.h>
#include <unistd.h>

#define SILENT_S (3 * RA_INTERVAL_S)

/* The protocol was restarted, and with it goes what called us. */
enum found { FOUND_SAME, FOUND_NEW, FOUND_RESTARTED };

static bool is_established(struct proto *p)
{
	struct bgp_status st;

	return bgp_peer_status(p, &st) && st.established;
}

static enum found found(struct proto *p, const struct ipaddr *addr)
{
	struct bgp_peer *peer = p->data;
	uint64_t now = clock_now_ns();
	char text[IPADDR_STRLEN];

	if (p->state != PS_START && p->state != PS_UP)
		return FOUND_SAME;
	if (ipaddr_equal(&peer->found, addr)) {
		peer->heard_ns = now;
		return FOUND_SAME;
	}
	if (peer->session && (is_established(p) || now - peer->heard_ns < SILENT_S * NS_PER_S))
		return FOUND_SAME;
	log_msg(LOG_CLASS_INFO, "%s: Found neighbor %s%%%s", p->cf->name, ipaddr_format(addr, text),
		((const struct bgp_config *)p->cf->body)->ifname);
	peer->found = *addr;
	peer->heard_ns = now;
	if (peer->session) {
		proto_restart(p, NULL);
		return FOUND_RESTARTED;
	}
	if (bgp_start_session(p, peer, &peer->found) < 0)
		log_msg(LOG_CLASS_ERROR, "%s: Cannot start a session with %s", p->cf->name, text);
	return FOUND_NEW;
}

static bool heard(void *ctx, const struct ipaddr *from)
{
	return found(ctx, from) != FOUND_RESTARTED;
}

/* Nobody has a session with who connects here. */
static void connected(void *ctx, const struct bgp_incoming *in)
{
	struct proto *p = ctx;
	struct bgp_peer *peer = p->data;

	if (found(p, &in->remote) != FOUND_RESTARTED && peer->session &&
		ipaddr_equal(&peer->session->identity->c.remote, &in->remote))
		engine_hand_over(peer->session, in);
	else
		close(in->fd); /* it calls again */
}

/* Listens for link-local neighbours on the interface. */
static int listen_there(struct proto *p)
{
	struct bgp_settings *cf = bgp_settings_make(p, NULL);
	static const uint8_t link_local[16] = {0xfe, 0x80};
	struct ipaddr any = ipaddr_v6(link_local);
	char err[TRANSPORT_ERR];
	int rc;

	cf->c.range = prefix_make(&any, 10);
	cf->c.has_range = true;
	rc = engine_add_range(p->daemon->bgp, cf, connected, p, err);
	bgp_settings_release(cf);
	if (rc < 0)
		log_msg(LOG_CLASS_ERROR, "%s: %s", p->cf->name, err);
	return rc;
}

int bgp_unnumbered_start(struct proto *p, struct bgp_peer *peer)
{
	const struct bgp_config *c = p->cf->body;
	int rc = listen_there(p);

	if (rc < 0)
		return rc;
	peer->ra = ra_open(p->daemon->main, p->cf->name, c->ifname, heard, p);
	rc = peer->ra ? 0 : -ENOMEM;
	if (!rc && !ipaddr_is_zero(&peer->found))
		rc = bgp_start_session(p, peer, &peer->found);
	if (rc < 0)
		bgp_unnumbered_stop(p, peer);
	else
		proto_set_state(p, PS_START);
	return rc;
}

void bgp_unnumbered_stop(struct proto *p, struct bgp_peer *peer)
{
	engine_remove_range(p->daemon->bgp, p);
	ra_close(peer->ra);
	peer->ra = NULL;
}
