/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What goes out when, and in how many messages: a change does not wait for a reload that is under way; equal
 * attributes share messages up to the limit; members share blocks; the end of RIB is the end.
 */
#include "controlplane/export/export.h"
#include "tests/unit/rib_support.h"

#define BASE 0x0b000000u /* prefix i is BASE + 256 i / 24 */

struct world {
	struct rib *rib;
	struct rib_table *table;
	struct export_engine *x;
	struct rib_source *source;
};

struct reader {
	struct export_peer *peer;
	struct export_peer_config cf;
	uint8_t buf[1 << 17];
	size_t n;
	uint64_t bytes; /* read so far */
	unsigned messages, announced, end_of_rib, after_end;
	uint32_t watched;      /* prefix: */
	unsigned told;         /* how often it was told, */
	uint64_t told_at;      /* after how many bytes the last time, */
	uint8_t told_path_len; /* with how long a path */
	uint8_t *seen;         /* by prefix */
};

static void nobody(void *ctx)
{
}

static void make_world(struct world *w)
{
	struct rib_source_config c = bgp_source("p1", 1);

	w->rib = rib_create(1);
	w->table = rib_table_open(w->rib, "t", NET_IP4, false);
	w->x = export_create(w->rib);
	w->source = rib_source_open(w->table, &c);
}

static void end_world(struct world *w)
{
	source_close_wait(w->source);
	rib_quiet(w->rib);
	rib_table_close(w->table);
	export_destroy(w->x);
	rib_destroy(w->rib);
	rcu_barrier();
}

/* Prefix i gets attributes i / each. */
static void fill(struct world *w, unsigned n, unsigned each)
{
	for (unsigned i = 0; i < n;) {
		struct rib_batch *b = rib_batch_create(w->source);

		for (unsigned k = 0; k < 1000 && i < n; k++, i++) {
			struct net net = net4(BASE + 256 * i, 24);
			uint32_t a = simple_attrs(100000 + i / each, 2, 0x0a000001);

			rib_batch_announce(b, &net, 0, a);
			attrs_release(a);
		}
		rib_submit(b);
	}
	rib_quiet(w->rib);
}

static void attach(struct world *w, struct reader *r, struct filter_ref filter, bool add_path, uint16_t max)
{
	r->cf = (struct export_peer_config){
		.table = w->table,
		.own_source = 1000000,
		.filter = filter,
		.mode = add_path ? EXPORT_ALL : EXPORT_BEST,
		.class = {.afi = 1,
			.external = true,
			.rs_client = true,
			.local_as = 65000,
			.public_as = 65000,
			.router_id = 1,
			.role = -1,
			.next_hop_keep = NHMODE_ALL,
			.local_addr = ipaddr_v4(htonl(0x0a0000fe))},
		.encode = {.afi = 1, .safi = 1, .as4 = true, .add_path = add_path, .max_message = max},
		.end_of_rib = true,
		.wake = nobody,
	};
	r->peer = export_attach(w->x, &r->cf);
	assert_non_null(r->peer);
}

static void message(struct reader *r, const uint8_t *b, size_t len)
{
	size_t wd = (size_t)b[19] << 8 | b[20], al = (size_t)b[21 + wd] << 8 | b[22 + wd];
	const uint8_t *attrs = b + 23 + wd, *p = attrs + al, *end = b + len;

	assert_int_equal(b[18], 2);
	assert_true(len <= r->cf.encode.max_message);
	r->messages++;
	r->after_end += r->end_of_rib;
	r->end_of_rib += len == 23;
	while (p < end) {
		uint32_t i;

		p += r->cf.encode.add_path ? 4 : 0;
		assert_int_equal(p[0], 24);
		i = ((uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3]) - (BASE >> 8);
		p += 4;
		r->announced++;
		if (r->seen)
			r->seen[i]++;
		if (i == r->watched) {
			r->told++;
			r->told_at = r->bytes;
			r->told_path_len = attrs[4 + 3 + 1]; /* ORIGIN is 4 bytes, then AS_PATH */
		}
	}
}

