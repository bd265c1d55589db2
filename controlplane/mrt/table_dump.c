/* SPDX-License-Identifier: BSD-2-Clause */
#include "controlplane/mrt/table_dump.h"
#include "controlplane/bgp/codec.h"
#include "controlplane/bgp/wire.h"
#include "controlplane/mrt/writer.h"
#include "shared/clock.h"
#include "shared/rcu.h"
#include "shared/timefmt.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define SLICE 256u /* prefixes between two looks at the world */
#define MAX_TABLES 4096u
#define MAX_ATTRS 65535u
#define FLUSH_AT 262144u

/* ---- main's part ---- */

static void find_tables(struct mrt_dump *m, const char *name, const char *pattern)
{
	struct rib_table **all = calloc(MAX_TABLES, sizeof(*all));
	unsigned n;

	m->tables = calloc(MAX_TABLES, sizeof(*all));
	if (!all || !m->tables)
		abort();
	rcu_read_lock();
	n = rib_tables(m->rib, all, MAX_TABLES);
	for (unsigned i = 0; i < n && i < MAX_TABLES; i++) {
		enum net_type net = rib_table_net(all[i]);
		const char *has = rib_table_name(all[i]);

		if (net != NET_IP4 && net != NET_IP6)
			continue;
		if (name ? strcmp(name, has) == 0 : fnmatch(pattern, has, 0) == 0)
			if (rib_table_hold(all[i]))
				m->tables[m->n_tables++] = all[i];
	}
	rcu_read_unlock();
	free(all);
}

static int by_source(const void *a, const void *b)
{
	const struct mrt_peer *x = a, *y = b;

	return x->source < y->source ? -1 : x->source > y->source;
}

static void find_peers(struct mrt_dump *m, struct daemon *d)
{
	unsigned size = 0, next = 1; /* 0: no peer */
	struct proto_channel *c;
	struct proto *p;

	cds_list_for_each_entry(p, &d->protos, node)
	{
		bool counted = false;

		if (p->cf->type != PROTO_BGP || p->state == PS_DOWN || next > UINT16_MAX)
			continue;
		cds_list_for_each_entry(c, &p->channels, node)
		{
			const struct rib_peer *peer;

			if (!c->source)
				continue;
			if (m->n_peers == size) {
				size = size ? 2 * size : 64;
				m->peers = realloc(m->peers, size * sizeof(*m->peers));
				if (!m->peers)
					abort();
			}
			rcu_read_lock();
			peer = &rib_source_config(c->source)->peer;
			m->peers[m->n_peers++] = (struct mrt_peer){
				.source = rib_source_id(c->source),
				.id = peer->router_id,
				.as = peer->remote_as,
				.addr = peer->addr,
				.index = (uint16_t)next,
			};
			rcu_read_unlock();
			counted = true;
		}
		next += counted;
	}
	m->n_file_peers = next;
	if (m->n_peers)
		qsort(m->peers, m->n_peers, sizeof(*m->peers), by_source);
}

struct mrt_dump *mrt_dump_create(struct daemon *d, const char *table, const char *pattern,
	const struct filter_ref *filter, const char *filename)
{
	struct mrt_dump *m = calloc(1, sizeof(*m));

	if (!m || !(m->filename = strdup(filename)))
		abort();
	m->rib = d->rib;
	m->router_id = d->router_id;
	m->filter = *filter;
	filter_ref_hold(&m->filter);
	find_tables(m, table, pattern);
	find_peers(m, d);
	return m;
}

void mrt_dump_free(struct mrt_dump *m)
{
	for (unsigned i = 0; i < m->n_tables; i++)
		rib_table_close(m->tables[i]);
	filter_ref_release(&m->filter);
	free(m->tables);
	free(m->peers);
	free(m->filename);
	free(m);
}

/* ---- the running thread's part ---- */

struct run {
	struct mrt_dump *m;
	struct rib_table *table;
	struct mrt_writer w;
	struct filter_vm *vm;
	uint32_t sequence;
	uint64_t now_wall_ns, mono_to_wall_ns;
	struct rib_net_view *view;
};

