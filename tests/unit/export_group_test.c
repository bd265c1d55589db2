/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Groups against the plain way. A number of peers announce, change and withdraw
 * routes at random; sessions read at different speeds, some not at all for a
 * while; peers join, leave, ask for a refresh and get another policy. When all is
 * quiet, what each peer has been told, message by message, must be what a walk over the table
 * says for that peer alone: best route, not its own, rules, filter, rewriting.
 *
 * With filters: a filter for each peer as route servers have them, which asks for
 * communities with the peer's number, and some that look at the prefix or at the
 * source, in all the ways that are treated differently.
 */
#include "controlplane/export/export.h"
#include "tests/unit/rib_support.h"

#define PEERS 12
#define OBSERVERS 3 /* of the first peers: they are told what those would be told */
#define SESSIONS (PEERS + OBSERVERS)
#define PREFIXES 3000
#ifdef __SANITIZE_THREAD__
#define ROUNDS 100 /* fifteen times as slow */
#else
#define ROUNDS 150
#endif

struct session {
	struct rib_source *source;
	struct export_peer *peer;
	struct export_peer_config cf;
	unsigned number;
	unsigned speed; /* bytes at a time; 0: does not read now */
	uint8_t pending[1 << 17];
	size_t n_pending;
	/* what it has been told: attribute bytes by prefix number (and path id) */
	char *has[PREFIXES][PEERS + 1];
	unsigned long messages, announced, withdrawn, end_of_rib, needless;
	_Atomic unsigned wakes;
};

#define FILTERS (PEERS + 5)

struct world {
	struct config *conf;
	struct filter_ref filter[FILTERS];
	struct filter_vm *vm;
	enum export_mode mode;
	struct path_choice choice; /* `add paths send` */
	struct rib *rib;
	struct rib_table *table;
	struct export_engine *x;
	struct session s[SESSIONS];
	unsigned seed;
	bool all_paths;
};

static unsigned roll(struct world *w, unsigned n)
{
	w->seed = w->seed * 1103515245 + 12345;
	return (w->seed >> 8) % n;
}

static void on_wake(void *ctx)
{
	struct session *s = ctx;

	atomic_fetch_add(&s->wakes, 1);
}

/* ---- the reader's side of a session ---- */

static void hex(char *out, const uint8_t *in, size_t len)
{
	static const char digit[] = "0123456789abcdef";

	for (size_t i = 0; i < len; i++) {
		*out++ = digit[in[i] >> 4];
		*out++ = digit[in[i] & 15];
	}
	*out = 0;
}

static void told(struct session *s, unsigned prefix, unsigned path_id, const char *attrs, size_t len)
{
	assert_true(prefix < PREFIXES);
	assert_true(path_id <= PEERS);
	free(s->has[prefix][path_id]);
	s->has[prefix][path_id] = NULL;
	if (!attrs) {
		s->withdrawn++;
		return;
	}
	s->announced++;
	s->has[prefix][path_id] = malloc(2 * len + 1);
	hex(s->has[prefix][path_id], (const uint8_t *)attrs, len);
}

static void nlri(struct session *s, const uint8_t *p, size_t len, const char *attrs, size_t attr_len)
{
	while (len) {
		uint32_t id = 0;

		if (s->cf.encode.add_path) {
			id = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
			p += 4;
			len -= 4;
		}
		assert_int_equal(p[0], 24);
		told(s, ((unsigned)p[1] << 16 | (unsigned)p[2] << 8 | p[3]) - 0x0b0000, id, attrs, attr_len);
		p += 4;
		len -= 4;
	}
}

static void message(struct session *s, const uint8_t *b, size_t len)
{
	size_t wd, al;

	s->messages++;
	assert_true(len <= s->cf.encode.max_message);
	if (b[18] == 5)
		return;
	assert_int_equal(b[18], 2);
	wd = (size_t)b[19] << 8 | b[20];
	nlri(s, b + 21, wd, NULL, 0);
	al = (size_t)b[21 + wd] << 8 | b[22 + wd];
	assert_true(23 + wd + al <= len);
	nlri(s, b + 23 + wd + al, len - 23 - wd - al, (const char *)b + 23 + wd, al);
	if (!wd && !al && len == 23)
		s->end_of_rib++;
}