/* One take's worth; false: nothing there. */
static bool read_some(struct reader *r)
{
	struct iovec iov[4];
	unsigned n = export_take(r->peer, iov, 4);
	size_t got = 0, at = 0;

	for (unsigned i = 0; i < n; i++) {
		size_t take = iov[i].iov_len < sizeof(r->buf) - r->n ? iov[i].iov_len : sizeof(r->buf) - r->n;

		memcpy(r->buf + r->n, iov[i].iov_base, take);
		r->n += take;
		got += take;
		if (take < iov[i].iov_len)
			break;
	}
	export_sent(r->peer, got);
	while (r->n - at >= 19) {
		size_t len = (size_t)r->buf[at + 16] << 8 | r->buf[at + 17];

		if (r->n - at < len)
			break;
		r->bytes += len;
		message(r, r->buf + at, len);
		at += len;
	}
	memmove(r->buf, r->buf + at, r->n - at);
	r->n -= at;
	return n > 0;
}

/* Until there is nothing to read and nobody makes more. */
static void read_all(struct world *w, struct reader *r)
{
	do
		rib_quiet(w->rib);
	while (read_some(r));
}

static void detach(struct world *w, struct reader *r)
{
	export_detach(r->peer);
	rib_quiet(w->rib);
}

/* ---- a reload and a change ---- */

#define MANY 60000u

static void change_in_a_reload(void **state)
{
	static const char *const body[2] = {"accept;", "bgp_community.add((65000, 7)); accept;"};
	struct config *conf[2];
	struct filter_ref filter[2] = {filter_from(body[0], &conf[0]), filter_from(body[1], &conf[1])};
	struct reader *r = calloc(1, sizeof(*r));
	struct net net = net4(BASE + 256 * (MANY - 1), 24);
	struct world w;
	uint64_t before, all;
	uint32_t a;

	make_world(&w);
	fill(&w, MANY, 5);
	r->watched = MANY - 1;
	r->seen = calloc(MANY, 1);
	attach(&w, r, filter[0], false, 4096);
	read_all(&w, r);
	assert_int_equal(r->announced, MANY);
	assert_int_equal(r->end_of_rib, 1);

	/* Every export changes. */
	memset(r->seen, 0, MANY);
	before = r->bytes;
	r->cf.filter = filter[1];
	export_reconfigure(r->peer, &r->cf);
	rib_quiet(w.rib);
	assert_true(read_some(r));
	/* In the middle of it the last prefix, which the reload comes to at its end, gets a longer path. */
	r->told = 0;
	a = simple_attrs(7, 9, 0x0a000001);
	announce(w.source, &net, 0, a);
	attrs_release(a);
	rib_quiet(w.rib);
	while (!r->told && read_some(r))
		;
	assert_int_equal(r->told, 1);
	assert_int_equal(r->told_path_len, 9);
	read_all(&w, r);
	all = r->bytes - before;
	assert_true(r->told_at - before < all / 2);
	/* Once, and everything else once too. */
	assert_int_equal(r->told, 1);
	for (unsigned i = 0; i < MANY; i++)
		assert_int_equal(r->seen[i], 1);
	detach(&w, r);
	free(r->seen);
	free(r);
	end_world(&w);
	config_release(conf[0]);
	config_release(conf[1]);
}

/* ---- packing ---- */

#define RANGE 512u /* prefixes that a joining member is given in one step */

/* What a table takes to one that joins: for each range and set of attributes the fewest messages that hold
 * it. */
static void packed(unsigned n, unsigned each, bool add_path, uint16_t max)
{
	struct reader *r = calloc(1, sizeof(*r));
	struct filter_ref all = {.kind = FILTER_ALL};
	/* header and lengths; ORIGIN, AS_PATH of two, NEXT_HOP */
	unsigned fixed = 23 + 4 + (3 + 2 + 8) + 7, entry = add_path ? 8 : 4, fewest = 0;
	struct world w;

	for (unsigned i = 0; i < n;) { /* runs of equal attributes within a range */
		unsigned end = (i / each + 1) * each, stop = (i / RANGE + 1) * RANGE;

		end = end < stop ? end : stop;
		end = end < n ? end : n;
		fewest += ((end - i) * entry + (max - fixed) - 1) / (max - fixed);
		/* An entry is in one message. */
		assert_true((max - fixed) % entry == 0 || (end - i) * entry <= max - fixed ||
			    ((end - i) + (max - fixed) / entry - 1) / ((max - fixed) / entry) ==
				    ((end - i) * entry + (max - fixed) - 1) / (max - fixed));
		i = end;
	}
	make_world(&w);
	fill(&w, n, each);
	attach(&w, r, all, add_path, max);
	read_all(&w, r);
	assert_int_equal(r->announced, n);
	assert_int_equal(r->messages, fewest + 1); /* and the end of RIB, */
	assert_int_equal(r->end_of_rib, 1);
	assert_int_equal(r->after_end, 0); /* which is the last */
	detach(&w, r);
	free(r);
	end_world(&w);
}

