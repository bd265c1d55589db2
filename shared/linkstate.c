/* SPDX-License-Identifier: BSD-2-Clause */
/* The shared table: see linkstate.h for who writes what and why the orderings suffice. */
#include "shared/linkstate.h"
#include "shared/clock.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif

#define LINKSTATE_MAX_CAPACITY (1u << 20) /* what a discriminator's index can name */
#define READ_TRIES 1000

#define load_relaxed(p) atomic_load_explicit((p), memory_order_relaxed)
#define load_acquire(p) atomic_load_explicit((p), memory_order_acquire)
#define store_relaxed(p, v) atomic_store_explicit((p), (v), memory_order_relaxed)
#define store_release(p, v) atomic_store_explicit((p), (v), memory_order_release)

struct layout {
	size_t rings, slots, stats, bytes;
};

static size_t align64(size_t n)
{
	return (n + 63) & ~(size_t)63;
}

static struct layout layout_of(uint32_t capacity)
{
	struct layout l;

	l.rings = align64(sizeof(struct linkstate_header));
	l.slots = align64(l.rings + LINKSTATE_RINGS * sizeof(struct linkstate_ring));
	l.stats = l.slots + (size_t)capacity * sizeof(struct linkstate_slot);
	l.bytes = l.stats + (size_t)capacity * sizeof(struct linkstate_stats);
	return l;
}

static void set_pointers(struct linkstate *ls, void *base, const struct layout *l)
{
	ls->header = base;
	ls->rings = (struct linkstate_ring *)((char *)base + l->rings);
	ls->slots = (struct linkstate_slot *)((char *)base + l->slots);
	ls->stats = (struct linkstate_stats *)((char *)base + l->stats);
	ls->bytes = l->bytes;
}

int linkstate_create(struct linkstate *ls, uint32_t capacity, bool shared)
{
	struct layout l;
	void *base;
	int err;

	memset(ls, 0, sizeof(*ls));
	ls->fd = -1;
	if (!capacity || capacity > LINKSTATE_MAX_CAPACITY)
		return -EINVAL;
	l = layout_of(capacity);
	if (shared) {
		ls->fd = memfd_create("linkstate", MFD_CLOEXEC | MFD_ALLOW_SEALING);
		if (ls->fd < 0)
			return -errno;
		if (ftruncate(ls->fd, (off_t)l.bytes) < 0)
			goto fail;
	}
	/* Populated now: a worker must not take a page fault in its loop. */
	base = mmap(NULL, l.bytes, PROT_READ | PROT_WRITE,
		(shared ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS) | MAP_POPULATE, ls->fd, 0);
	if (base == MAP_FAILED)
		goto fail;
	set_pointers(ls, base, &l);
	ls->writer = true;
	ls->header->magic = LINKSTATE_MAGIC;
	ls->header->version = LINKSTATE_VERSION;
	ls->header->capacity = capacity;
	if (getrandom(&ls->header->instance, sizeof(ls->header->instance), GRND_NONBLOCK) !=
		(ssize_t)sizeof(ls->header->instance))
		ls->header->instance = clock_wall_ns() ^ (uint64_t)getpid() << 48;
	/* After our own writable mapping exists: from now on nobody can make another or change the size. */
	if (shared && fcntl(ls->fd, F_ADD_SEALS,
			      F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL) < 0) {
		err = -errno;
		linkstate_close(ls);
		return err;
	}
	return 0;
fail:
	err = -errno;
	if (ls->fd >= 0)
		close(ls->fd);
	ls->fd = -1;
	return err;
}

int linkstate_attach(struct linkstate *ls, int fd)
{
	const struct linkstate_header *h;
	struct layout l;
	struct stat st;
	void *base;
	int seals;

	memset(ls, 0, sizeof(*ls));
	ls->fd = -1;
	/* Without the seals a peer could shrink the file under us: SIGBUS at the next read. */
	seals = fcntl(fd, F_GET_SEALS);
	if (seals < 0 || (seals & (F_SEAL_SHRINK | F_SEAL_GROW)) != (F_SEAL_SHRINK | F_SEAL_GROW))
		return -EPROTO;
	if (fstat(fd, &st) < 0)
		return -errno;
	l = layout_of(LINKSTATE_MAX_CAPACITY);
	if ((size_t)st.st_size < sizeof(*h) || (size_t)st.st_size > l.bytes)
		return -EPROTO;
	base = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	if (base == MAP_FAILED)
		return -errno;
	h = base;
	if (h->magic != LINKSTATE_MAGIC || h->version != LINKSTATE_VERSION || !h->capacity ||
		h->capacity > LINKSTATE_MAX_CAPACITY || layout_of(h->capacity).bytes != (size_t)st.st_size) {
		munmap(base, (size_t)st.st_size);
		return -EPROTO;
	}
	l = layout_of(h->capacity);
	set_pointers(ls, base, &l);
	ls->fd = fd;
	return 0;
}

void linkstate_close(struct linkstate *ls)
{
	if (ls->header)
		munmap(ls->header, ls->bytes);
	if (ls->fd >= 0)
		close(ls->fd);
	memset(ls, 0, sizeof(*ls));
	ls->fd = -1;
}

