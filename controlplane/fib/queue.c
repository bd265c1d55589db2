/* SPDX-License-Identifier: BSD-2-Clause */
#include "controlplane/fib/queue.h"
#include "controlplane/fib/mem.h"
#include "controlplane/rib/attr.h"
#include <stdlib.h>

/* Default routes and what carries most of the traffic: some hundreds of a full table. */
static unsigned line_of(const struct prefix *p)
{
	return p->len < (p->family == 4 ? 16 : 32) ? 0 : 1;
}

void queue_release(const struct fib_change *c)
{
	if (c->attrs)
		attrs_release(c->attrs);
	if (c->backup_attrs)
		attrs_release(c->backup_attrs);
}

void queue_init(struct queue *q)
{
	memset(q, 0, sizeof(*q));
	pthread_mutex_init(&q->lock, NULL);
}

void queue_free(struct queue *q)
{
	for (unsigned l = 0; l < 2; l++) {
		struct queue_line *line = &q->line[l];
		while (line->head) {
			struct queue_chunk *c = line->head;
			for (unsigned k = line->at; k < c->n; k++)
				queue_release(&c->e[k]);
			line->at = 0;
			line->head = c->next;
			free(c);
		}
	}
	free(q->waiting);
	pthread_mutex_destroy(&q->lock);
	memset(q, 0, sizeof(*q));
}

static struct fib_change *append(struct queue_line *line)
{
	struct queue_chunk *c = line->tail;

	if (!c || c->n == QUEUE_CHUNK) {
		c = mem_grow(NULL, sizeof(*c));
		c->next = NULL;
		c->n = 0;
		if (line->tail)
			line->tail->next = c;
		else
			line->head = c;
		line->tail = c;
	}
	return &c->e[c->n++];
}

static void push_one(struct queue *q, const struct fib_change *c)
{
	struct queue_line *line = &q->line[line_of(&c->prefix)];
	struct fib_change *w;

	if (c->index >= q->n_indexes) {
		uint32_t n = q->n_indexes ? q->n_indexes : 1024;
		while (n <= c->index)
			n *= 2;
		q->waiting = mem_grow(q->waiting, n * sizeof(*q->waiting));
		memset(q->waiting + q->n_indexes, 0, (n - q->n_indexes) * sizeof(*q->waiting));
		q->n_indexes = n;
	}
	w = q->waiting[c->index];
	if (w && prefix_equal(&w->prefix, &c->prefix)) {
		queue_release(w);
		*w = *c;
		q->merged++;
		return;
	}
	w = append(line);
	*w = *c;
	q->waiting[c->index] = w;
	atomic_fetch_add_explicit(&line->n, 1, memory_order_relaxed);
}

void queue_push(struct queue *q, const struct fib_change *c, unsigned n)
{
	pthread_mutex_lock(&q->lock);
	for (unsigned k = 0; k < n; k++)
		push_one(q, &c[k]);
	pthread_mutex_unlock(&q->lock);
}

static unsigned pop_line(struct queue *q, struct queue_line *line, struct fib_change *out, unsigned max)
{
	unsigned n = 0;

	while (n < max && line->head) {
		struct queue_chunk *c = line->head;
		if (line->at == c->n) {
			if (c != line->tail || c->n == QUEUE_CHUNK) {
				line->head = c->next;
				if (line->tail == c)
					line->tail = NULL;
				free(c);
			} else {
				c->n = 0; /* empty: begin it again */
			}
			line->at = 0;
			if (!line->head || line->head == c)
				break;
			continue;
		}
		struct fib_change *e = &c->e[line->at++];
		if (q->waiting[e->index] == e)
			q->waiting[e->index] = NULL;
		out[n++] = *e;
	}
	atomic_fetch_sub_explicit(&line->n, n, memory_order_relaxed);
	return n;
}

unsigned queue_pop(struct queue *q, struct fib_change *out, unsigned max)
{
	unsigned n;

	pthread_mutex_lock(&q->lock);
	n = pop_line(q, &q->line[0], out, max);
	if (n < max)
		n += pop_line(q, &q->line[1], out + n, max - n);
	pthread_mutex_unlock(&q->lock);
	return n;
}