static void packing(void **state)
{
	packed(2048, 2048, false, 4096);
	packed(2048, 64, false, 4096);
	packed(2048, 1, false, 4096);
	packed(2048, 2048, true, 4096); /* two messages a range */
	packed(2048, 2048, true, 65535);
	packed(2048, 2048, false, 256); /* many messages */
}

/* ---- sharing ---- */

static void shared(bool add_path)
{
	struct reader *r = calloc(2, sizeof(*r));
	struct filter_ref all = {.kind = FILTER_ALL};
	struct iovec iov[2][4];
	struct world w;
	struct net net = net4(BASE, 24);
	uint32_t a = simple_attrs(9, 3, 0x0a000001);
	unsigned n;

	make_world(&w);
	fill(&w, 2048, 5);
	for (unsigned i = 0; i < 2; i++) {
		attach(&w, &r[i], all, add_path, 4096);
		/* The second one's blocks are those that the first was given, if it is asked for in time: not
		 * decided here. */
		read_all(&w, &r[i]);
	}
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(r[i].announced, 2048);
		assert_int_equal(export_take(r[i].peer, iov[i], 4), 0);
	}
	announce(w.source, &net, 0, a);
	attrs_release(a);
	rib_quiet(w.rib);
	n = export_take(r[0].peer, iov[0], 4);
	assert_true(n > 0);
	assert_int_equal(export_take(r[1].peer, iov[1], 4), n);
	for (unsigned i = 0; i < n; i++)
		assert_ptr_equal(iov[0][i].iov_base, iov[1][i].iov_base); /* not equal bytes: the same */
	for (unsigned i = 0; i < 2; i++) {
		read_all(&w, &r[i]);
		assert_int_equal(r[i].announced, 2049);
		detach(&w, &r[i]);
	}
	free(r);
	end_world(&w);
}

static void sharing(void **state)
{
	shared(false);
	shared(true);
}

/* ---- memory ---- */

/* What is said to be kept for peers grows with the table and is gone with it. */
static void memory(void **state)
{
	struct reader *r = calloc(1, sizeof(*r));
	struct filter_ref all = {.kind = FILTER_ALL};
	struct rib_batch *b = NULL;
	struct world w;
	size_t empty, full;

	make_world(&w);
	attach(&w, r, all, false, 4096);
	fill(&w, 1, 1);
	read_all(&w, r);
	empty = export_bytes(w.x);
	for (unsigned round = 0; round < 3; round++) {
		fill(&w, MANY, 5);
		read_all(&w, r);
		full = export_bytes(w.x);
		/* A fan of a lane and a variant, the bytes of the attributes, and three numbers a prefix. */
		assert_true(full > empty + MANY * 12u + MANY / 5 * (48 + 16 + 20));
		assert_true(full < empty + 2 * (MANY * 12u + MANY / 5 * (48 + 16 + 32 + 24)) + (4u << 20));
		for (unsigned i = 0; i < MANY; i++) {
			struct net net = net4(BASE + 256 * i, 24);

			if (!b)
				b = rib_batch_create(w.source);
			rib_batch_withdraw(b, &net, 0);
			if (i % 1000 == 999) {
				rib_submit(b);
				b = NULL;
			}
		}
		read_all(&w, r);
		assert_true(export_bytes(w.x) < empty + (1u << 20));
	}
	detach(&w, r);
	free(r);
	end_world(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory),
		cmocka_unit_test(change_in_a_reload),
		cmocka_unit_test(packing),
		cmocka_unit_test(sharing),
	};

	return cmocka_run_group_tests(tests, rib_test_setup, rib_test_teardown);
}
