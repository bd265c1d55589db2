/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/bgpgen/model.h"
#include "shared/hash.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define VERSIONS 3 /* attribute sets that churn gives a route in turn */
#define TARGETS 6

enum control_kind { CONTROL_NONE, CONTROL_NOT, CONTROL_ONLY, CONTROL_PREPEND };

struct control {
	enum control_kind kind;
	unsigned n, prepend;
	uint16_t target[TARGETS];
};

static uint32_t own_routes(const struct model *m, unsigned s)
{
	uint32_t n = 0;

	if (m->sc->mode == MODE_FEEDS)
		return m->table->n_routes;
	for (unsigned d = 0; d < m->sc->overlap; d++) {
		unsigned h = (s + d) % m->sc->clients;

		n += m->share_end[h] - (h ? m->share_end[h - 1] : 0);
	}
	return n;
}

int model_init(struct model *m, const struct scenario *sc, const struct gen_table *t)
{
	*m = (struct model){.sc = sc, .table = t};
	m->n_peers = sc->mode == MODE_RS ? sc->clients : sc->feeders + sc->receivers;
	m->n_announcers = sc->mode == MODE_RS ? sc->clients : sc->feeders;
	m->home = calloc(t->n_routes + 1, sizeof(*m->home));
	m->share_end = calloc(m->n_peers + 1, sizeof(*m->share_end));
	m->said = calloc(m->n_announcers + 1, sizeof(*m->said));
	m->up = calloc(m->n_announcers + 1, sizeof(*m->up));
	m->who = calloc(m->n_peers + 1, sizeof(*m->who));
	if (!m->home || !m->share_end || !m->said || !m->up || !m->who)
		return -ENOMEM;
	for (unsigned h = 0, i = 0; sc->mode == MODE_RS && h < sc->clients; h++) {
		m->share_end[h] = (uint32_t)((uint64_t)t->n_routes * (h + 1) / sc->clients);
		for (; i < m->share_end[h]; i++)
			m->home[i] = (uint16_t)h;
	}
	for (unsigned s = 0; s < m->n_announcers; s++) {
		uint32_t n = own_routes(m, s);

		m->said[s] = malloc(n + 1);
		if (!m->said[s])
			return -ENOMEM;
		memset(m->said[s], 1, n);
		m->up[s] = true;
	}
	return 0;
}

void model_free(struct model *m)
{
	for (unsigned s = 0; m->said && s < m->n_announcers; s++)
		free(m->said[s]);
	free(m->said);
	free(m->home);
	free(m->share_end);
	free(m->up);
	free(m->who);
}

bool model_announces(const struct model *m, unsigned peer)
{
	return peer < m->n_announcers;
}

bool model_receives(const struct model *m, unsigned peer)
{
	return m->sc->mode == MODE_RS || peer >= m->sc->feeders;
}

/* The d-th of the ranges that s announces, and where what it says of it begins. */
static const uint8_t *range(const struct model *m, unsigned s, unsigned d, uint32_t *from, uint32_t *to)
{
	uint32_t at = 0;

	if (m->sc->mode == MODE_FEEDS) {
		*from = 0;
		*to = m->table->n_routes;
		return m->said[s];
	}
	for (unsigned k = 0;; k++) {
		unsigned h = (s + k) % m->sc->clients;

		*from = h ? m->share_end[h - 1] : 0;
		*to = m->share_end[h];
		if (k == d)
			return m->said[s] + at;
		at += *to - *from;
	}
}

static unsigned n_ranges(const struct model *m)
{
	return m->sc->mode == MODE_FEEDS ? 1 : m->sc->overlap;
}

static uint32_t set_of(const struct model *m, uint32_t route, unsigned d, unsigned said)
{
	return (uint32_t)((m->table->route[route].attrs + d * UINT64_C(7919) +
				  (said - 1) * UINT64_C(104729)) %
			  m->table->n_attrs);
}

