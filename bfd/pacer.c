/* SPDX-License-Identifier: BSD-2-Clause */
/* The transmit calendar: see pacer.h. */
#include "bfd/pacer.h"
#include <string.h>

#define WHEEL_MASK (BFD_WHEEL_SLOTS - 1)

void bfd_pacer_init(struct bfd_pacer *p, struct bfd_link *links)
{
	memset(p, 0, sizeof(*p));
	p->links = links;
	p->urgent_head = p->urgent_tail = BFD_NIL;
	for (unsigned i = 0; i < BFD_WHEEL_SLOTS; i++)
		p->head[i] = BFD_NIL;
}

static void link_into(struct bfd_pacer *p, uint32_t id, uint64_t slot)
{
	struct bfd_link *l = &p->links[id];
	unsigned b = slot & WHEEL_MASK;

	l->list = BFD_LIST_WHEEL;
	l->bucket = (uint16_t)b;
	l->prev = BFD_NIL;
	l->next = p->head[b];
	if (l->next != BFD_NIL)
		p->links[l->next].prev = id;
	p->head[b] = id;
	p->occupied[b / 64] |= UINT64_C(1) << b % 64;
}

/* due_slot is cut to 32 bits: the wheel position is made from the difference, which is far below 2^31. */
static void place(struct bfd_pacer *p, uint32_t id)
{
	int32_t ahead = (int32_t)(p->links[id].due_slot - (uint32_t)p->cursor);

	if (ahead < 0)
		ahead = 0;
	else if (ahead > (int32_t)WHEEL_MASK)
		ahead = WHEEL_MASK;
	link_into(p, id, p->cursor + (uint32_t)ahead);
}

void bfd_pacer_schedule(struct bfd_pacer *p, uint32_t id, uint64_t due_ns)
{
	p->links[id].due_slot = (uint32_t)(due_ns >> BFD_WHEEL_SHIFT);
	place(p, id);
}

void bfd_pacer_restore(struct bfd_pacer *p, uint32_t id)
{
	place(p, id);
}

void bfd_pacer_remove(struct bfd_pacer *p, uint32_t id)
{
	struct bfd_link *l = &p->links[id];

	if (l->list == BFD_LIST_NONE)
		return;
	if (l->next != BFD_NIL)
		p->links[l->next].prev = l->prev;
	else if (l->list == BFD_LIST_URGENT)
		p->urgent_tail = l->prev;
	if (l->prev != BFD_NIL)
		p->links[l->prev].next = l->next;
	else if (l->list == BFD_LIST_URGENT)
		p->urgent_head = l->next;
	else {
		p->head[l->bucket] = l->next;
		if (l->next == BFD_NIL)
			p->occupied[l->bucket / 64] &= ~(UINT64_C(1) << l->bucket % 64);
	}
	l->list = BFD_LIST_NONE;
}

void bfd_pacer_urge(struct bfd_pacer *p, uint32_t id)
{
	struct bfd_link *l = &p->links[id];

	if (l->list == BFD_LIST_URGENT)
		return;
	bfd_pacer_remove(p, id);
	l->list = BFD_LIST_URGENT;
	l->next = BFD_NIL;
	l->prev = p->urgent_tail;
	if (p->urgent_tail != BFD_NIL)
		p->links[p->urgent_tail].next = id;
	else
		p->urgent_head = id;
	p->urgent_tail = id;
}

/* Slots from the cursor to the next one that has somebody in it; BFD_WHEEL_SLOTS: the wheel is empty. */
static uint32_t empty_run(const struct bfd_pacer *p)
{
	uint32_t start = p->cursor & WHEEL_MASK, skipped = 0;

	while (skipped < BFD_WHEEL_SLOTS) {
		uint32_t b = (start + skipped) & WHEEL_MASK;
		uint64_t word = p->occupied[b / 64] >> b % 64;

		if (word) {
			skipped += (uint32_t)__builtin_ctzll(word);
			break;
		}
		skipped += 64 - b % 64;
	}
	return skipped < BFD_WHEEL_SLOTS ? skipped : BFD_WHEEL_SLOTS;
}

static uint32_t pop_urgent(struct bfd_pacer *p)
{
	uint32_t id = p->urgent_head;

	if (id != BFD_NIL)
		bfd_pacer_remove(p, id);
	return id;
}

static uint32_t pop_due(struct bfd_pacer *p, uint64_t now_ns)
{
	uint64_t now_slot = now_ns >> BFD_WHEEL_SHIFT;

	/* A pause longer than the wheel: every slot once, no more. */
	if (p->cursor + WHEEL_MASK < now_slot)
		p->cursor = now_slot - WHEEL_MASK;
	while (p->cursor <= now_slot) {
		uint32_t id = p->head[p->cursor & WHEEL_MASK];
		if (id == BFD_NIL) {
			/* Stays at the present slot: somebody may still be put into it. */
			uint64_t left = now_slot - p->cursor;
			uint32_t run = left ? empty_run(p) : 0;
			if (!left)
				break;
			p->cursor += run < left ? run : left;
			continue;
		}
		bfd_pacer_remove(p, id);
		if ((int32_t)(p->links[id].due_slot - (uint32_t)now_slot) <= 0)
			return id;
		place(p, id);
	}
	return BFD_NIL;
}

uint32_t bfd_pacer_pop(struct bfd_pacer *p, uint64_t now_ns)
{
	uint32_t id = BFD_NIL;

	if (p->urgent_head == BFD_NIL)
		return pop_due(p, now_ns);
	p->wheels_turn = !p->wheels_turn;
	if (!p->wheels_turn)
		id = pop_due(p, now_ns);
	return id != BFD_NIL ? id : pop_urgent(p);
}

uint64_t bfd_pacer_next_ns(const struct bfd_pacer *p, uint64_t now_ns)
{
	if (p->urgent_head != BFD_NIL)
		return now_ns;
	uint32_t run = empty_run(p);
	if (run == BFD_WHEEL_SLOTS)
		return UINT64_MAX;
	uint64_t next = (p->cursor + run) << BFD_WHEEL_SHIFT;
	return next > now_ns ? next : now_ns;
}
