/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/bgpgen/stream.h"
#include <stdlib.h>

#define MAX_MESSAGE 4096u
#define HEADER 19u

struct writer {
	uint8_t buf[MAX_MESSAGE];
	size_t len;
};

static void p8(struct writer *w, unsigned v)
{
	w->buf[w->len++] = (uint8_t)v;
}

static void p16(struct writer *w, unsigned v)
{
	p8(w, v >> 8);
	p8(w, v & 0xff);
}

static void p32(struct writer *w, uint32_t v)
{
	p16(w, v >> 16);
	p16(w, v & 0xffff);
}

static void pbytes(struct writer *w, const void *p, size_t n)
{
	memcpy(w->buf + w->len, p, n);
	w->len += n;
}

static void begin(struct writer *w, unsigned type)
{
	memset(w->buf, 0xff, 16);
	w->len = 18;
	p8(w, type);
}

static void end(struct writer *w, struct stream *s)
{
	w->buf[16] = (uint8_t)(w->len >> 8);
	w->buf[17] = (uint8_t)w->len;
	if (s->len + w->len > s->size) {
		s->size = s->size ? 2 * s->size : 65536;
		s->data = realloc(s->data, s->size);
		if (!s->data)
			abort();
	}
	memcpy(s->data + s->len, w->buf, w->len);
	s->len += w->len;
}

void stream_free(struct stream *s)
{
	free(s->data);
	*s = (struct stream){0};
}

void stream_open(struct stream *s, const struct speaker *who)
{
	struct writer w;
	size_t opt, cap;

	begin(&w, 1);
	p8(&w, 4);
	p16(&w, who->as > 65535 ? 23456 : who->as);
	p16(&w, who->hold_time);
	p32(&w, who->router_id);
	opt = w.len;
	p8(&w, 0);
	p8(&w, 2);
	cap = w.len;
	p8(&w, 0);
	for (unsigned afi = 1; afi <= 2; afi++) {
		if (!(afi == 1 ? who->v4 : who->v6))
			continue;
		p8(&w, 1);
		p8(&w, 4);
		p16(&w, afi);
		p16(&w, 1);
	}
	p8(&w, 2); /* route refresh */
	p8(&w, 0);
	p8(&w, 65);
	p8(&w, 4);
	p32(&w, who->as);
	if (who->add_path_rx) {
		p8(&w, 69);
		p8(&w, 4 * (who->v4 + who->v6));
		for (unsigned afi = 1; afi <= 2; afi++) {
			if (!(afi == 1 ? who->v4 : who->v6))
				continue;
			p16(&w, afi);
			p8(&w, 1);
			p8(&w, 1);
		}
	}
	w.buf[cap] = (uint8_t)(w.len - cap - 1);
	w.buf[opt] = (uint8_t)(w.len - opt - 1);
	end(&w, s);
}

void stream_keepalive(struct stream *s)
{
	struct writer w;

	begin(&w, 4);
	end(&w, s);
}

void stream_cease(struct stream *s)
{
	struct writer w;

	begin(&w, 3);
	p8(&w, 6);
	p8(&w, 2);
	end(&w, s);
}

static size_t nlri_size(const struct prefix *p)
{
	return 1 + (p->len + 7u) / 8;
}

static void pnlri(struct writer *w, const struct prefix *p)
{
	p8(w, p->len);
	pbytes(w, p->family == 4 ? &p->addr.b[12] : p->addr.b, (p->len + 7u) / 8);
}