static bool refused(const struct model *m, unsigned s, uint32_t route)
{
	return m->sc->refused && (route + 7 * s) % m->sc->refused == 0;
}

/* Half of the sets go to everybody. */
static void control_of(const struct model *m, unsigned s, uint32_t base, struct control *c)
{
	uint64_t h = hash_u64((uint64_t)s << 32 | base, 77);
	unsigned kind = (unsigned)(h % 100);

	*c = (struct control){0};
	if (!m->sc->control || kind < 50 || m->sc->clients < 2)
		return;
	h >>= 8;
	c->kind = kind < 70 ? CONTROL_NOT : kind < 85 ? CONTROL_ONLY : CONTROL_PREPEND;
	c->prepend = 1 + (unsigned)(h % 3);
	c->n = 1 + (unsigned)((h >> 8) % (c->kind == CONTROL_ONLY ? TARGETS : 3));
	if (c->n > m->sc->clients - 1)
		c->n = m->sc->clients - 1;
	for (unsigned i = 0; i < c->n; i++)
		c->target[i] =
			(uint16_t)((s + 1 + ((h >> 16) + i * 37) % (m->sc->clients - 1)) % m->sc->clients);
}

static bool targets(const struct control *c, unsigned r)
{
	for (unsigned i = 0; i < c->n; i++)
		if (c->target[i] == r)
			return true;
	return false;
}

/* As exchanges spell it: 0:T not to T; 0:RS with RS:T only to T; 65501..65503:T prepends. */
static unsigned control_communities(const struct model *m, const struct control *c, uint32_t out[TARGETS + 1])
{
	uint32_t high = c->kind == CONTROL_ONLY      ? m->sc->rs_as
			: c->kind == CONTROL_PREPEND ? 65500 + c->prepend
						     : 0;
	unsigned n = 0;

	if (c->kind == CONTROL_ONLY)
		out[n++] = m->sc->rs_as & 0xffff;
	for (unsigned i = 0; c->kind && i < c->n; i++)
		out[n++] = high << 16 | ((m->sc->base_as + c->target[i]) & 0xffff);
	return n;
}

/* ---- what the clients say ---- */

/* Routes [from, *to) of a range that are said alike. */
static void said_alike(const struct model *m, const uint8_t *said, uint32_t base, uint32_t from, uint32_t *to)
{
	uint32_t i = from + 1;

	while (i < *to && said[i - base] == said[from - base] &&
		m->table->route[i].attrs == m->table->route[from].attrs &&
		m->table->route[i].prefix.family == m->table->route[from].prefix.family)
		i++;
	*to = i;
}

static void announce(const struct model *m, unsigned s, unsigned d, unsigned said, uint32_t from, uint32_t to,
	struct stream *out)
{
	uint32_t own = m->who[s].as, extra[TARGETS + 1];
	struct control c;
	struct saying what = {.who = &m->who[s],
		.attrs = &m->table->attrs[set_of(m, from, d, said)],
		.lead = &own,
		.n_lead = 1,
		.extra = extra};

	control_of(m, s, m->table->route[from].attrs, &c);
	what.n_extra = control_communities(m, &c, extra);
	stream_announce(out, &what, m->table, from, to);
}

void model_stream(const struct model *m, unsigned s, struct stream *out)
{
	out->len = 0;
	out->updates = 0;
	for (unsigned d = 0; d < n_ranges(m); d++) {
		uint32_t base, end;
		const uint8_t *said = range(m, s, d, &base, &end);

		for (uint32_t from = base, to; from < end; from = to) {
			to = end;
			said_alike(m, said, base, from, &to);
			if (said[from - base])
				announce(m, s, d, said[from - base], from, to, out);
		}
	}
	stream_end_of_rib(out, &m->who[s]);
}