static void complain(struct mrt_dump *m, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void complain(struct mrt_dump *m, const char *fmt, ...)
{
	char text[PATH_MAX + 256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	m->complain(m->ctx, text);
}

/* %N is the table's name, whatever strftime makes of it. */
static bool file_name(const struct mrt_dump *m, const char *table, char *out, size_t size)
{
	char format[PATH_MAX], *to = format;
	const char *from = m->filename;
	time_t now = time(NULL);
	struct tm tm;

	while (*from) {
		size_t left = (size_t)(format + sizeof(format) - to);

		if (from[0] == '%' && from[1] == 'N') {
			size_t n = strlen(table);

			if (n >= left)
				return false;
			memcpy(to, table, n);
			to += n;
			from += 2;
		} else if (from[0] == '%' && from[1] == '%' && left > 2) {
			*to++ = *from++;
			*to++ = *from++;
		} else if (left > 1) {
			*to++ = *from++;
		} else {
			return false;
		}
	}
	*to = 0;
	localtime_r(&now, &tm);
	return *format && strftime(out, size, format, &tm) > 0;
}

static void write_peers(struct run *r)
{
	struct mrt_dump *m = r->m;
	const char *view = rib_table_name(r->table);
	struct mrt_writer *w = &r->w;
	const struct mrt_peer **by_index = calloc(m->n_file_peers, sizeof(*by_index));

	if (!by_index)
		abort();
	for (unsigned i = 0; i < m->n_peers; i++)
		by_index[m->peers[i].index] = &m->peers[i];
	mrt_begin(w, r->now_wall_ns, MRT_TABLE_DUMP_V2, MRT_PEER_INDEX_TABLE);
	mrt_put32(w, m->router_id);
	mrt_put16(w, (uint16_t)strlen(view));
	mrt_put_bytes(w, view, strlen(view));
	mrt_put16(w, (uint16_t)m->n_file_peers);
	for (unsigned i = 0; i < m->n_file_peers; i++) {
		static const struct mrt_peer none;
		const struct mrt_peer *p = by_index[i] ? by_index[i] : &none;

		/* the first is nobody: an IPv6 address of zeros, as in BIRD's files */
		bool v4 = by_index[i] && ipaddr_is_v4(&p->addr);

		mrt_put8(w, v4 ? 2 : 3);
		mrt_put32(w, p->id);
		mrt_put_bytes(w, v4 ? &p->addr.w[3] : &p->addr.w[0], v4 ? 4 : 16);
		mrt_put32(w, p->as);
	}
	mrt_end(w);
	free(by_index);
}

static uint16_t peer_index(const struct mrt_dump *m, uint32_t source)
{
	const struct mrt_peer key = {.source = source}, *p = NULL;

	if (m->n_peers)
		p = bsearch(&key, m->peers, m->n_peers, sizeof(key), by_source);
	return p ? p->index : 0;
}

static bool passes(struct run *r, const struct net *net, const struct attrs **a,
	const struct rib_source_config *src, struct attrs *edited)
{
	static const struct ipaddr no_address;
	const struct filter_route fr = {
		.net = net,
		.attrs = *a,
		.proto_name = src ? src->proto_name : "",
		.source = src ? src->source : RTS_NONE,
		.from = src ? src->peer.addr : no_address,
		.ifindex = src ? src->peer.ifindex : 0,
	};
	bool changed = false;

	if (r->m->filter.kind == FILTER_ALL)
		return true;
	if (r->m->filter.kind == FILTER_NONE ||
		filter_run(r->vm, r->m->filter.filter, &fr, &changed, edited) != FILTER_ACCEPT)
		return false;
	if (changed)
		*a = edited;
	return true;
}

/* RFC 6396 4.3.4: of MP_REACH_NLRI only the next hop. */
static void put_next_hop6(struct mrt_writer *w, const struct attrs *a)
{
	bool ll = !ipaddr_is_zero(&a->next_hop_ll);
	uint8_t len = ll ? 32 : 16;

	if (!(a->present & ATTR_NEXT_HOP))
		return;
	mrt_put8(w, BAF_OPTIONAL);
	mrt_put8(w, BA_MP_REACH_NLRI);
	mrt_put8(w, (uint8_t)(len + 1));
	mrt_put8(w, len);
	mrt_put_bytes(w, a->next_hop.w, 16);
	if (ll)
		mrt_put_bytes(w, a->next_hop_ll.w, 16);
}

static bool put_entry(struct run *r, const struct rib_route_view *v, const struct attrs *a, bool add_path)
{
	bool v6 = rib_table_net(r->table) == NET_IP6;
	/* IPv6 stands for "next hop elsewhere"; an IPv4 route with an IPv6 next hop too (RFC 8950) */
	bool next_hop6 = v6 || ((a->present & ATTR_NEXT_HOP) && !ipaddr_is_v4(&a->next_hop));
	const struct bgp_encode_class class = {.afi = v6 ? BGP_AFI_IPV6 : BGP_AFI_IPV4,
		.safi = BGP_SAFI_UNICAST,
		.as4 = true,
		.add_path = add_path,
		.extended_next_hop = next_hop6,
		.max_message = UINT16_MAX};
	struct mrt_writer *w = &r->w;
	size_t start = w->len, at, len;
	uint16_t be;

	mrt_put16(w, peer_index(r->m, v->source));
	mrt_put32(w, (uint32_t)((v->changed_ns + r->mono_to_wall_ns) / 1000000000));
	if (add_path)
		mrt_put32(w, v->path_id);
	mrt_put16(w, 0);
	at = w->len;
	if (a->present & (ATTR_ORIGIN | ATTR_AS_PATH)) { /* else BGP has nothing to say of it */
		mrt_need(w, MAX_ATTRS);
		len = bgp_encode_attrs(a, &class, w->buf + w->len, MAX_ATTRS - 64);
		if (!len) { /* longer than the format can say */
			w->len = start;
			return false;
		}
		w->len += len;
		if (next_hop6)
			put_next_hop6(w, a);
	}
	be = htons((uint16_t)(w->len - at));
	memcpy(w->buf + at - 2, &be, 2);
	return true;
}

/* The routes of r->view with (or without) a path id. Returns how many have one, if it was for those without.
 */
static unsigned write_net(struct run *r, bool add_path)
{
	static __thread struct attrs edited;
	const struct net *net = &r->view->net;
	bool v6 = rib_table_net(r->table) == NET_IP6, all = r->m->always_add_path;
	unsigned skipped = 0, entries = 0;
	struct mrt_writer *w = &r->w;
	size_t count_at;
	uint16_t be;

	mrt_begin(w, r->now_wall_ns, MRT_TABLE_DUMP_V2,
		add_path ? (v6 ? MRT_RIB_IPV6_UNICAST_ADDPATH : MRT_RIB_IPV4_UNICAST_ADDPATH)
			 : (v6 ? MRT_RIB_IPV6_UNICAST : MRT_RIB_IPV4_UNICAST));
	mrt_put32(w, r->sequence);
	mrt_put8(w, net->prefix.len);
	mrt_put_bytes(w, v6 ? &net->prefix.addr.w[0] : &net->prefix.addr.w[3], (net->prefix.len + 7u) / 8);
	count_at = w->len;
	mrt_put16(w, 0);
	for (unsigned i = 0; i < r->view->n_routes && i < RIB_MAX_ROUTES && entries < UINT16_MAX; i++) {
		const struct rib_route_view *v = &r->view->routes[i];
		const struct attrs *a = v->attrs && !(v->flags & ROUTE_FILTERED) ? attrs_get(v->attrs) : NULL;
		const struct rib_source *src;

		if (!a)
			continue;
		if (!all && (v->path_id != 0) != add_path) {
			skipped++;
			continue;
		}
		src = rib_source_by_id(r->m->rib, v->source);
		if (!passes(r, net, &a, src ? rib_source_config(src) : NULL, &edited))
			continue;
		if (put_entry(r, v, a, add_path)) {
			entries++;
		} else {
			char text[PREFIX_STRLEN];

			complain(r->m, "Attribute list too long for %s", prefix_format(&net->prefix, text));
		}
	}
	if (!entries) {
		mrt_drop(w);
		return skipped;
	}
	be = htons((uint16_t)entries);
	memcpy(w->buf + count_at, &be, 2);
	mrt_end(w);
	r->sequence++;
	r->m->routes += entries;
	return skipped;
}

static int write_table(struct run *r, int fd)
{
	struct rib_cursor c = {.table = r->table};
	bool more = true;
	int rc = 0;

	r->sequence = 0;
	r->now_wall_ns = clock_wall_ns();
	r->mono_to_wall_ns = r->now_wall_ns - clock_now_ns();
	write_peers(r);
	while (more && rc == 0 && !atomic_load(r->m->stop)) {
		rcu_read_lock();
		for (unsigned i = 0; i < SLICE && (more = rib_next(&c, r->view, RIB_MAX_ROUTES)); i++)
			if (r->m->always_add_path || write_net(r, false))
				write_net(r, true);
		rcu_read_unlock();
		if (r->w.len >= FLUSH_AT || !more)
			rc = mrt_flush(&r->w, fd);
	}
	return rc;
}

static void dump_table(struct run *r)
{
	char name[PATH_MAX];
	int fd, rc;

	if (!file_name(r->m, rib_table_name(r->table), name, sizeof(name))) {
		complain(r->m, "Invalid filename '%s'", r->m->filename);
		return;
	}
	fd = open(name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	if (fd < 0) {
		complain(r->m, "Unable to open MRT file '%s': %s", name, strerror(errno));
		return;
	}
	rc = write_table(r, fd);
	if (close(fd) < 0 && rc == 0)
		rc = -errno;
	if (rc < 0)
		complain(r->m, "Write to MRT file '%s' failed: %s", name, strerror(-rc));
	else
		r->m->files++;
}

void mrt_dump_run(struct mrt_dump *m)
{
	struct run r = {.m = m};

	mrt_writer_init(&r.w);
	r.vm = filter_vm_create();
	r.view = malloc(sizeof(*r.view) + RIB_MAX_ROUTES * sizeof(r.view->routes[0]));
	if (!r.vm || !r.view)
		abort();
	for (unsigned i = 0; i < m->n_tables && !atomic_load(m->stop); i++) {
		r.table = m->tables[i];
		dump_table(&r);
	}
	filter_vm_destroy(r.vm);
	free(r.view);
	mrt_writer_free(&r.w);
}