/* Reads some; false when there was nothing. */
static bool read_some(struct session *s, size_t most)
{
	struct iovec iov[8];
	unsigned n = s->peer ? export_take(s->peer, iov, 8) : 0;
	size_t got = 0, at = 0;

	if (!n)
		return false;
	for (unsigned i = 0; i < n && got < most; i++) {
		size_t take = iov[i].iov_len < most - got ? iov[i].iov_len : most - got;

		if (s->n_pending + take > sizeof(s->pending))
			take = sizeof(s->pending) - s->n_pending;
		memcpy(s->pending + s->n_pending, iov[i].iov_base, take);
		s->n_pending += take;
		got += take;
		if (take < iov[i].iov_len)
			break;
	}
	export_sent(s->peer, got);
	while (s->n_pending - at >= 19) {
		size_t len = (size_t)s->pending[at + 16] << 8 | s->pending[at + 17];

		if (s->n_pending - at < len)
			break;
		message(s, s->pending + at, len);
		at += len;
	}
	memmove(s->pending, s->pending + at, s->n_pending - at);
	s->n_pending -= at;
	return true;
}

/* ---- the plain way ---- */

struct wanted {
	unsigned len, number; /* the order of the routes: none here has anything else to go by */
	uint32_t as;
	char attrs[512];
};

/* What rules and filter make of a route for one peer alone. */
static bool plain(struct world *w, struct session *s, const struct net *net, const struct rib_route_view *r,
	struct wanted *out)
{
	const struct rib_source_config *from = rib_source_config(rib_source_by_id(w->rib, r->source));
	const struct attrs *a = attrs_get(r->attrs), *before = a;
	static uint8_t scratch[65536], bytes[65536];
	struct attrs sent, filtered;
	bool changed;
	size_t len;

	if (r->source == s->cf.own_source || !bgp_export_allowed(&s->cf.class, a, from))
		return false;
	if (s->cf.filter.kind == FILTER_PROGRAM) {
		struct filter_route fr = {.net = net,
			.attrs = a,
			.proto_name = from->proto_name,
			.source = from->source,
			.from = from->peer.addr,
			.ifindex = from->peer.ifindex};

		if (filter_run(w->vm, s->cf.filter.filter, &fr, &changed, &filtered) != FILTER_ACCEPT)
			return false;
		if (changed)
			a = &filtered;
	}
	if (!bgp_export_attrs(&s->cf.class, a, before, from, 0, &sent, scratch, sizeof(scratch)))
		return false;
	len = bgp_encode_attrs(&sent, &s->cf.encode, bytes, sizeof(bytes));
	assert_true(len > 0 && len < 250);
	hex(out->attrs, bytes, len);
	out->len = before->path_len;
	out->number = from->peer.router_id - 1000;
	out->as = before->first_as;
	return true;
}

static int by_order(const void *a, const void *b)
{
	const struct wanted *x = a, *y = b;

	return x->len != y->len ? (int)x->len - (int)y->len : (int)x->number - (int)y->number;
}

/* Which of the n, best first, `add paths send` lets through: those come first. */
static unsigned choose(const struct path_choice *c, struct wanted *x, unsigned n)
{
	unsigned kept = 0, plus = c->plus;
	bool taken[PEERS + 1] = {false};

	for (unsigned i = 0; i < n && (!c->limit || kept < c->limit); i++) {
		bool take = true;

		for (unsigned k = 0; k < i && c->send == SEND_PER_AS; k++)
			take &= x[k].as != x[i].as;
		if (c->send == SEND_ECMP)
			take = x[i].len == x[0].len;
		if (!take && plus) {
			plus--;
			take = true;
		}
		taken[i] = take;
		kept += take;
	}
	for (unsigned i = 0, to = 0; i < n; i++)
		if (taken[i])
			x[to++] = x[i];
	return kept;
}

static void expected(struct world *w, struct session *s, unsigned prefix, struct wanted *out, unsigned *n)
{
	struct {
		struct rib_net_view v;
		struct rib_route_view routes[PEERS];
	} view;
	struct net net = net4(0x0b000000 + prefix * 256, 24);

	*n = 0;
	rcu_read_lock();
	if (!rib_find(w->table, &net, &view.v, PEERS))
		view.v.n_routes = 0;
	for (unsigned i = 0; i < view.v.n_routes; i++) {
		if (i && s->cf.mode == EXPORT_BEST)
			break;
		*n += plain(w, s, &net, &view.v.routes[i], &out[*n]);
		if (*n && s->cf.mode == EXPORT_SECONDARY)
			break;
	}
	rcu_read_unlock();
	if (s->cf.mode == EXPORT_ALL) {
		qsort(out, *n, sizeof(*out), by_order);
		*n = choose(&w->choice, out, *n);
	}
}