void model_churn(struct model *m, unsigned s, uint64_t *seed, bool withdraw, struct stream *out)
{
	unsigned d, version;
	uint32_t base, end, from, to;
	uint8_t *said;
	uint64_t r;

	*seed = hash_u64(*seed + UINT64_C(0x9e3779b97f4a7c15), 3);
	r = *seed;
	d = (unsigned)(r % n_ranges(m));
	said = (uint8_t *)range(m, s, d, &base, &end); /* the model's own memory */
	if (base == end)
		return;
	from = base + (uint32_t)((r >> 8) % (end - base));
	while (from > base && m->table->route[from - 1].attrs == m->table->route[from].attrs)
		from--;
	to = end;
	said_alike(m, said, base, from, &to);
	if (withdraw && said[from - base] && (r >> 60) < 5) {
		memset(said + (from - base), 0, to - from);
		stream_withdraw(out, m->table, from, to);
		return;
	}
	version = 1 + (said[from - base] + (unsigned)(r >> 40) % (VERSIONS - 1)) % VERSIONS;
	memset(said + (from - base), (int)version, to - from);
	announce(m, s, d, version, from, to, out);
}

void model_pulse(const struct model *m, unsigned s, unsigned number, struct stream *out)
{
	static const struct gen_attrs plain = {.path = {60000}, .n_path = 1, .med = UINT32_MAX};
	uint32_t own = m->who[s].as, extra = PULSE_COMMUNITY << 16 | (number & 0xffff);
	struct saying what = {&m->who[s], &plain, &own, &extra, 1, 1, false};

	stream_announce_prefix(out, &what, &pulse_prefix);
}

/* ---- what must come of it ---- */

static bool better(const struct model *m, uint32_t set, uint32_t than)
{
	const struct gen_attrs *a = &m->table->attrs[set], *b = &m->table->attrs[than];

	if (a->n_path != b->n_path)
		return a->n_path < b->n_path;
	return a->origin < b->origin; /* then the lower router id: that of the lower client */
}

static void candidate(
	const struct model *m, uint32_t route, unsigned s, unsigned d, unsigned said, struct choice *best)
{
	uint32_t set;

	if (!said || !m->up[s] || refused(m, s, route))
		return;
	set = set_of(m, route, d, said);
	if (best->source < 0 || better(m, set, best->set) ||
		((int)s < best->source && !better(m, best->set, set))) {
		best->source = (int)s;
		best->set = set;
	}
}

static void choose(const struct model *m, uint32_t route, struct choice *c)
{
	*c = (struct choice){
		.from = route, .to = route + 1, .source = -1, .base = m->table->route[route].attrs};
	if (m->sc->mode == MODE_FEEDS) {
		for (unsigned s = 0; s < m->sc->feeders; s++)
			candidate(m, route, s, 0, m->said[s][route], c);
		return;
	}
	for (unsigned d = 0; d < m->sc->overlap; d++) {
		unsigned s = (m->home[route] + m->sc->clients - d) % m->sc->clients;
		uint32_t from, to;
		const uint8_t *said = range(m, s, d, &from, &to);

		candidate(m, route, s, d, said[route - from], c);
	}
}

/* The choice for as many routes from c->to on as share it. */
static bool next_choice(const struct model *m, struct choice *c)
{
	struct choice other;
	uint32_t n = m->table->n_routes, from = c->to;

	if (from >= n)
		return false;
	choose(m, from, c);
	for (uint32_t i = from + 1; i < n && i != m->table->n_v4 && m->table->route[i].attrs == c->base;
		i++) {
		choose(m, i, &other);
		if (other.source != c->source || other.set != c->set)
			break;
		c->to = i + 1;
	}
	return true;
}

static void fill(uint64_t *bits, uint32_t from, uint32_t to, bool set)
{
	while (from < to) {
		uint32_t n = 64 - from % 64 < to - from ? 64 - from % 64 : to - from;
		uint64_t mask = (n == 64 ? ~UINT64_C(0) : (UINT64_C(1) << n) - 1) << from % 64;

		if (set)
			bits[from / 64] |= mask;
		else
			bits[from / 64] &= ~mask;
		from += n;
	}
}