static void pattrs(struct writer *w, const struct saying *what, bool v4)
{
	const struct gen_attrs *a = what->attrs;
	unsigned n = a->n_community + what->n_extra, hops = what->n_lead + a->n_path;

	p8(w, 0x40), p8(w, 1), p8(w, 1), p8(w, a->origin);
	p8(w, 0x40), p8(w, 2), p8(w, 2 + 4 * hops);
	p8(w, 2), p8(w, hops);
	for (unsigned i = 0; i < what->n_lead; i++)
		p32(w, what->lead[i]);
	for (unsigned i = 0; i < a->n_path; i++)
		p32(w, a->path[i]);
	if (v4) {
		p8(w, 0x40), p8(w, 3), p8(w, 4);
		pbytes(w, &what->who->next_hop4.b[12], 4);
	}
	if (a->med != UINT32_MAX && !what->no_med) {
		p8(w, 0x80), p8(w, 4), p8(w, 4);
		p32(w, a->med);
	}
	if (n) {
		p8(w, 0xc0), p8(w, 8), p8(w, 4 * n);
		for (unsigned i = 0; i < a->n_community; i++)
			p32(w, a->community[i]);
		for (unsigned i = 0; i < what->n_extra; i++)
			p32(w, what->extra[i]);
	}
}

static void fill16(struct writer *w, size_t at)
{
	w->buf[at] = (uint8_t)((w->len - at - 2) >> 8);
	w->buf[at + 1] = (uint8_t)(w->len - at - 2);
}

void stream_announce(
	struct stream *s, const struct saying *what, const struct gen_table *t, uint32_t from, uint32_t to)
{
	bool v4 = t->route[from].prefix.family == 4;
	struct writer w;

	if (!(v4 ? what->who->v4 : what->who->v6))
		return;
	while (from < to) {
		size_t attr_len_at, mp_len_at = 0;

		begin(&w, 2);
		p16(&w, 0);
		attr_len_at = w.len;
		p16(&w, 0);
		pattrs(&w, what, v4);
		if (!v4) {
			p8(&w, 0x90), p8(&w, 14);
			mp_len_at = w.len;
			p16(&w, 0);
			p16(&w, 2), p8(&w, 1), p8(&w, 16);
			pbytes(&w, what->who->next_hop6.b, 16);
			p8(&w, 0);
		} else {
			fill16(&w, attr_len_at);
		}
		while (from < to && w.len + nlri_size(&t->route[from].prefix) <= MAX_MESSAGE)
			pnlri(&w, &t->route[from++].prefix);
		if (!v4) {
			fill16(&w, mp_len_at);
			fill16(&w, attr_len_at);
		}
		end(&w, s);
		s->updates++;
	}
}

void stream_announce_prefix(struct stream *s, const struct saying *what, const struct prefix *p)
{
	struct gen_route route = {.prefix = *p};
	struct gen_table one = {.route = &route, .n_routes = 1};

	stream_announce(s, what, &one, 0, 1);
}

void stream_withdraw(struct stream *s, const struct gen_table *t, uint32_t from, uint32_t to)
{
	struct writer w;

	for (uint32_t i = from; i < to;) {
		bool v4 = t->route[i].prefix.family == 4;
		size_t len_at, mp_at = 0;

		begin(&w, 2);
		len_at = w.len;
		p16(&w, 0);
		if (!v4) {
			len_at = w.len;
			p16(&w, 0);
			p8(&w, 0x90), p8(&w, 15);
			mp_at = w.len;
			p16(&w, 0);
			p16(&w, 2), p8(&w, 1);
		}
		while (i < to && (t->route[i].prefix.family == 4) == v4 &&
			w.len + nlri_size(&t->route[i].prefix) + 2 <= MAX_MESSAGE)
			pnlri(&w, &t->route[i++].prefix);
		fill16(&w, len_at);
		if (v4)
			p16(&w, 0);
		else
			fill16(&w, mp_at);
		end(&w, s);
		s->updates++;
	}
}

void stream_end_of_rib(struct stream *s, const struct speaker *who)
{
	struct writer w;

	if (who->v4) {
		begin(&w, 2);
		p32(&w, 0);
		end(&w, s);
	}
	if (who->v6) {
		begin(&w, 2);
		p16(&w, 0);
		p16(&w, 6);
		p8(&w, 0x80), p8(&w, 15), p8(&w, 3);
		p16(&w, 2), p8(&w, 1);
		end(&w, s);
	}
}