static void compare(struct world *w, struct session *s)
{
	for (unsigned p = 0; p < PREFIXES; p++) {
		struct wanted want[PEERS + 1];
		unsigned n, have = 0, found = 0;

		expected(w, s, p, want, &n);
		for (unsigned id = 0; id <= PEERS; id++) {
			if (!s->has[p][id])
				continue;
			have++;
			for (unsigned k = 0; k < n; k++)
				if (!strcmp(want[k].attrs, s->has[p][id])) {
					found++;
					break;
				}
		}
		if (have != n || found != n) {
			print_error("peer %u prefix %u: has %u, %u of them right, should have %u\n",
				s->number, p, have, found, n);
			fail();
		}
	}
}

/* ---- events ---- */

static struct rib_source *open_source(struct world *w, unsigned number)
{
	char name[16];
	struct rib_source_config c;

	sprintf(name, "p%u", number);
	c = bgp_source(name, number);
	c.peer.rs_client = true;
	return rib_source_open(w->table, &c);
}

/* One for each peer, and some others. */
static void make_filters(struct world *w)
{
	static const char *const more[] = {
		"if net ~ [ 11.3.0.0/16+, 11.5.0.0/16{24,24} ] then reject; accept;",
		"if net.len > 23 && net ~ [ 11.0.0.0/14+ ] then bgp_path.prepend(65009); accept;",
		"prefix p = net; if p ~ [ 11.7.0.0/16+ ] then reject; accept;",
		"if proto = \"p3\" || from = 10.0.0.4 then reject; accept;",
		"if bgp_path ~ [= * 104 * =] then reject; bgp_community.add((65000, 7)); accept;",
	};
	struct config_error err = {0};
	static char text[16384];
	size_t n;

	n = (size_t)sprintf(text, "router id 1.1.1.1;\n"
				  "function to_peer(int asn) -> bool {\n"
				  " if (0, asn) ~ bgp_community then return false;\n"
				  " if (65000, asn) ~ bgp_community then return true;\n"
				  " if (0, 65000) ~ bgp_community then return false;\n"
				  " if (65501, asn) ~ bgp_community then bgp_path.prepend(65000);\n"
				  " if bgp_path ~ [= * asn * =] then return false;\n"
				  " return true; }\n");
	for (unsigned i = 0; i < FILTERS; i++) {
		if (i < PEERS)
			n += (size_t)sprintf(text + n,
				"filter f%u { if ! to_peer(%u) then reject; bgp_community.delete([(0, *)]); "
				"accept; }\n",
				i, 100 + i);
		else
			n += (size_t)sprintf(text + n, "filter f%u { %s }\n", i, more[i - PEERS]);
		n += (size_t)sprintf(
			text + n, "protocol static o%u { ipv4 { import filter f%u; }; }\n", i, i);
	}
	w->conf = config_parse_text("test", text, n, false, &err);
	if (!w->conf)
		fail_msg("%u: %s", err.line, err.text);
	for (unsigned i = 0; i < FILTERS; i++) {
		char name[16];
		const struct proto_config *pc;

		sprintf(name, "o%u", i);
		pc = config_find_protocol(w->conf, name);
		w->filter[i] = cds_list_entry(pc->channels.next, struct channel_config, node)->import;
	}
}

static struct filter_ref some_filter(struct world *w, unsigned number)
{
	struct filter_ref all = {.kind = FILTER_ALL};

	if (!w->conf || roll(w, 8) == 0)
		return all;
	return w->filter[roll(w, 3) ? number : roll(w, FILTERS)];
}

static void attach(struct world *w, unsigned number, unsigned variant)
{
	struct session *s = &w->s[number];

	s->number = number;
	memset(&s->cf, 0, sizeof(s->cf));
	s->cf.table = w->table;
	s->cf.own_source = rib_source_id(s->source);
	s->cf.observer = number >= PEERS;
	s->cf.filter = some_filter(w, number % PEERS);
	s->cf.mode = w->mode;
	s->cf.choice = w->choice;
	s->cf.class.afi = 1;
	s->cf.class.external = true;
	s->cf.class.rs_client = variant % 2 == 0;
	s->cf.class.local_as = 65000 + variant;
	s->cf.class.public_as = 65000 + variant;
	s->cf.class.router_id = 1;
	s->cf.class.role = -1;
	s->cf.class.next_hop_keep = NHMODE_ALL;
	s->cf.class.local_addr = ipaddr_v4(htonl(0x0a0000fe));
	s->cf.encode.afi = 1;
	s->cf.encode.safi = 1;
	s->cf.encode.as4 = true;
	s->cf.encode.add_path = w->all_paths;
	s->cf.encode.max_message = 4096;
	s->cf.end_of_rib = true;
	s->cf.wake = on_wake;
	s->cf.ctx = s;
	s->peer = export_attach(w->x, &s->cf);
	assert_non_null(s->peer);
}

