/* SPDX-License-Identifier: BSD-2-Clause */
#include "controlplane/bmp/hub.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

struct bmp_hub {
	pthread_mutex_t lock;
	struct cds_list_head peers, subscribers;
	_Atomic unsigned mirrors; /* subscribers with mirror() */
};

struct bmp_hub *bmp_hub_create(void)
{
	struct bmp_hub *h = malloc(sizeof(*h));

	if (!h)
		abort();
	pthread_mutex_init(&h->lock, NULL);
	CDS_INIT_LIST_HEAD(&h->peers);
	CDS_INIT_LIST_HEAD(&h->subscribers);
	return h;
}

void bmp_hub_destroy(struct bmp_hub *h)
{
	struct bmp_peer *p, *tmp;

	cds_list_for_each_entry_safe(p, tmp, &h->peers, node) bmp_peer_release(p);
	pthread_mutex_destroy(&h->lock);
	free(h);
}

struct bmp_peer *bmp_peer_new(
	const uint8_t *sent, size_t sent_len, const uint8_t *received, size_t received_len)
{
	struct bmp_peer *p = calloc(1, sizeof(*p) + sent_len + received_len);

	if (!p)
		abort();
	atomic_init(&p->refs, 1);
	p->sent_len = sent_len;
	p->received_len = received_len;
	memcpy(p->opens, sent, sent_len);
	memcpy(p->opens + sent_len, received, received_len);
	return p;
}

struct bmp_peer *bmp_peer_hold(struct bmp_peer *p)
{
	atomic_fetch_add_explicit(&p->refs, 1, memory_order_relaxed);
	return p;
}

void bmp_peer_release(struct bmp_peer *p)
{
	if (atomic_fetch_sub_explicit(&p->refs, 1, memory_order_acq_rel) != 1)
		return;
	for (unsigned k = 0; k < BMP_CHANNELS; k++)
		if (p->export[k])
			bmp_export_release(p->export[k]);
	free(p);
}

static struct bmp_export *export_new(const struct export_peer_config *cf)
{
	struct bmp_export *e = calloc(1, sizeof(*e));

	if (!e)
		abort();
	atomic_init(&e->refs, 1);
	e->cf = *cf;
	filter_ref_hold(&cf->filter);
	return e;
}

struct bmp_export *bmp_export_hold(struct bmp_export *e)
{
	atomic_fetch_add_explicit(&e->refs, 1, memory_order_relaxed);
	return e;
}

void bmp_export_release(struct bmp_export *e)
{
	if (atomic_fetch_sub_explicit(&e->refs, 1, memory_order_acq_rel) != 1)
		return;
	filter_ref_release(&e->cf.filter);
	free(e);
}

void bmp_hub_up(struct bmp_hub *h, struct bmp_peer *p)
{
	struct bmp_subscriber *s;

	pthread_mutex_lock(&h->lock);
	cds_list_add_tail(&p->node, &h->peers);
	cds_list_for_each_entry(s, &h->subscribers, node) s->up(s, bmp_peer_hold(p));
	pthread_mutex_unlock(&h->lock);
}

void bmp_hub_down(struct bmp_hub *h, const void *session, const struct bmp_down *why)
{
	struct bmp_peer *p, *tmp;
	struct bmp_subscriber *s;

	pthread_mutex_lock(&h->lock);
	cds_list_for_each_entry_safe(p, tmp, &h->peers, node)
	{
		if (p->session != session)
			continue;
		cds_list_del(&p->node);
		cds_list_for_each_entry(s, &h->subscribers, node) s->down(s, bmp_peer_hold(p), why);
		bmp_peer_release(p);
	}
	pthread_mutex_unlock(&h->lock);
}

/* Under the mutex. */
static void set_export(struct bmp_hub *h, struct bmp_peer *p, const struct export_peer_config *cf)
{
	struct bmp_subscriber *s;

	for (unsigned k = 0; k < p->n_channels; k++) {
		if (p->channel[k].source != cf->own_source)
			continue;
		if (p->export[k])
			bmp_export_release(p->export[k]);
		p->export[k] = export_new(cf);
		cds_list_for_each_entry(s, &h->subscribers, node)
			s->export(s, bmp_peer_hold(p), bmp_export_hold(p->export[k]));
	}
}

void bmp_hub_export(struct bmp_hub *h, const void *session, const struct export_peer_config *cf)
{
	struct bmp_peer *p;

	pthread_mutex_lock(&h->lock);
	cds_list_for_each_entry(p, &h->peers, node) if (p->session == session) set_export(h, p, cf);
	pthread_mutex_unlock(&h->lock);
}

bool bmp_hub_mirrors(const struct bmp_hub *h)
{
	return atomic_load_explicit(&((struct bmp_hub *)(uintptr_t)h)->mirrors, memory_order_relaxed) != 0;
}

void bmp_hub_mirror(struct bmp_hub *h, const void *session, const uint8_t *message, size_t len, bool errored)
{
	struct bmp_subscriber *s;
	struct bmp_peer *p;

	pthread_mutex_lock(&h->lock);
	cds_list_for_each_entry(p, &h->peers, node)
	{
		if (p->session != session)
			continue;
		cds_list_for_each_entry(s, &h->subscribers, node) if (s->mirror)
			s->mirror(s, p, message, len, errored);
		break;
	}
	pthread_mutex_unlock(&h->lock);
}

void bmp_hub_subscribe(struct bmp_hub *h, struct bmp_subscriber *s)
{
	struct bmp_peer *p;

	pthread_mutex_lock(&h->lock);
	cds_list_for_each_entry(p, &h->peers, node)
	{
		s->up(s, bmp_peer_hold(p));
		for (unsigned k = 0; k < BMP_CHANNELS; k++)
			if (p->export[k])
				s->export(s, bmp_peer_hold(p), bmp_export_hold(p->export[k]));
	}
	cds_list_add_tail(&s->node, &h->subscribers);
	atomic_fetch_add(&h->mirrors, s->mirror != NULL);
	pthread_mutex_unlock(&h->lock);
}

void bmp_hub_unsubscribe(struct bmp_hub *h, struct bmp_subscriber *s)
{
	pthread_mutex_lock(&h->lock);
	cds_list_del(&s->node);
	atomic_fetch_sub(&h->mirrors, s->mirror != NULL);
	pthread_mutex_unlock(&h->lock);
}
