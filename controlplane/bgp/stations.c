/* SPDX-License-Identifier: BSD-2-Clause */
/* What BMP stations hear of a session: that it is up, before its first route, and that it is not any more. */
#include "controlplane/bgp/session.h"
#include <sys/socket.h>

static uint16_t port_of(const struct sockaddr_storage *a)
{
	return ntohs(a->ss_family == AF_INET ? ((const struct sockaddr_in *)a)->sin_port
					     : ((const struct sockaddr_in6 *)a)->sin6_port);
}

void session_tell_stations_up(struct bgp_session *s)
{
	const struct bgp_conn *c = s->conn;
	struct sockaddr_storage a;
	socklen_t len = sizeof(a);
	struct bmp_peer *p;

	if (!s->daemon->bmp || !c->open_sent || !c->open_received)
		return;
	p = bmp_peer_new(c->open_sent, (size_t)c->open_sent[16] << 8 | c->open_sent[17], c->open_received,
		(size_t)c->open_received[16] << 8 | c->open_received[17]);
	p->session = s;
	p->peer = s->cf->c.remote;
	p->local = s->local_addr;
	p->as = c->peer.as;
	p->id = c->peer.id;
	p->as4 = c->as4;
	p->up_wall_ns = clock_wall_ns();
	if (getpeername(c->fd, (struct sockaddr *)&a, &len) == 0)
		p->peer_port = port_of(&a);
	len = sizeof(a);
	if (getsockname(c->fd, (struct sockaddr *)&a, &len) == 0)
		p->local_port = port_of(&a);
	for (unsigned i = 0; i < s->n_channels; i++) {
		struct bgp_channel *ch = &s->channel[i];

		if (!ch->up || !ch->source || ch->safi != BGP_SAFI_UNICAST)
			continue;
		p->channel[p->n_channels++] = (struct bmp_peer_channel){.source = rib_source_id(ch->source),
			.table = s->cf->channel[i].table,
			.afi = ch->afi,
			.add_path = ch->add_path_rx};
	}
	bmp_hub_up(s->daemon->bmp, p);
	for (unsigned i = 0; i < s->n_channels; i++)
		channel_tell_stations(&s->channel[i]);
}

void channel_tell_stations(struct bgp_channel *ch)
{
	if (ch->s->daemon->bmp && ch->export && ch->safi == BGP_SAFI_UNICAST)
		bmp_hub_export(ch->s->daemon->bmp, ch->s, &ch->export_cf);
}

void session_mirror(struct bgp_session *s)
{
	size_t len = s->mirror.len;

	s->mirror.len = 0;
	if (len)
		bmp_hub_mirror(s->daemon->bmp, s, s->mirror.message, len, s->mirror.errored);
}

void session_tell_stations_down(
	struct bgp_session *s, enum bmp_down_reason reason, const struct bgp_error *why)
{
	struct bmp_down d = {.reason = reason};

	if (!s->daemon->bmp)
		return;
	if (why)
		d.len = bgp_notification_encode(why, d.data, sizeof(d.data));
	else if (reason == BMP_DOWN_LOCAL)
		d.len = 2;
	bmp_hub_down(s->daemon->bmp, s, &d);
}