static void detach(struct session *s)
{
	export_detach(s->peer);
	s->peer = NULL;
	s->n_pending = 0;
	for (unsigned p = 0; p < PREFIXES; p++)
		for (unsigned id = 0; id <= PEERS; id++) {
			free(s->has[p][id]);
			s->has[p][id] = NULL;
		}
	s->end_of_rib = 0;
}

/* What clients say to a route server: not to this one, only to that one, longer for a third. */
static uint32_t route_attrs(struct world *w, struct session *s)
{
	struct attr_nexthop nh;
	uint32_t list[3];
	uint8_t path[64];
	struct attrs a =
		bgp_attrs(path, &nh, 100 + (w->choice.send == SEND_PER_AS ? s->number % 5 : s->number),
			1 + roll(w, 4), 0x0a000000 + s->number);

	if (w->conf) {
		for (unsigned n = roll(w, 4); a.n_community < n;)
			list[a.n_community++] = (roll(w, 3) ? roll(w, 2) ? 0 : 65501u : 65000u) << 16 |
						(roll(w, 6) ? 100 + roll(w, PEERS) : 65000u);
		if (a.n_community) {
			a.community = list;
			a.present |= ATTR_COMMUNITY;
		}
	}
	return attrs_intern(&a);
}

static void churn(struct world *w, struct session *s)
{
	struct rib_batch *b = rib_batch_create(s->source);
	unsigned n = 1 + roll(w, 400), at = roll(w, PREFIXES);
	uint32_t attrs = route_attrs(w, s);

	for (unsigned i = 0; i < n; i++) {
		struct net net = net4(0x0b000000 + ((at + i) % PREFIXES) * 256, 24);

		if (roll(w, 20) == 0) {
			attrs_release(attrs);
			attrs = route_attrs(w, s);
		}
		if (roll(w, 3) == 0)
			rib_batch_withdraw(b, &net, 0);
		else
			rib_batch_announce(b, &net, 0, attrs);
	}
	attrs_release(attrs);
	rib_submit(b);
}

static void event(struct world *w)
{
	struct session *s = &w->s[roll(w, SESSIONS)];

	switch (roll(w, 12)) {
	case 0:
		if (s->peer)
			detach(s);
		else
			attach(w, s->number, roll(w, 3));
		break;
	case 1:
		if (s->peer)
			export_refresh(s->peer, roll(w, 2));
		break;
	case 2:
		if (s->peer) {
			if (!w->conf || roll(w, 3) == 0) {
				s->cf.class.local_as = s->cf.class.public_as = 65000 + roll(w, 3);
				s->cf.class.rs_client = roll(w, 2);
			}
			s->cf.filter = some_filter(w, s->number % PEERS);
			export_reconfigure(s->peer, &s->cf);
		}
		break;
	case 3: s->speed = roll(w, 2) ? 0 : 1 + roll(w, 3000); break;
	default: churn(w, &w->s[s->number % PEERS]);
	}
}

/* Until shards and readers have nothing to do. */
static void settle(struct world *w)
{
	for (unsigned idle = 0; idle < 3;) {
		bool any = false;

		rib_quiet(w->rib);
		for (unsigned i = 0; i < SESSIONS; i++)
			while (read_some(&w->s[i], 65536))
				any = true;
		idle = any ? 0 : idle + 1;
	}
}

