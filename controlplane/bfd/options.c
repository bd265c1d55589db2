/* SPDX-License-Identifier: BSD-2-Clause */
/* From what is written to what a session does: interface block, then the options of those who ask for the
 * session. */
#include "controlplane/bfd/client.h"
#include <errno.h>
#include <string.h>

static void overlay(struct bfd_params *p, const struct bfd_options *o)
{
	if (o->set_min_rx)
		p->min_rx_us = o->min_rx_us;
	if (o->set_min_tx)
		p->min_tx_us = o->min_tx_us;
	if (o->set_idle)
		p->idle_tx_us = o->idle_tx_us;
	if (o->set_mult)
		p->detect_mult = o->multiplier;
	if (o->set_passive)
		p->passive = o->passive;
	if (o->set_demand)
		p->demand = o->demand;
	if (o->set_echo)
		p->echo_tx_us = o->echo_tx_us;
	if (o->set_echo_rx)
		p->min_echo_rx_us = o->echo_min_rx_us;
	if (o->set_pdu)
		p->padded_len = o->pdu_size;
	if (o->set_ttl)
		p->min_ttl = o->min_ttl;
	if (o->set_damp) {
		p->damp_flaps = o->damp_flaps;
		p->damp_within_us = o->damp_within_us;
		p->damp_hold_us = o->damp_hold_us;
		p->damp_max_us = o->damp_max_us;
	}
	if (o->set_auth) {
		p->auth_type = o->auth_type;
		memset(p->auth, 0, sizeof(p->auth));
		for (unsigned i = 0; i < o->n_keys && i < BFD_AUTH_KEYS; i++)
			p->auth[i] = o->keys[i];
	}
}

/* What this kind of session, or this back end, knows nothing of. A pattern's options are for all that match
 * it: they are not an error there. */
static void leave_out(const struct bfd_client *c, const struct bfd_session *s, struct bfd_params *p)
{
	if (s->key.kind != BFD_KIND_SINGLEHOP || !c->dp_socket)
		p->echo_tx_us = p->min_echo_rx_us = 0;
	if (s->key.kind == BFD_KIND_SBFD || s->key.kind == BFD_KIND_ECHO_ONLY)
		p->demand = p->passive = false;
	if (s->key.kind == BFD_KIND_ECHO_ONLY)
		p->auth_type = BFD_AUTH_NONE;
	/* RFC 5881 section 5 */
	if (s->key.kind == BFD_KIND_SINGLEHOP && p->auth_type == BFD_AUTH_NONE)
		p->min_ttl = 255;
	if (s->unsolicited && !s->configured)
		p->passive = true; /* RFC 9468 section 2 */
	if (p->auth_type == BFD_AUTH_NONE)
		memset(p->auth, 0, sizeof(p->auth));
}

static bool accepted(const struct bfd_config *cfg, const struct bfd_key *k)
{
	bool multihop = k->kind == BFD_KIND_MULTIHOP || k->kind == BFD_KIND_SBFD,
	     v4 = ipaddr_is_v4(&k->remote);

	return (v4 ? cfg->accept_ipv4 : cfg->accept_ipv6) &&
	       (multihop ? cfg->accept_multihop : cfg->accept_direct);
}

int options_apply(const struct bfd_client *c, struct bfd_session *s, struct bfd_params *out)
{
	const struct bfd_config *cfg = c->cfg;
	const struct bfd_iface_config *ic;
	const struct bfd_request *q;

	*out = (struct bfd_params){
		.min_rx_us = 10000, /* BIRD's defaults */
		.min_tx_us = 100000,
		.idle_tx_us = 1000000,
		.detect_mult = 5,
		.min_ttl = s->key.kind == BFD_KIND_MULTIHOP || s->key.kind == BFD_KIND_SBFD ? 1 : 255,
		.sbfd_disc = s->sbfd_disc,
		.cbit = c->dp_socket != NULL, /* true only where the engine lives on without us */
	};
	if (!cfg)
		return -EACCES;
	if (s->key.kind == BFD_KIND_MULTIHOP || s->key.kind == BFD_KIND_SBFD) {
		if (cfg->has_multihop)
			overlay(out, &cfg->multihop);
	} else {
		cds_list_for_each_entry(ic, &cfg->ifaces,
			node) if (!ic->pattern || iface_pattern_match(ic->pattern, s->ifname, &s->key.local))
		{
			overlay(out, &ic->options);
			break;
		}
	}
	if (s->configured)
		overlay(out, &s->configured_options);
	cds_list_for_each_entry(q, &s->requests, node) overlay(out, &q->cf.options);
	leave_out(c, s, out);
	/* RFC 5880 section 6.8.3 */
	if (out->idle_tx_us < 1000000)
		out->idle_tx_us = 1000000;
	return accepted(cfg, &s->key) ? 0 : -EACCES;
}
