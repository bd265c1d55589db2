/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A table that a pipe fills has most of its routes twice: as they are, in the table that the pipe reads. Such
 * a net borrows: instead of routes of its own it has the number of the lender's net. An exchange with a table
 * and a pipe for each member (IXP-Manager) would otherwise copy its table as many times as it has members.
 *
 * A net of the borrower with number n says `first` = BORROWED | m: its routes are those of the lender's net
 * m, in that order, without those that come from `not_from` (the pipe's other direction), all of them owned
 * by the pipe's source, and all accepted unchanged; or, with BORROWED_REFUSED, all refused. It keeps its
 * number and its key, but is not in the borrower's index: who looks for it finds m in the lender's index, and
 * loan->number[m] = n + 1.
 *
 *   borrow_try()     own records that say what the lender's say are given up
 *   borrow_own()     and made again: before anything is done to the net
 *   borrow_recall()  the lender's net m is about to change: all that borrow it get records of their own
 * first, which say what was. The pipe then brings the change like any other.
 *
 * So whoever changes nets knows nothing of this but where to call these; counters, numbers and changes told
 * do not depend on whether a net borrows. A lender does not borrow, so there are no chains. Both parts are of
 * the same shard: one thread writes. Readers: a borrowed net was made a net with records before the lender's
 * net changed, by the same thread, so who has seen new records of the lender sees the borrower's sequence
 * number moved on.
 *
 * What was recalled and then not touched by the pipe (the lender's net has changed its order only) is tried
 * again when the shard has nothing else to do.
 */
#include "controlplane/rib/internal.h"
#include <stdlib.h>

/* ---- bits by number of the lender's nets ---- */

static void bit_set(struct net_bits *b, uint32_t i)
{
	if (i / 32 >= b->words) {
		uint32_t n = b->words ? 2 * b->words : 64;

		while (n <= i / 32)
			n *= 2;
		b->word = memory_grow(b->word, n * sizeof(*b->word));
		memset(b->word + b->words, 0, (n - b->words) * sizeof(*b->word));
		b->words = n;
	}
	b->word[i / 32] |= UINT32_C(1) << i % 32;
}

static bool bit_take(struct net_bits *b, uint32_t i)
{
	uint32_t bit = UINT32_C(1) << i % 32;
	bool set = i / 32 < b->words && (b->word[i / 32] & bit);

	if (set)
		b->word[i / 32] &= ~bit;
	return set;
}

static void bits_free(struct net_bits *b)
{
	memory_free(b->word);
	*b = (struct net_bits){0};
}

/* ---- numbers ---- */

static uint32_t *number_at(struct loan *loan, uint32_t lent)
{
	while (loan->number.end <= lent)
		if (pool_take(&loan->number) == POOL_NONE)
			abort();
	return pool_at(&loan->number, lent);
}

uint32_t borrow_find(const struct part *p, const uint32_t *key, uint32_t hash)
{
	uint32_t lent = part_find(p->loan->lender, key, hash), *number;

	number = lent == POOL_NONE ? NULL : pool_peek(&p->loan->number, lent);
	return number && *number ? *number - 1 : POOL_NONE;
}

static uint32_t hash_of(const struct part *p, const struct net_record *n)
{
	return index_hash(key_hash(p->table->rib, n->key, p->table->key_words));
}

/* ---- there and back ---- */

static uint32_t origin_key_of(struct rib_shard *s, const struct route_record *r)
{
	return route_flags(r) & RECORD_PIPED ? r->path : origin_key(s, route_owner(r), r->path);
}

/* Does the lender's list say the same? refused: what the verdict on all of them is. */
static bool says_the_same(
	struct rib_shard *s, const struct part *p, const struct net_record *n, uint32_t lent, bool refused)
{
	const struct loan *loan = p->loan;
	uint32_t i = n->first, k = net_at(loan->lender, lent)->first;
	uint32_t who = who_make(
		loan->source->id, loan->generation, RECORD_PIPED | (unsigned)(refused ? ROUTE_FILTERED : 0));

	for (; k != POOL_NONE; k = route_at(loan->lender, k)->next) {
		const struct route_record *theirs = route_at(loan->lender, k), *ours;

		if (route_owner(theirs) == loan->not_from)
			continue;
		if (i == POOL_NONE || (route_flags(theirs) & ~(unsigned)RECORD_PIPED))
			return false;
		ours = route_at(p, i);
		if (ours->who != who || ours->received != theirs->attrs ||
			ours->attrs != (refused ? 0 : theirs->attrs) ||
			ours->path != origin_key_of(s, theirs))
			return false;
		i = ours->next;
	}
	return i == POOL_NONE;
}

void borrow_try(struct rib_shard *s, struct part *p, uint32_t net)
{
	struct loan *loan = p->loan;
	struct net_record *n = net_at(p, net);
	uint32_t i = n->first, hash, lent, next;
	bool refused;

	if (i == POOL_NONE || is_borrowed(i) || route_owner(route_at(p, i)) != loan->source->id)
		return;
	hash = hash_of(p, n);
	lent = part_find(loan->lender, n->key, hash);
	if (lent >= BORROWED_REFUSED) /* none, or a number too big to be written down */
		return;
	refused = route_flags(route_at(p, i)) & ROUTE_FILTERED;
	if (!says_the_same(s, p, n, lent, refused))
		return;
	put32(number_at(loan, lent), net + 1);
	bit_set(&loan->lender->lent, lent);
	net_begin(n);
	put32(&n->first, BORROWED | (refused ? BORROWED_REFUSED : 0) | lent);
	net_end(n);
	index_remove(&p->index, hash, net);
	for (; i != POOL_NONE; i = next) {
		next = route_at(p, i)->next;
		shard_drop(s, route_at(p, i)->received, 1);
		pool_give(&p->routes, i);
	}
}

/* The lender's net is as it was when it was borrowed. */
void borrow_own(struct rib_shard *s, struct part *p, uint32_t net)
{
	struct loan *loan = p->loan;
	struct net_record *n = net_at(p, net);
	bool refused = n->first & BORROWED_REFUSED;
	uint32_t lent = lent_number(n->first), first = POOL_NONE, *link = &first;

	for (uint32_t k = net_at(loan->lender, lent)->first; k != POOL_NONE;) {
		const struct route_record *theirs = route_at(loan->lender, k);
		struct route_record *ours;
		uint32_t i;

		k = theirs->next;
		if (route_owner(theirs) == loan->not_from)
			continue;
		i = pool_take(&p->routes);
		if (i == POOL_NONE)
			abort();
		ours = route_at(p, i);
		attrs_hold(theirs->attrs);
		put32(&ours->received, theirs->attrs);
		put32(&ours->attrs, refused ? 0 : theirs->attrs);
		put32(&ours->path, origin_key_of(s, theirs));
		put32(&ours->changed, theirs->changed);
		put32(&ours->next, POOL_NONE);
		put32(&ours->who, who_make(loan->source->id, loan->generation,
					  RECORD_PIPED | (unsigned)(refused ? ROUTE_FILTERED : 0)));
		put32(link, i);
		link = &ours->next;
	}
	index_insert(&p->index, hash_of(p, n), net);
	net_begin(n);
	put32(&n->first, first);
	net_end(n);
	put32(number_at(loan, lent), 0);
}

bool borrow_verdict_stays(struct rib_shard *s, const struct part *p, const struct net_record *n)
{
	const struct loan *loan = p->loan;
	bool refused = n->first & BORROWED_REFUSED, stays = true;

	for (uint32_t k = net_at(loan->lender, lent_number(n->first))->first; stays && k != POOL_NONE;) {
		const struct route_record *theirs = route_at(loan->lender, k);
		uint32_t origin = route_owner(theirs), path_id;
		struct verdict v;

		k = theirs->next;
		if (origin == loan->not_from)
			continue;
		if (route_flags(theirs) & RECORD_PIPED)
			origin_of_key(s, theirs->path, &origin, &path_id);
		v = import_verdict(s, loan->source, n->key, origin, theirs->attrs);
		stays = v.accepted == !refused && v.attrs == (refused ? 0 : theirs->attrs);
		if (v.attrs != theirs->attrs)
			shard_drop(s, v.attrs, 1);
	}
	return stays;
}

/* ---- the lender ---- */

void borrow_recall(struct rib_shard *s, struct part *lender, uint32_t net)
{
	if (!bit_take(&lender->lent, net))
		return;
	for (struct loan *l = lender->borrowers; l; l = l->next) {
		const uint32_t *number = pool_peek(&l->number, net);

		if (number && *number)
			borrow_own(s, l->part, *number - 1);
	}
	bit_set(&lender->recalled, net);
	rib_task_start(s, &lender->lend_again);
}

static bool lend_again(struct rib_task *t, struct rib_shard *s, uint64_t deadline_ns)
{
	struct part *lender = caa_container_of(t, struct part, lend_again);
	struct net_bits *b = &lender->recalled;

	if (s->work)
		return true;
	for (uint32_t w = 0; w < b->words; w++)
		while (b->word[w]) {
			uint32_t net = 32 * w + (uint32_t)__builtin_ctz(b->word[w]), hash, i;
			const struct net_record *n;

			b->word[w] &= b->word[w] - 1;
			if (net >= lender->nets.end)
				continue;
			n = net_at(lender, net);
			if (n->first == POOL_NONE)
				continue;
			hash = hash_of(lender, n);
			for (struct loan *l = lender->borrowers; l; l = l->next) {
				i = part_find(l->part, n->key, hash);
				if (i != POOL_NONE)
					borrow_try(s, l->part, i);
			}
			if (clock_now_ns() >= deadline_ns)
				return true;
		}
	return false;
}

/* ---- begin and end ---- */

void borrow_open(struct rib_shard *s, struct local_source *l, struct rib_table *from, uint32_t not_from)
{
	struct part *p = l->part, *lender = &from->part[s->number];
	struct loan *loan;

	/* One lender a part, and no chains. */
	if (p->loan || p->borrowers || lender->loan || p == lender || p->table->net != from->net ||
		(from->net != NET_IP4 && from->net != NET_IP6))
		return;
	loan = memory_zero(sizeof(*loan));
	loan->part = p;
	loan->lender = lender;
	loan->source = l;
	loan->not_from = not_from;
	loan->generation = l->generation;
	pool_init(&loan->number, sizeof(uint32_t), 0);
	loan->next = lender->borrowers;
	lender->borrowers = loan;
	lender->lend_again.run = lend_again;
	rcu_assign_pointer(p->loan, loan);
}

static void loan_free(struct rcu_head *head)
{
	struct loan *loan = caa_container_of(head, struct loan, rcu);

	rcu_callback_begin(head);
	pool_destroy(&loan->number);
	memory_free(loan);
}

/* The source has no routes any more. */
void borrow_close(struct rib_shard *s, struct local_source *l)
{
	struct part *p = l->part;
	struct loan *loan = p->loan, **at;

	if (!loan || loan->source != l)
		return;
	for (at = &loan->lender->borrowers; *at != loan;)
		at = &(*at)->next;
	*at = loan->next;
	if (!loan->lender->borrowers) {
		rib_task_stop(s, &loan->lender->lend_again);
		bits_free(&loan->lender->lent);
		bits_free(&loan->lender->recalled);
	}
	rcu_assign_pointer(p->loan, NULL);
	call_rcu(&loan->rcu, loan_free);
}