static void pack(uint32_t w[15], const struct linkstate_entry *e, uint32_t delta)
{
	w[0] = e->generation;
	w[1] = (uint32_t)e->state | (uint32_t)e->diag << 8 | (uint32_t)e->remote_state << 16 |
	       (uint32_t)e->remote_diag << 24;
	w[2] = (uint32_t)e->remote_detect_mult | (uint32_t)e->flags << 8 | (uint32_t)e->owner << 16;
	w[3] = e->local_disc;
	w[4] = e->remote_disc;
	w[5] = e->remote_min_tx_us;
	w[6] = e->remote_min_rx_us;
	w[7] = e->tx_us;
	w[8] = e->detect_us;
	w[9] = (uint32_t)e->last_rx_ns;
	w[10] = (uint32_t)(e->last_rx_ns >> 32);
	w[11] = (uint32_t)e->detected_ns;
	w[12] = (uint32_t)(e->detected_ns >> 32);
	w[13] = delta;
	w[14] = e->remote_min_echo_rx_us;
}

static void unpack(struct linkstate_entry *e, const uint32_t w[15])
{
	e->generation = w[0];
	e->state = (uint8_t)w[1];
	e->diag = (uint8_t)(w[1] >> 8);
	e->remote_state = (uint8_t)(w[1] >> 16);
	e->remote_diag = (uint8_t)(w[1] >> 24);
	e->remote_detect_mult = (uint8_t)w[2];
	e->flags = (uint8_t)(w[2] >> 8);
	e->owner = (uint16_t)(w[2] >> 16);
	e->local_disc = w[3];
	e->remote_disc = w[4];
	e->remote_min_tx_us = w[5];
	e->remote_min_rx_us = w[6];
	e->tx_us = w[7];
	e->detect_us = w[8];
	e->last_rx_ns = (uint64_t)w[10] << 32 | w[9];
	e->detected_ns = (uint64_t)w[12] << 32 | w[11];
	e->published_delta_ns = w[13];
	e->remote_min_echo_rx_us = w[14];
}

void linkstate_write(struct linkstate *ls, uint32_t slot, const struct linkstate_entry *e)
{
	struct linkstate_slot *s = &ls->slots[slot];
	uint32_t w[15], seq = load_relaxed(&s->seq);
	uint64_t now = clock_now_ns();
	uint64_t delta = now > e->detected_ns ? now - e->detected_ns : 0;

	/* A later publication about the same state: how long the first one took is what people ask for. */
	if (load_relaxed(&s->word[11]) == (uint32_t)e->detected_ns &&
		load_relaxed(&s->word[12]) == (uint32_t)(e->detected_ns >> 32))
		delta = load_relaxed(&s->word[13]);
	pack(w, e, delta > UINT32_MAX ? UINT32_MAX : (uint32_t)delta);
	store_relaxed(&s->seq, seq + 1);
	for (int i = 0; i < 15; i++)
		store_release(&s->word[i], w[i]);
	store_release(&s->seq, seq + 2);
}

bool linkstate_read(const struct linkstate *ls, uint32_t slot, struct linkstate_entry *out)
{
	struct linkstate_slot *s = &ls->slots[slot];
	uint32_t w[15];

	for (int tries = 0; tries < READ_TRIES; tries++) {
		uint32_t seq = load_acquire(&s->seq);
		if (seq & 1)
			continue;
		for (int i = 0; i < 15; i++)
			w[i] = load_acquire(&s->word[i]);
		if (load_relaxed(&s->seq) == seq) {
			unpack(out, w);
			return true;
		}
	}
	return false;
}

void linkstate_push(struct linkstate *ls, unsigned ring, uint32_t slot)
{
	struct linkstate_ring *r = &ls->rings[ring];
	uint32_t head = load_relaxed(&r->head);

	store_release(&r->entry[head % LINKSTATE_RING_SIZE], slot);
	store_release(&r->head, head + 1);
}

void linkstate_reader_init(struct linkstate_reader *r, const struct linkstate *ls)
{
	r->ls = ls;
	for (unsigned i = 0; i < LINKSTATE_RINGS; i++)
		r->cursor[i] = load_acquire(&ls->rings[i].head);
}

unsigned linkstate_poll(struct linkstate_reader *r, uint32_t *slots, unsigned max, bool *overrun)
{
	uint32_t capacity = r->ls->header->capacity;
	unsigned n = 0;

	*overrun = false;
	for (unsigned i = 0; i < LINKSTATE_RINGS && n < max; i++) {
		struct linkstate_ring *ring = &r->ls->rings[i];
		uint32_t start = r->cursor[i], head = load_acquire(&ring->head);
		unsigned first = n;

		if (head == start)
			continue;
		if (head - start < LINKSTATE_RING_SIZE) {
			while (r->cursor[i] != head && n < max) {
				uint32_t slot =
					load_acquire(&ring->entry[r->cursor[i]++ % LINKSTATE_RING_SIZE]);
				if (slot < capacity)
					slots[n++] = slot;
			}
			/* One less than the ring: the producer may be writing the entry that head will name
			 * next. */
			head = load_relaxed(&ring->head);
		}
		if (head - start >= LINKSTATE_RING_SIZE) {
			*overrun = true;
			n = first;
			r->cursor[i] = head;
		}
	}
	return n;
}