/* A table that is fed counts as that many updates, as in BIRD; one that is fed again as that many more. */
static void feed_is_counted(struct world *w)
{
	struct session *s = &w->s[0];
	unsigned routes = 0, own = 0;
	struct export_peer_stats st;

	if (s->peer)
		detach(s);
	rib_quiet(w->rib);
	attach(w, 0, 0);
	settle(w);
	rcu_read_lock();
	for (unsigned p = 0; p < PREFIXES; p++) {
		struct net net = net4(0x0b000000 + p * 256, 24);
		struct {
			struct rib_net_view v;
			struct rib_route_view routes[PEERS];
		} view;

		if (!rib_find(w->table, &net, &view.v, PEERS))
			continue;
		routes += s->cf.mode == EXPORT_ALL ? view.v.n_routes : view.v.n_routes != 0;
		own += view.v.routes[0].source == s->cf.own_source;
	}
	rcu_read_unlock();
	for (unsigned feeds = 1; feeds < 4; feeds++) {
		export_peer_stats(s->peer, &st);
		assert_int_equal(st.updates_received, feeds * routes);
		assert_int_equal(st.updates_accepted, feeds * st.exported);
		assert_int_equal(st.updates_rejected + st.updates_filtered, feeds * (routes - st.exported));
		assert_int_equal(st.withdraws_received, 0);
		if (s->cf.mode == EXPORT_BEST && !w->conf)
			assert_int_equal(st.updates_rejected, feeds * own);
		if (feeds == 1) {
			export_refresh(s->peer, false);
		} else { /* another group */
			s->cf.class.local_as = s->cf.class.public_as = 65005;
			export_reconfigure(s->peer, &s->cf);
		}
		settle(w);
	}
	compare(w, s);
}

static void run_with(
	unsigned shards, enum export_mode mode, bool filters, struct path_choice choice, bool sorted)
{
	bool all_paths = mode == EXPORT_ALL;
	struct world *w = calloc(1, sizeof(*w));
	unsigned long known = 0;

	assert_int_equal(attrs_init(), 0);
	w->seed = 7 + shards;
	w->all_paths = all_paths;
	w->mode = mode;
	w->choice = choice;
	w->vm = filter_vm_create();
	if (filters)
		make_filters(w);
	w->rib = rib_create(shards);
	w->table = rib_table_open(w->rib, "t", NET_IP4, sorted);
	w->x = export_create(w->rib);
	for (unsigned i = 0; i < SESSIONS; i++) {
		w->s[i].source = i < PEERS ? open_source(w, i) : w->s[i % PEERS].source;
		w->s[i].number = i;
		w->s[i].speed = 1 + roll(w, 100000);
		attach(w, i, i % 3);
	}
	for (unsigned round = 0; round < ROUNDS; round++) {
		for (unsigned k = roll(w, 6); k; k--)
			event(w);
		for (unsigned i = 0; i < SESSIONS; i++)
			if (w->s[i].speed)
				read_some(&w->s[i], w->s[i].speed);
		if (round % 50 == 49) {
			settle(w);
			for (unsigned i = 0; i < SESSIONS; i++)
				if (w->s[i].peer)
					compare(w, &w->s[i]);
		}
	}
	settle(w);
	for (unsigned i = 0; i < SESSIONS; i++) {
		struct export_peer_stats st;
		unsigned have = 0;

		if (!w->s[i].peer)
			continue;
		compare(w, &w->s[i]);
		for (unsigned p = 0; p < PREFIXES; p++)
			for (unsigned id = 0; id <= PEERS; id++)
				have += w->s[i].has[p][id] != NULL;
		export_peer_stats(w->s[i].peer, &st);
		if (i < PEERS)
			assert_int_equal(st.exported, have);
		known += have;
		assert_int_equal(w->s[i].end_of_rib, 1);
		assert_false(st.detached);
	}
	assert_true(known > PREFIXES); /* it was about something */
	feed_is_counted(w);
	for (unsigned i = 0; i < SESSIONS; i++)
		if (w->s[i].peer)
			detach(&w->s[i]);
	for (unsigned i = 0; i < PEERS; i++)
		rib_source_close(w->s[i].source, NULL, NULL);
	rib_quiet(w->rib);
	filter_vm_destroy(w->vm);
	rib_table_close(w->table);
	export_destroy(w->x);
	rib_destroy(w->rib);
	if (w->conf)
		config_release(w->conf);
	rcu_barrier();
	attrs_exit();
	free(w);
}

static void run(unsigned shards, enum export_mode mode, bool filters)
{
	run_with(shards, mode, filters, (struct path_choice){0}, mode != EXPORT_BEST);
}

static void one_shard(void **state)
{
	run(1, EXPORT_BEST, false);
}

static void four_shards(void **state)
{
	run(4, EXPORT_BEST, false);
}

static void every_path(void **state)
{
	run(2, EXPORT_ALL, false);
}

static void filter_each(void **state)
{
	run(1, EXPORT_BEST, true);
}

static void filter_each_four_shards(void **state)
{
	run(4, EXPORT_BEST, true);
}

static void filter_each_every_path(void **state)
{
	run(2, EXPORT_ALL, true);
}

