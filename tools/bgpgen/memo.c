/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/bgpgen/memo.h"
#include "shared/hash.h"
#include <errno.h>
#include <stdlib.h>

#define MOST_EFFECTS (1u << 23) /* then all is forgotten: churn would fill the memory */

const struct prefix pulse_prefix = {
	.addr = {.b = {[10] = 0xff, [11] = 0xff, [12] = 10, [13] = 255, [14] = 255}}, .len = 24, .family = 4};

static void *grown(void *p, size_t n, size_t each)
{
	p = realloc(p, n * each);
	if (!p)
		abort();
	return p;
}

int memo_init(struct memo *m, const struct gen_table *t)
{
	*m = (struct memo){.table = t, .size = 1u << 16, .runs_size = 1u << 16, .slot_mask = (1u << 18) - 1};
	m->canon_size = 1u << 12;
	m->canon_mask = (1u << 14) - 1;
	m->bytes_size = 1u << 20;
	m->effect = malloc(m->size * sizeof(*m->effect));
	m->run = malloc(m->runs_size * sizeof(*m->run));
	m->slot = calloc(m->slot_mask + 1, sizeof(*m->slot));
	m->canon = malloc(m->canon_size * sizeof(*m->canon));
	m->canon_slot = calloc(m->canon_mask + 1, sizeof(*m->canon_slot));
	m->bytes = malloc(m->bytes_size);
	return m->effect && m->run && m->slot && m->canon && m->canon_slot && m->bytes ? 0 : -ENOMEM;
}

void memo_free(struct memo *m)
{
	free(m->effect);
	free(m->run);
	free(m->slot);
	free(m->canon);
	free(m->canon_slot);
	free(m->bytes);
}

uint32_t memo_intern(struct memo *m, const uint8_t *canonical, size_t len)
{
	uint64_t h = hash_bytes(canonical, len, 1);
	uint32_t s = (uint32_t)h & m->canon_mask;

	for (; m->canon_slot[s]; s = (s + 1) & m->canon_mask) {
		const struct canonical *c = &m->canon[m->canon_slot[s] - 1];

		if (c->hash == h && c->len == len && !memcmp(m->bytes + c->at, canonical, len))
			return m->canon_slot[s] - 1;
	}
	if (m->n_canon == m->canon_size)
		m->canon = grown(m->canon, m->canon_size *= 2, sizeof(*m->canon));
	while (m->bytes_len + len > m->bytes_size)
		m->bytes = grown(m->bytes, m->bytes_size *= 2, 1);
	memcpy(m->bytes + m->bytes_len, canonical, len);
	m->canon[m->n_canon] = (struct canonical){h, (uint32_t)m->bytes_len, (uint32_t)len};
	m->bytes_len += len;
	m->canon_slot[s] = ++m->n_canon;
	if (2 * m->n_canon > m->canon_mask) {
		m->canon_mask = 2 * m->canon_mask + 1;
		free(m->canon_slot);
		m->canon_slot = calloc(m->canon_mask + 1, sizeof(*m->canon_slot));
		if (!m->canon_slot)
			abort();
		for (uint32_t i = 0; i < m->n_canon; i++) {
			for (s = (uint32_t)m->canon[i].hash & m->canon_mask; m->canon_slot[s];)
				s = (s + 1) & m->canon_mask;
			m->canon_slot[s] = i + 1;
		}
	}
	return m->n_canon - 1;
}

static bool add_nlri(struct memo *m, struct effect *e, struct slice s, bool v4, bool add_path, bool announced)
{
	struct prefix p;
	int rc;

	while ((rc = nlri_next(&s, v4, add_path, &p)) > 0) {
		struct run *last = e->n_runs ? &m->run[m->n_runs - 1] : NULL;
		uint32_t after = last ? last->from + last->n : 0, r;

		/* Mostly the one behind the last one. */
		if (last && after < m->table->n_routes && prefix_equal(&m->table->route[after].prefix, &p))
			r = after;
		else
			r = table_find(m->table, &p);

		if (r == UINT32_MAX) {
			if (prefix_equal(&p, &pulse_prefix))
				e->pulse = announced ? 0 : -1;
			else
				e->n_unknown++;
			continue;
		}
		if (last && last->announced == announced && last->from + last->n == r) {
			last->n++;
			continue;
		}
		if (m->n_runs == m->runs_size)
			m->run = grown(m->run, m->runs_size *= 2, sizeof(*m->run));
		m->run[m->n_runs++] = (struct run){.from = r, .n = 1, .announced = announced};
		e->n_runs++;
	}
	return rc == 0;
}

static bool understand(struct memo *m, struct effect *e, const uint8_t *body, size_t len, bool add_path)
{
	uint8_t canonical[CANONICAL_MAX];
	struct update u;
	int n;

	if (update_parse(body, len, &u) < 0)
		return false;
	e->end_of_rib = u.end_of_rib;
	if (!add_nlri(m, e, u.withdrawn4, true, add_path, false) ||
		!add_nlri(m, e, u.withdrawn_mp, u.withdrawn_afi == 1, add_path, false) ||
		!add_nlri(m, e, u.announced_mp, u.announced_afi == 1, add_path, true) ||
		!add_nlri(m, e, u.announced4, true, add_path, true))
		return false;
	if (u.announced4.len || u.announced_mp.len) {
		n = attrs_canonical(&u, canonical, sizeof(canonical));
		if (n < 0)
			return false;
		if (e->pulse >= 0) {
			e->pulse = attrs_community(&u, PULSE_COMMUNITY); /* no use in keeping each of them */
			return true;
		}
		e->attrs = memo_intern(m, canonical, (size_t)n) + 1;
	}
	return true;
}

static void forget(struct memo *m)
{
	m->n = m->n_runs = 0;
	m->generation++;
	memset(m->slot, 0, (m->slot_mask + 1) * sizeof(*m->slot));
}

static void index_again(struct memo *m)
{
	m->slot_mask = 2 * m->slot_mask + 1;
	free(m->slot);
	m->slot = calloc(m->slot_mask + 1, sizeof(*m->slot));
	if (!m->slot)
		abort();
	for (uint32_t i = 0; i < m->n; i++) {
		uint32_t s = (uint32_t)m->effect[i].hash & m->slot_mask;

		while (m->slot[s])
			s = (s + 1) & m->slot_mask;
		m->slot[s] = i + 1;
	}
}

const struct effect *memo_find(struct memo *m, const uint8_t *body, size_t len, bool add_path, uint32_t hint)
{
	uint64_t h = hash_bytes(body, len, add_path);
	uint32_t s;
	struct effect *e;

	if (hint < m->n && m->effect[hint].hash == h && m->effect[hint].len == len)
		return &m->effect[hint];
	if (m->n >= MOST_EFFECTS)
		forget(m);
	for (s = (uint32_t)h & m->slot_mask; m->slot[s]; s = (s + 1) & m->slot_mask) {
		e = &m->effect[m->slot[s] - 1];
		if (e->hash == h && e->len == len)
			return e;
	}
	if (m->n == m->size)
		m->effect = grown(m->effect, m->size *= 2, sizeof(*m->effect));
	e = &m->effect[m->n];
	*e = (struct effect){.hash = h, .len = (uint16_t)len, .first_run = m->n_runs, .pulse = -1};
	if (!understand(m, e, body, len, add_path))
		return NULL;
	m->slot[s] = ++m->n;
	if (2 * m->n > m->slot_mask)
		index_again(m);
	return e;
}
