/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The life of a session, as seen from the manager:
 *
 *   FREE -> LIVE -> LEAVING -> REMOVING -> FREE
 *
 * Its slot is fixed while it lives. Its worker changes when workers are added or
 * taken out of use (session_rebalance()). The path (port, VLAN, local
 * address, next hop, MAC) is worked out again whenever the kernel reports
 * something that may matter, and given to the worker only when it differs;
 * routes to multihop peers are asked for again each second, because route
 * notifications are not subscribed to. A session that cannot send stays: its
 * peer may still be heard, and `why` says what is missing.
 *
 * Keys are completed before anything else: a single-hop session always has an
 * interface index, taken from ifname if that exists (indices change when an
 * interface is made again, names don't).
 */
#include "dataplane/session.h"
#include "dataplane/dpdk.h"
#include "shared/hash.h"
#include "shared/log.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NONE UINT32_MAX
#define LEAVE_NS (1200 * NS_PER_MS) /* AdminDown goes out at once and again after a second */
#define FIRST_SPORT 49152u
#define SPORTS 16384u
#define MAX_PADDED 1900 /* fits a packet buffer with all headers */
#define GENERATION_BITS (32 - BFD_SLOT_BITS)

static uint32_t *bucket_of(struct dp *dp, const struct bfd_key *k)
{
	uint64_t h = hash_ipaddr(&k->remote, dp->seed) ^ hash_ipaddr(&k->local, ~dp->seed) ^
		     hash_u64((uint64_t)k->ifindex << 8 | k->kind, dp->seed);

	return &dp->by_key[h & dp->by_key_mask];
}

static bool same_key(const struct bfd_key *a, const struct bfd_key *b)
{
	return a->ifindex == b->ifindex && a->kind == b->kind && ipaddr_equal(&a->remote, &b->remote) &&
	       ipaddr_equal(&a->local, &b->local);
}

static bool same_params(const struct bfd_params *a, const struct bfd_params *b)
{
	bool same = a->min_tx_us == b->min_tx_us && a->min_rx_us == b->min_rx_us &&
		    a->idle_tx_us == b->idle_tx_us && a->min_echo_rx_us == b->min_echo_rx_us &&
		    a->echo_tx_us == b->echo_tx_us && a->detect_mult == b->detect_mult &&
		    a->min_ttl == b->min_ttl && a->passive == b->passive && a->admin_down == b->admin_down &&
		    a->demand == b->demand && a->cbit == b->cbit && a->padded_len == b->padded_len &&
		    a->auth_type == b->auth_type && a->sbfd_disc == b->sbfd_disc &&
		    a->damp_flaps == b->damp_flaps && a->damp_within_us == b->damp_within_us &&
		    a->damp_hold_us == b->damp_hold_us && a->damp_max_us == b->damp_max_us;

	for (unsigned i = 0; same && a->auth_type && i < BFD_AUTH_KEYS; i++) {
		const struct bfd_auth_key *x = &a->auth[i], *y = &b->auth[i];

		same = x->id == y->id && x->len == y->len && x->send == y->send && x->accept == y->accept &&
		       !memcmp(x->secret, y->secret, x->len);
	}
	return same;
}

static uint32_t lookup(struct dp *dp, const struct bfd_key *k)
{
	uint32_t slot = *bucket_of(dp, k);

	while (slot != NONE && !same_key(&dp->session[slot].key, k))
		slot = dp->session[slot].next_by_key;
	return slot;
}

static void link_key(struct dp *dp, uint32_t slot)
{
	uint32_t *b = bucket_of(dp, &dp->session[slot].key);

	dp->session[slot].next_by_key = *b;
	*b = slot;
}

static void unlink_key(struct dp *dp, uint32_t slot)
{
	uint32_t *p = bucket_of(dp, &dp->session[slot].key);

	while (*p != slot && *p != NONE)
		p = &dp->session[*p].next_by_key;
	if (*p == slot)
		*p = dp->session[slot].next_by_key;
}

const char *session_name(const struct session *s, char *buf, size_t size)
{
	char remote[IPADDR_STRLEN], local[IPADDR_STRLEN] = "";

	ipaddr_format(&s->key.remote, remote);
	if (!ipaddr_is_zero(&s->local))
		ipaddr_format(&s->local, local);
	snprintf(buf, size, "%s%s%s%s%s", remote, *s->ifname ? "%" : "", s->ifname, *local ? " from " : "",
		local);
	return buf;
}

int session_table_create(struct dp *dp)
{
	uint32_t n = dp->opt->sessions, buckets = 1024;

	while (buckets < n)
		buckets *= 2;
	dp->by_key_mask = buckets - 1;
	dp->session = calloc(n, sizeof(*dp->session));
	dp->free_slots = calloc(n, sizeof(*dp->free_slots));
	dp->by_key = malloc(buckets * sizeof(*dp->by_key));
	if (!dp->session || !dp->free_slots || !dp->by_key)
		return -ENOMEM;
	memset(dp->by_key, 0xff, buckets * sizeof(*dp->by_key));
	for (uint32_t i = 0; i < n; i++)
		dp->free_slots[i] = i;
	dp->free_count = n;
	return 0;
}

void session_table_destroy(struct dp *dp)
{
	free(dp->session);
	free(dp->free_slots);
	free(dp->by_key);
	dp->session = NULL;
}

/* The path */

static struct port *standalone_port_for(
	struct dp *dp, const struct ipaddr *remote, struct ipaddr *local, uint32_t *ifindex)
{
	for (unsigned i = 0; i < dp->nports; i++) {
		struct port *p = &dp->port[i];

		for (unsigned k = 0; !p->kernel && k < p->spec.nip; k++)
			if (prefix_contains_addr(&p->spec.ip[k], remote)) {
				*local = p->spec.ip_addr[k];
				*ifindex = port_vlan_ifindex(p, p->spec.ip_vid[k]);
				return p;
			}
	}
	return NULL;
}

static bool port_local_address(
	const struct port *p, uint16_t vid, const struct ipaddr *remote, struct ipaddr *out)
{
	for (unsigned k = 0; k < p->spec.nip; k++) {
		if (p->spec.ip_vid[k] != vid || ipaddr_is_v4(&p->spec.ip_addr[k]) != ipaddr_is_v4(remote))
			continue;
		*out = p->spec.ip_addr[k];
		if (prefix_contains_addr(&p->spec.ip[k], remote))
			return true;
	}
	return !ipaddr_is_zero(out);
}

/* Gives key its interface. 0, or a negative errno with the reason in text (IPC_TEXT bytes) when there can be
 * no session. */
static int complete_key(struct dp *dp, struct bfd_key *key, char ifname[IF_NAMESIZE], char *text)
{
	struct neigh_route route;
	struct ipaddr local = key->local;
	const struct neigh_link *link;
	struct port *p;
	uint32_t ifindex;
	uint16_t vid;
	char addr[IPADDR_STRLEN];
	int rc;

	memset(key->reserved, 0, sizeof(key->reserved));
	ipaddr_format(&key->remote, addr);
	if (key->kind == BFD_KIND_MULTIHOP || key->kind == BFD_KIND_SBFD) {
		key->ifindex = 0;
		if (standalone_port_for(dp, &key->remote, &local, &ifindex))
			return 0;
		rc = neigh_route(dp->neigh, &key->remote, &key->local, &route);
		if (rc == -EADDRINUSE)
			return snprintf(text, IPC_TEXT, "%s is an address of this host", addr), -EADDRINUSE;
		/* No route at the moment is no reason to refuse: routes come. One over a foreign interface
		 * is. */
		link = rc ? NULL : neigh_link(dp->neigh, route.ifindex);
		if (link && !dp_port_by_ifindex(dp, route.ifindex, &vid))
			return snprintf(text, IPC_TEXT,
				       "%s is reached through %s, which is no port of peregrine-dp", addr,
				       link->name),
			       -ENODEV;
		return 0;
	}
	if (*ifname) {
		p = dp_port_by_name(dp, ifname, &ifindex);
		if (p && ifindex) {
			key->ifindex = ifindex;
			return 0;
		}
		rc = (int)if_nametoindex(ifname);
		if (rc)
			key->ifindex = (uint32_t)rc;
		else if (!p)
			return snprintf(text, IPC_TEXT, "there is no interface %s, and no port of that name",
				       ifname),
			       -ENODEV;
	}
	if (key->ifindex == 0 && ipaddr_is_link_local(&key->remote))
		return snprintf(text, IPC_TEXT, "%s needs an interface", addr), -EINVAL;
	if (key->ifindex == 0) {
		if (standalone_port_for(dp, &key->remote, &local, &ifindex))
			key->ifindex = ifindex;
		else if (neigh_route(dp->neigh, &key->remote, &key->local, &route) == 0)
			key->ifindex = route.ifindex;
	}
	if (key->ifindex == 0)
		return snprintf(text, IPC_TEXT, "no way to %s: name the interface", addr), -EHOSTUNREACH;
	p = dp_port_by_ifindex(dp, key->ifindex, &vid);
	link = neigh_link(dp->neigh, key->ifindex);
	if (!p)
		return snprintf(text, IPC_TEXT, "%s is no port of peregrine-dp",
			       link      ? link->name
			       : *ifname ? ifname
					 : "that interface"),
		       -ENODEV;
	if (!*ifname && link)
		memcpy(ifname, link->name, IF_NAMESIZE);
	else if (!*ifname)
		port_vlan_name(p, vid, ifname);
	return 0;
}

static bool unresolved(struct session *s, const char *why)
{
	snprintf(s->why, sizeof(s->why), "%.95s", why);
	return false;
}

static uint32_t slot_of(const struct dp *dp, const struct session *s)
{
	return (uint32_t)(s - dp->session);
}

static void set_watch(struct dp *dp, struct session *s, uint32_t ifindex, const struct ipaddr *ip)
{
	if (s->watch && s->watch->ifindex == ifindex && ipaddr_equal(&s->watch->ip, ip))
		return;
	if (s->watch) {
		uint32_t *p = &s->watch->first_session;

		while (*p != slot_of(dp, s))
			p = &dp->session[*p].next_on_watch;
		*p = s->next_on_watch;
		neigh_unwatch(dp->neigh, s->watch);
	}
	s->watch = ifindex ? neigh_watch(dp->neigh, ifindex, ip) : NULL;
	if (s->watch) {
		s->next_on_watch = s->watch->first_session;
		s->watch->first_session = slot_of(dp, s);
	}
}

/* Where the session's packets leave now: port, VLAN, addresses, next hop. False with s->why set when they
 * can't. */
static bool find_way(struct dp *dp, struct session *s)
{
	struct neigh_route route = {.ifindex = s->key.ifindex, .next_hop = s->key.remote};
	struct ipaddr local = s->key.local;
	struct port *p;

	if (s->key.ifindex == 0) {
		if (!standalone_port_for(dp, &s->key.remote, &local, &route.ifindex) &&
			neigh_route(dp->neigh, &s->key.remote, &s->key.local, &route))
			return unresolved(s, "no route");
		if (ipaddr_is_zero(&local))
			local = route.source;
	}
	p = dp_port_by_ifindex(dp, route.ifindex, &s->vid);
	if (!p)
		return unresolved(s, "no port leads there");
	s->port = (int)p->index;
	s->out_ifindex = route.ifindex;
	s->next_hop = route.next_hop;
	if (p->state != PORT_OPEN || !p->up)
		return unresolved(s, p->why);
	if (ipaddr_is_zero(&local)) {
		bool found = p->kernel ? neigh_local_address(dp->neigh, route.ifindex, &s->key.remote, &local)
				       : port_local_address(p, s->vid, &s->key.remote, &local);
		if (!found)
			return unresolved(s, "the interface has no address of that family");
	}
	s->local = local;
	return true;
}

static void build_frames(struct dp *dp, struct session *s, const uint8_t mac[6])
{
	const struct port *p = &dp->port[s->port];
	const struct neigh_link *link = neigh_link(dp->neigh, s->out_ifindex);
	struct bfd_frame_addr a = {
		.vlan = s->vid,
		.src = s->local,
		.dst = s->key.remote,
		.sport = (uint16_t)(FIRST_SPORT + slot_of(dp, s) % SPORTS),
		.dport = s->key.kind == BFD_KIND_MULTIHOP ? BFD_PORT_MULTIHOP
			 : s->key.kind == BFD_KIND_SBFD   ? BFD_PORT_SBFD
							  : BFD_PORT_CONTROL,
		.ttl = 255,
	};

	memcpy(a.src_mac, link ? link->mac : p->mac, 6);
	memcpy(a.dst_mac, mac, 6);
	bfd_frame_init(&s->path.control, &a);
	/* An echo packet comes back because it is addressed to us: RFC 5881 section 4. */
	a.dst = s->local;
	a.dport = BFD_PORT_ECHO;
	bfd_frame_init(&s->path.echo, &a);
}

static void work_out_path(struct dp *dp, struct session *s)
{
	const struct port *p;

	s->port = -1;
	memset(&s->path, 0, sizeof(s->path));
	if (!find_way(dp, s)) {
		if (s->port >= 0)
			s->path.port = (uint8_t)s->port;
		return;
	}
	p = &dp->port[s->port];
	s->path.port = (uint8_t)s->port;
	if (s->params.padded_len + BFD_FRAME_MAX_HEADERS > p->spec.bsize) {
		unresolved(s, "its packets are longer than the port's buffers (bsize=)");
		return;
	}
	if (p->spec.has_peer_mac) {
		set_watch(dp, s, 0, NULL);
		build_frames(dp, s, p->spec.peer_mac);
	} else {
		set_watch(dp, s, s->out_ifindex, &s->next_hop);
		if (!s->watch || !s->watch->known) {
			unresolved(s, "the neighbour's MAC address is not known yet");
			return;
		}
		build_frames(dp, s, s->watch->mac);
	}
	s->path.resolved = true;
	s->why[0] = '\0';
}

void session_repath(struct dp *dp, uint32_t slot)
{
	struct session *s = &dp->session[slot];
	struct command c = {.type = COMMAND_PATH, .slot = slot};
	struct worker_path before = s->path;

	if (s->state != SESSION_LIVE)
		return;
	work_out_path(dp, s);
	if (!memcmp(&before, &s->path, sizeof(before)))
		return;
	dp->filters_due |= s->params.min_echo_rx_us != 0;
	c.path = s->path;
	c.path_down = s->port >= 0 && !dp->port[s->port].up;
	dp_command(dp, s->worker, &c);
}

void session_repath_interface(struct dp *dp, uint32_t ifindex)
{
	for (uint32_t i = 0; i < dp->opt->sessions; i++) {
		struct session *s = &dp->session[i];

		if (s->state == SESSION_LIVE &&
			(ifindex == 0 || s->out_ifindex == ifindex || s->key.ifindex == ifindex ||
				s->key.ifindex == 0 || s->port < 0))
			session_repath(dp, i);
	}
}

void session_repath_watch(struct dp *dp, const struct neigh_watch *w)
{
	uint32_t slot = w->first_session;

	while (slot != NONE) {
		uint32_t next = dp->session[slot].next_on_watch; /* the session may move to another watch */

		session_repath(dp, slot);
		slot = next;
	}
}

/* Adding */

/* The session's port, if it has queues now. */
static const struct worker_port *queues_of(const struct dp *dp, const struct session *s)
{
	const struct worker_port *p = s->port >= 0 ? &dp->workers.tables->port[s->port] : NULL;

	return p && p->nqueues ? p : NULL;
}

/* A worker with a queue on the session's port, the least loaded; any if there is none. */
static unsigned choose_worker(struct dp *dp, const struct session *s)
{
	const struct worker_port *p = queues_of(dp, s);
	unsigned best = p ? p->worker[0] : 0;

	for (unsigned i = 0; i < (p ? p->nqueues : dp->active); i++) {
		unsigned w = p ? p->worker[i] : i;

		if (dp->on_worker[w] < dp->on_worker[best])
			best = w;
	}
	return best;
}

static bool may_be_on(struct dp *dp, const struct session *s, unsigned worker)
{
	const struct worker_port *p = queues_of(dp, s);

	if (!p)
		return worker < dp->active;
	for (unsigned q = 0; q < p->nqueues; q++)
		if (p->worker[q] == worker)
			return true;
	return false;
}

static void move_session(struct dp *dp, uint32_t slot, unsigned to)
{
	struct session *s = &dp->session[slot];
	struct command c = {.type = COMMAND_MOVE, .slot = slot, .to = to, .moved = bfd_moved_create()};

	if (!c.moved) {
		dp->rebalance_due = true;
		return;
	}
	s->moving = true;
	dp->on_worker[s->worker]--;
	dp->on_worker[to]++;
	dp_command(dp, s->worker, &c);
}

void session_rebalance(struct dp *dp)
{
	dp->rebalance_due = false;
	for (uint32_t i = 0; dp->workers.n > 1 && i < dp->opt->sessions; i++) {
		struct session *s = &dp->session[i];
		unsigned best;

		if (s->state != SESSION_LIVE && s->state != SESSION_LEAVING)
			continue;
		if (s->pending) { /* first what is under way */
			dp->rebalance_due = true;
			continue;
		}
		best = choose_worker(dp, s);
		if (best != s->worker &&
			(!may_be_on(dp, s, s->worker) || dp->on_worker[s->worker] > dp->on_worker[best] + 1))
			move_session(dp, i, best);
	}
}

/* Everything that was given to the old worker has come back: from now on the new one is asked. */
static void settle_move(struct session *s)
{
	if (!s->pending)
		s->worker = s->moved_to;
}

static void move_done(struct dp *dp, const struct command *c)
{
	struct session *s = &dp->session[c->slot];
	char name[128];

	bfd_moved_destroy(c->moved);
	if (!s->moving)
		return;
	s->moving = false;
	if (c->result) { /* it has not left */
		dp->on_worker[c->to]--;
		dp->on_worker[s->worker]++;
		if (s->state == SESSION_LIVE)
			log_msg(LOG_CLASS_ERROR, "BFD session %s does not move to worker %u: %s",
				session_name(s, name, sizeof(name)), c->to, strerror(-c->result));
		return;
	}
	s->moved_to = c->to;
}

static void send_add(struct dp *dp, uint32_t slot)
{
	struct session *s = &dp->session[slot];
	struct command c = {
		.type = COMMAND_ADD,
		.slot = slot,
		.generation = s->generation,
		.local_disc = s->local_disc,
		.key = s->key,
		.params = s->params,
		.path = s->path,
	};

	s->adding = true;
	dp_command(dp, s->worker, &c);
}

static void send_params(struct dp *dp, uint32_t slot)
{
	struct session *s = &dp->session[slot];
	struct command c = {.type = COMMAND_UPDATE, .slot = slot, .params = s->params};

	dp_command(dp, s->worker, &c);
}

static void finish_removal(struct dp *dp, uint32_t slot)
{
	struct session *s = &dp->session[slot];
	struct command c = {.type = COMMAND_REMOVE, .slot = slot};

	if (s->state == SESSION_LEAVING)
		dp->leaving--;
	dp->filters_due |= s->params.min_echo_rx_us != 0;
	set_watch(dp, s, 0, NULL);
	s->state = SESSION_REMOVING;
	dp_command(dp, s->worker, &c);
}

static int check(struct dp *dp, struct session_request *r, char text[IPC_TEXT])
{
	int rc = complete_key(dp, &r->key, r->ifname, text);
	const char *wrong = rc ? NULL : bfd_params_check(&r->key, &r->params);

	if (wrong)
		return snprintf(text, IPC_TEXT, "%s", wrong), -EINVAL;
	if (r->params.padded_len > MAX_PADDED)
		return snprintf(text, IPC_TEXT, "packets cannot be padded beyond %d bytes here", MAX_PADDED),
		       -EINVAL;
	return rc;
}

static int refresh(struct dp *dp, uint32_t slot, const struct session_request *r, char text[IPC_TEXT])
{
	struct session *s = &dp->session[slot];

	if (s->owner != r->owner)
		return snprintf(text, IPC_TEXT, "this session belongs to %s",
			       s->owner == OWNER_FRR ? "FRR" : "peregrined"),
		       -EEXIST;
	s->named = true;
	s->tag = r->tag;
	if (same_params(&s->params, &r->params))
		return 0;
	dp->filters_due |= s->params.min_echo_rx_us != r->params.min_echo_rx_us;
	s->params = r->params;
	send_params(dp, slot);
	return 0;
}

int session_add(struct dp *dp, const struct session_request *request, uint32_t *slot, bool *created,
	char text[IPC_TEXT])
{
	struct session_request r = *request;
	unsigned before = WORKER_MAX;
	struct session *s;
	uint32_t at;
	int rc = check(dp, &r, text);

	if (rc)
		return rc;
	*created = false;
	at = lookup(dp, &r.key);
	if (at != NONE && dp->session[at].state == SESSION_LIVE) {
		*slot = at;
		return refresh(dp, at, &r, text);
	}
	if (at != NONE) { /* on its way out: the key is needed again now */
		if (dp->session[at].state == SESSION_LEAVING)
			finish_removal(dp, at);
		before = dp->session[at].worker;
	}
	if (dp->free_count == 0)
		return snprintf(text, IPC_TEXT, "all %u sessions are in use (--sessions)", dp->opt->sessions),
		       -ENOSPC;
	at = dp->free_slots[dp->free_head];
	dp->free_head = (dp->free_head + 1) % dp->opt->sessions;
	dp->free_count--;

	s = &dp->session[at];
	*s = (struct session){
		.state = SESSION_LIVE,
		.owner = r.owner,
		.key = r.key,
		.params = r.params,
		.tag = r.tag,
		.named = true,
		.seen_state = BFD_DOWN,
		.generation = s->generation,
	};
	do
		s->generation = (s->generation + 1) & ((1u << GENERATION_BITS) - 1);
	while (s->generation == 0 || bfd_discriminator_make(dp->workers.salt, s->generation, at) == 0);
	s->local_disc = bfd_discriminator_make(dp->workers.salt, s->generation, at);
	memcpy(s->ifname, r.ifname, sizeof(s->ifname));
	work_out_path(dp, s);
	/* An engine has a key once. The worker that gets the old session's REMOVE has given it away or
	 * carries that out before this ADD; another one may hear of it later, if the session is moving there.
	 */
	s->worker = s->moved_to = before < WORKER_MAX ? before : choose_worker(dp, s);
	dp->rebalance_due |= before < WORKER_MAX;
	atomic_store_explicit(&dp->workers.owner[at], (uint8_t)s->worker, memory_order_release);
	dp->on_worker[s->worker]++;
	link_key(dp, at);
	dp->filters_due |= s->params.min_echo_rx_us != 0;
	send_add(dp, at);
	*slot = at;
	*created = true;
	return 0;
}

int session_find(struct dp *dp, enum session_owner owner, const struct bfd_key *key, const char *ifname,
	uint32_t *slot)
{
	struct bfd_key k = *key;
	char name[IF_NAMESIZE], text[IPC_TEXT];

	snprintf(name, sizeof(name), "%s", ifname);
	complete_key(dp, &k, name, text);
	*slot = lookup(dp, &k);
	if (*slot == NONE || dp->session[*slot].state != SESSION_LIVE || dp->session[*slot].owner != owner)
		return -ENOENT;
	return 0;
}

void session_remove(struct dp *dp, uint32_t slot)
{
	struct session *s = &dp->session[slot];

	if (s->state != SESSION_LIVE)
		return;
	s->owner = OWNER_NONE;
	if (!s->path.resolved) {
		finish_removal(dp, slot);
		return;
	}
	s->state = SESSION_LEAVING;
	dp->leaving++;
	s->leave_ns = dp->now_ns + LEAVE_NS;
	s->params.admin_down = true;
	send_params(dp, slot);
}

void session_shutdown_all(struct dp *dp)
{
	for (uint32_t i = 0; i < dp->opt->sessions; i++) {
		struct session *s = &dp->session[i];

		if (s->state != SESSION_LIVE || s->params.admin_down)
			continue;
		s->params.admin_down = true;
		send_params(dp, i);
	}
}

void session_done(struct dp *dp, struct command *c)
{
	struct session *s = &dp->session[c->slot];
	char name[128];

	if (c->type == COMMAND_STOP)
		return;
	if (s->pending)
		s->pending--;
	if (c->type == COMMAND_MOVE)
		move_done(dp, c);
	settle_move(s);
	switch (c->type) {
	case COMMAND_ADD:
		s->adding = false;
		if (c->result == 0)
			break;
		log_msg(LOG_CLASS_ERROR, "BFD session %s refused by its worker: %s",
			session_name(s, name, sizeof(name)), strerror(-c->result));
		if (s->state == SESSION_LIVE || s->state == SESSION_LEAVING)
			finish_removal(dp, c->slot);
		break;
	case COMMAND_UPDATE:
		if (c->result)
			log_msg(LOG_CLASS_ERROR, "BFD session %s: new parameters refused: %s",
				session_name(s, name, sizeof(name)), strerror(-c->result));
		break;
	case COMMAND_REMOVE:
		/* Made again at once, on a port that returned; and maybe removed again since: the slot is
		 * free when its last command has come back. */
		if (s->state != SESSION_REMOVING || s->pending)
			break;
		unlink_key(dp, c->slot);
		s->state = SESSION_FREE;
		dp->on_worker[s->worker]--;
		dp->free_slots[(dp->free_head + dp->free_count++) % dp->opt->sessions] = c->slot;
		break;
	default: break;
	}
}

void session_port_returned(struct dp *dp, const struct port *p)
{
	for (uint32_t i = 0; i < dp->opt->sessions; i++) {
		struct session *s = &dp->session[i];
		struct command c = {.type = COMMAND_REMOVE, .slot = i};

		if (s->state != SESSION_LIVE || s->key.ifindex == 0 || strcmp(s->ifname, p->spec.name) ||
			s->key.ifindex == p->ifindex)
			continue;
		unlink_key(dp, i);
		s->key.ifindex = p->ifindex;
		link_key(dp, i);
		dp_command(dp, s->worker, &c);
		work_out_path(dp, s);
		send_add(dp, i);
	}
}

bool session_reflects_on(const struct dp *dp, uint32_t slot, const struct port *p)
{
	const struct session *s = &dp->session[slot];

	return s->state == SESSION_LIVE && s->key.kind == BFD_KIND_SINGLEHOP && s->params.min_echo_rx_us &&
	       s->port == (int)p->index;
}

/* Ten times a second: ends of farewells, and routes of multihop sessions, a part of the table each time. */
void session_tick(struct dp *dp)
{
	uint32_t n = dp->opt->sessions;

	if (dp->rebalance_due)
		session_rebalance(dp);
	for (uint32_t i = 0; dp->leaving && i < n; i++)
		if (dp->session[i].state == SESSION_LEAVING && dp->now_ns >= dp->session[i].leave_ns)
			finish_removal(dp, i);
	for (uint32_t k = 0; k < n / 10 + 1; k++) {
		struct session *s = &dp->session[dp->route_cursor];

		if (s->state == SESSION_LIVE && (s->key.ifindex == 0 || !s->path.resolved))
			session_repath(dp, dp->route_cursor);
		dp->route_cursor = (dp->route_cursor + 1) % n;
	}
}