/* Announced by a source to a receiver? *prepends: how often its number is put in front once more. */
static bool passes(const struct choice *c, const struct control *control, unsigned r, unsigned *prepends)
{
	bool named = targets(control, r);

	*prepends = control->kind == CONTROL_PREPEND && named ? control->prepend : 0;
	return c->source >= 0 && c->source != (int)r && !(control->kind == CONTROL_NOT && named) &&
	       !(control->kind == CONTROL_ONLY && !named);
}

/* The messages that a run of prefixes takes. */
static unsigned messages(const struct model *m, const struct choice *c)
{
	struct saying what = {.who = &m->who[c->source], .attrs = &m->table->attrs[c->set]};
	struct stream s = {0};

	if (c->to - c->from < 100)
		return 1;
	stream_announce(&s, &what, m->table, c->from, c->to);
	free(s.data);
	return s.updates;
}

/* Sources with their sets that were seen already: routes that are refused here and there do not make another
 * message necessary. */
struct seen {
	uint64_t *slot;
	uint32_t n, mask;
};

static bool seen_before(struct seen *s, uint64_t key)
{
	uint32_t k;

	if (2 * s->n >= s->mask) {
		struct seen old = *s;

		s->mask = s->mask ? 2 * s->mask + 1 : 65535;
		s->slot = calloc(s->mask + 1, sizeof(*s->slot));
		if (!s->slot)
			abort();
		s->n = 0;
		for (uint32_t i = 0; old.slot && i <= old.mask; i++)
			if (old.slot[i])
				seen_before(s, old.slot[i]);
		free(old.slot);
	}
	for (k = (uint32_t)hash_u64(key, 5) & s->mask; s->slot[k]; k = (k + 1) & s->mask)
		if (s->slot[k] == key)
			return true;
	s->slot[k] = key;
	s->n++;
	return false;
}

void model_wants(
	const struct model *m, uint64_t **want, uint64_t **ignore, uint32_t *n_want, uint64_t *minimum)
{
	uint32_t words = m->table->n_routes / 64 + 1;
	uint64_t *all = calloc(words, sizeof(*all)), n_messages = 0;
	struct choice c = {0};
	struct seen seen = {0};

	if (!all)
		abort();
	for (unsigned r = 0; r < m->n_peers; r++) {
		memset(ignore[r], 0, words * sizeof(*all));
		if (minimum)
			minimum[r] = 0;
	}
	/* First as if everything went to everybody, then what does not is taken away. */
	while (next_choice(m, &c))
		if (c.source >= 0)
			fill(all, c.from, c.to, true);
	for (unsigned r = 0; r < m->n_peers; r++)
		if (model_receives(m, r))
			memcpy(want[r], all, words * sizeof(*all));
	for (c.to = 0; next_choice(m, &c);) {
		struct control control;
		unsigned n = c.source >= 0 ? messages(m, &c) : 0, prepends;

		if (c.source < 0)
			continue;
		if (seen_before(&seen, UINT64_C(1) << 63 | (uint64_t)(c.from >= m->table->n_v4) << 62 |
					       (uint64_t)c.source << 32 | c.set))
			n = 0;
		n_messages += n;
		fill(ignore[c.source], c.from, c.to, true);
		control_of(m, (unsigned)c.source, c.base, &control);
		if (control.kind == CONTROL_NONE || control.kind == CONTROL_PREPEND) {
			if (model_receives(m, (unsigned)c.source)) {
				fill(want[c.source], c.from, c.to, false);
				if (minimum)
					minimum[c.source] -= n;
			}
			continue;
		}
		for (unsigned r = 0; r < m->n_peers; r++)
			if (model_receives(m, r) && !passes(&c, &control, r, &prepends)) {
				fill(want[r], c.from, c.to, false);
				if (minimum)
					minimum[r] -= n;
			}
	}
	for (unsigned r = 0; r < m->n_peers; r++) {
		n_want[r] = 0;
		for (uint32_t w = 0; model_receives(m, r) && w < words; w++)
			n_want[r] += (uint32_t)__builtin_popcountll(want[r][w]);
		if (minimum)
			minimum[r] = model_receives(m, r) ? minimum[r] + n_messages : 0;
	}
	free(all);
	free(seen.slot);
}