static void second_best(void **state)
{
	run(1, EXPORT_SECONDARY, false);
}

static void filter_each_second_best(void **state)
{
	run(2, EXPORT_SECONDARY, true);
}

/* `add paths send`, in tables that are in order and in such that are not. */
static void best_three(void **state)
{
	run_with(1, EXPORT_ALL, false, (struct path_choice){.limit = 3}, false);
}

static void one_path(void **state)
{
	run_with(2, EXPORT_ALL, true, (struct path_choice){.limit = 1}, false);
}

static void per_as(void **state)
{
	run_with(1, EXPORT_ALL, true, (struct path_choice){.send = SEND_PER_AS, .plus = 1, .limit = 4}, true);
}

static void ecmp(void **state)
{
	run_with(2, EXPORT_ALL, true, (struct path_choice){.send = SEND_ECMP, .plus = 2}, false);
}

static void announce_one(struct session *s, unsigned len)
{
	struct net net = net4(0x0b000000, 24);
	struct rib_batch *b = rib_batch_create(s->source);
	struct attr_nexthop nh;
	uint8_t path[64];
	struct attrs a;
	uint32_t id;

	if (len) {
		a = bgp_attrs(path, &nh, 100 + s->number, len, 0x0a000000 + s->number);
		id = attrs_intern(&a);
		rib_batch_announce(b, &net, 0, id);
		attrs_release(id);
	} else {
		rib_batch_withdraw(b, &net, 0);
	}
	rib_submit(b);
}

/* A route of its own takes another's place at a peer and at its observers, of which one has another filter:
 * each of them hears of it, once. */
static void owner_and_observers_hear_once(void **state)
{
	static const unsigned who[] = {0, PEERS, PEERS + 1}; /* the peer, two that look over its shoulder */
	struct world *w = calloc(1, sizeof(*w));

	assert_int_equal(attrs_init(), 0);
	w->seed = 1;
	w->vm = filter_vm_create();
	make_filters(w);
	w->rib = rib_create(1);
	w->table = rib_table_open(w->rib, "t", NET_IP4, false);
	w->x = export_create(w->rib);
	w->s[0].source = open_source(w, 0);
	w->s[1].source = open_source(w, 1);
	w->s[1].number = 1;
	for (unsigned i = 0; i < 3; i++) {
		struct session *s = &w->s[who[i]];

		s->source = w->s[0].source;
		attach(w, who[i], 0);
		export_detach(s->peer);
		/* all, all, a filter that adds to it */
		s->cf.filter = i == 2 ? w->filter[PEERS + 4] : (struct filter_ref){.kind = FILTER_ALL};
		s->peer = export_attach(w->x, &s->cf);
	}
	settle(w);
	announce_one(&w->s[1], 2);
	settle(w);
	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 0; i < 3; i++) {
			assert_int_equal(w->s[who[i]].announced, 1 + round);
			assert_int_equal(w->s[who[i]].withdrawn, round);
			assert_non_null(w->s[who[i]].has[0][0]);
		}
		announce_one(&w->s[0], 1); /* its own is better */
		settle(w);
		for (unsigned i = 0; i < 3; i++) {
			assert_int_equal(w->s[who[i]].withdrawn, 1 + round);
			assert_null(w->s[who[i]].has[0][0]);
		}
		announce_one(&w->s[0], 0);
		settle(w);
	}
	for (unsigned i = 0; i < 3; i++)
		detach(&w->s[who[i]]);
	rib_source_close(w->s[0].source, NULL, NULL);
	rib_source_close(w->s[1].source, NULL, NULL);
	rib_quiet(w->rib);
	filter_vm_destroy(w->vm);
	rib_table_close(w->table);
	export_destroy(w->x);
	rib_destroy(w->rib);
	config_release(w->conf);
	rcu_barrier();
	attrs_exit();
	free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_shard),
		cmocka_unit_test(four_shards),
		cmocka_unit_test(every_path),
		cmocka_unit_test(filter_each),
		cmocka_unit_test(filter_each_four_shards),
		cmocka_unit_test(filter_each_every_path),
		cmocka_unit_test(second_best),
		cmocka_unit_test(filter_each_second_best),
		cmocka_unit_test(best_three),
		cmocka_unit_test(one_path),
		cmocka_unit_test(per_as),
		cmocka_unit_test(ecmp),
		cmocka_unit_test(owner_and_observers_hear_once),
	};
	int rc;

	rcu_register_thread();
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	rcu_unregister_thread();
	return rc;
}
