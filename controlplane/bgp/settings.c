/* SPDX-License-Identifier: BSD-2-Clause */
#include "controlplane/bgp/settings.h"
#include "controlplane/bgp/nlri.h"
#include "controlplane/bgp/wire.h"
#include "controlplane/config/arena.h"
#include "controlplane/mrt/messages.h"
#include "controlplane/proto/proto.h"
#include <sys/utsname.h>

static struct ao_key *copy_keys(struct arena *a, const struct ao_key *k)
{
	struct ao_key *first = NULL, **tail = &first;

	for (; k; k = k->next) {
		struct ao_key *n = arena_memdup(a, k, sizeof(*k));

		n->secret = arena_memdup(a, k->secret, k->secret_len);
		n->algorithm = k->algorithm ? arena_strdup(a, k->algorithm) : NULL;
		n->next = NULL;
		*tail = n;
		tail = &n->next;
	}
	return first;
}

static const char *copy_string(struct arena *a, const char *s)
{
	return s ? arena_strdup(a, s) : NULL;
}

/* Families that we run; others of a BGP protocol are inert (the grammar has warned). */
static bool family_of(const struct channel_config *cf, uint8_t *afi)
{
	static const uint8_t afis[] = {BGP_AFI_IPV4, BGP_AFI_IPV6, BGP_AFI_L2VPN};

	for (unsigned i = 0; !cf->inert && i < sizeof(afis); i++)
		if (bgp_family_net(afis[i], cf->safi) == cf->net) {
			*afi = afis[i];
			return true;
		}
	return false;
}

static void add_channel(struct bgp_settings *s, struct proto_channel *pc)
{
	struct bgp_channel_settings *cs = &s->channel[s->n_channels];
	const struct table_config *igp;
	uint8_t afi;

	if (!family_of(pc->cf, &afi) || s->n_channels == BGP_MAX_CHANNELS)
		return;
	s->n_channels++;
	cs->cf = *pc->cf;
	cs->afi = afi;
	cs->safi = pc->cf->safi;
	cs->name = arena_strdup(s->arena, pc->cf->name);
	cs->cf.name = cs->name;
	cs->table = pc->table;
	filter_ref_hold(&cs->cf.import);
	filter_ref_hold(&cs->cf.export);
	igp = afi != BGP_AFI_IPV6 ? pc->cf->igp_table4 : pc->cf->igp_table6;
	if (igp && igp != pc->cf->table)
		cs->igp_table = rib_table_find(pc->proto->daemon->rib, igp->name);
	if (pc->cf->validate && pc->cf->base_table)
		cs->base_table = rib_table_find(pc->proto->daemon->rib, pc->cf->base_table->name);
}

void bgp_settings_resolve(struct bgp_settings *s, uint32_t remote_as)
{
	s->internal = remote_as ? remote_as == s->c.local_as : s->c.peer_type == BGP_PEER_INTERNAL;
	s->interior = s->internal || s->c.confederation_member;
	s->public_as = s->c.confederation && !s->interior ? s->c.confederation : s->c.local_as;
}

static const char *own_hostname(struct arena *a, const struct proto *p)
{
	struct utsname u;

	if (p->cf->hostname)
		return arena_strdup(a, p->cf->hostname);
	if (p->config->hostname)
		return arena_strdup(a, p->config->hostname);
	return uname(&u) < 0 ? "" : arena_strdup(a, u.nodename);
}

struct bgp_settings *bgp_settings_make(struct proto *p, const struct ipaddr *remote)
{
	const struct bgp_config *c = p->cf->body;
	struct arena *a = arena_create();
	struct bgp_settings *s = arena_alloc(a, sizeof(*s));
	struct proto_channel *pc;

	s->refs = 1;
	s->arena = a;
	s->c = *c;
	s->c.ifname = copy_string(a, c->ifname);
	s->c.password = copy_string(a, c->password);
	s->c.dynamic_name = copy_string(a, c->dynamic_name);
	s->c.ao_keys = copy_keys(a, c->ao_keys);
	s->c.iface_range = NULL;
	if (remote)
		s->c.remote = *remote;
	s->name = arena_strdup(a, p->cf->name);
	s->debug = p->cf->debug;
	s->mrtdump = p->cf->mrtdump;
	s->mrt_messages = mrt_messages_hold(p->daemon->mrt_messages);
	s->router_id = p->cf->router_id ? p->cf->router_id : p->daemon->router_id;
	s->hostname = own_hostname(a, p);
	s->cluster_id = c->rr_cluster_id ? c->rr_cluster_id : s->router_id;
	s->direct = !c->multihop;
	s->hops = c->multihop ? c->multihop : 1;
	if (c->peer_type == BGP_PEER_INTERNAL && !c->remote_as)
		s->c.remote_as = c->local_as;
	bgp_settings_resolve(s, s->c.remote_as);
	cds_list_for_each_entry(pc, &p->channels, node) add_channel(s, pc);
	return s;
}

struct bgp_settings *bgp_settings_hold(struct bgp_settings *s)
{
	__atomic_add_fetch(&s->refs, 1, __ATOMIC_RELAXED);
	return s;
}

void bgp_settings_release(struct bgp_settings *s)
{
	if (!s || __atomic_sub_fetch(&s->refs, 1, __ATOMIC_ACQ_REL))
		return;
	for (unsigned i = 0; i < s->n_channels; i++) {
		filter_ref_release(&s->channel[i].cf.import);
		filter_ref_release(&s->channel[i].cf.export);
	}
	mrt_messages_release(s->mrt_messages);
	arena_destroy(s->arena);
}