/* The attributes that a receiver gets, by way of a message as a daemon would send it. */
static uint32_t expected(const struct model *m, struct memo *memo, const struct choice *c, unsigned prepends)
{
	uint32_t lead[5], n_lead = 0, source = m->who[c->source].as, extra = m->added;
	uint8_t canonical[CANONICAL_MAX];
	struct stream s = {0};
	struct update u;
	struct saying what = {.who = &m->who[c->source], .attrs = &m->table->attrs[c->set], .lead = lead};
	int n;

	if (m->sc->mode == MODE_FEEDS) {
		lead[n_lead++] = m->sc->rs_as;
		what.no_med = true;
	}
	for (unsigned i = 0; i <= prepends; i++)
		lead[n_lead++] = source;
	what.n_lead = n_lead;
	what.extra = &extra;
	what.n_extra = extra != 0;
	stream_announce(&s, &what, m->table, c->from, c->from + 1);
	if (update_parse(s.data + 19, s.len - 19, &u) < 0)
		abort();
	n = attrs_canonical(&u, canonical, sizeof(canonical));
	free(s.data);
	if (n < 0)
		abort();
	return memo_intern(memo, canonical, (size_t)n) + 1;
}

static void show_one(const struct model *m, const struct memo *memo, unsigned r, uint32_t route,
	const char *what, uint32_t got, uint32_t want)
{
	char prefix[PREFIX_STRLEN], line[600];

	fprintf(stderr, "peregrine-bgpgen: peer %u: %s %s\n", r,
		prefix_format(&m->table->route[route].prefix, prefix), what);
	for (unsigned k = 0; k < 2; k++) {
		uint32_t id = k ? want : got;

		if (!id)
			continue;
		canonical_print(
			memo->bytes + memo->canon[id - 1].at, memo->canon[id - 1].len, line, sizeof(line));
		fprintf(stderr, "  %s:%s\n", k ? "should be" : "is", line);
	}
}

void model_check(const struct model *m, struct memo *memo, unsigned r, const uint64_t *have,
	const uint32_t *attrs, unsigned show, struct verdict *v)
{
	struct choice c = {0};

	*v = (struct verdict){0};
	while (next_choice(m, &c)) {
		struct control control = {0};
		unsigned prepends = 0;
		uint32_t want = 0;
		bool wanted = false;

		if (c.source >= 0) {
			control_of(m, (unsigned)c.source, c.base, &control);
			wanted = passes(&c, &control, r, &prepends);
		}
		for (uint32_t i = c.from; i < c.to; i++) {
			bool has = have[i / 64] >> i % 64 & 1;

			if (has == wanted && !has)
				continue;
			if (has && wanted) {
				want = want ? want : expected(m, memo, &c, prepends);
				if (attrs[i] == want) {
					v->right++;
					continue;
				}
				v->wrong++;
			} else if (has) {
				if (c.source == (int)r)
					continue;
				v->extra++;
			} else {
				want = want ? want : expected(m, memo, &c, prepends);
				v->missing++;
			}
			if (show) {
				show--;
				show_one(m, memo, r, i,
					has && wanted ? "has other attributes"
					: has         ? "should not be there"
						      : "is missing",
					has ? attrs[i] : 0, wanted ? want : 0);
			}
		}
	}
}

void model_print_filters(const struct model *m)
{
	for (unsigned s = 0; s < m->n_announcers; s++)
		for (unsigned d = 0; d < n_ranges(m); d++) {
			uint32_t from, to;
			char text[PREFIX_STRLEN];

			range(m, s, d, &from, &to);
			for (uint32_t i = from; i < to; i++)
				if (!refused(m, s, i))
					printf("%u %s\n", s, prefix_format(&m->table->route[i].prefix, text));
		}
}
