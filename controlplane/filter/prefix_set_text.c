/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The text of a prefix set, as BIRD prints it: what its 16-way trie looks like.
 *
 * A node stands for a prefix whose length is a multiple of four. It accepts
 * lengths in two ways: a mask of lengths for everything above and below its
 * prefix, and a mask of the 15 prefixes inside its four bits. A pattern with
 * another length is spread over the node above and the nodes below. The lengths
 * that a node accepts and that are shorter than its parent are the parent's too.
 * Nothing but this text needs that structure, so it is built here, from the
 * patterns, and thrown away.
 */
#include "controlplane/filter/prefix_set.h"
#include "controlplane/filter/text.h"
#include <stdlib.h>

#define MOST_PATTERNS 4096u /* text of larger sets ends in "..." */

typedef unsigned __int128 bits; /* left-aligned address, or lengths: the top bit is length 1 */

struct node {
	bits addr, accept;
	uint16_t local; /* bit 2^level + offset */
	uint8_t len;
	struct node *child[16];
};

struct trie {
	struct arena *arena;
	struct node root;
	bool zero, v4;
	uint32_t left;
};

static bits top(unsigned n)
{
	return n ? ~(bits)0 << (128 - n) : 0;
}

static bool has_length(bits mask, unsigned len)
{
	return len && len <= 128 && mask >> (128 - len) & 1;
}

static unsigned nibble(bits addr, unsigned len)
{
	return (unsigned)(addr >> (124 - len)) & 15;
}

/* Bits of one level below a position: level 0 is the position itself. */
static uint16_t level_mask(unsigned pos, unsigned level)
{
	return (uint16_t)(((1u << (1u << level)) - 1) << (pos << level));
}

static unsigned local_position(bits addr, unsigned node_len, unsigned len)
{
	unsigned level = len - node_len;

	return (1u << level) + (level ? (unsigned)(addr >> (128 - len)) & ((1u << level) - 1) : 0);
}

/* The prefixes of addr inside the node that the lengths in mask accept. */
static uint16_t accepted_inside(bits addr, bits mask, unsigned node_len)
{
	uint16_t local = 0;

	for (unsigned len = node_len; len < node_len + 4; len++)
		if (has_length(mask, len))
			local |= (uint16_t)(1u << local_position(addr, node_len, len));
	return local;
}

static struct node *new_node(struct trie *t, bits addr, unsigned len, bits accept, uint16_t local)
{
	struct node *n = arena_alloc(t->arena, sizeof(*n));

	n->addr = addr;
	n->len = (uint8_t)len;
	n->accept = accept;
	n->local = local;
	return n;
}

static void add_node(struct trie *t, bits addr, unsigned len, uint16_t local, unsigned lo, unsigned hi)
{
	bits accept = lo <= hi && hi ? top(hi) & ~top(lo ? lo - 1 : 0) : 0;
	struct node *above = NULL, *n = &t->root;

	addr &= top(len);
	for (unsigned i = 0; i < 4; i++)
		if (lo <= len + i && len + i <= hi)
			local |= level_mask(1, i);
	while (n) {
		unsigned common = n->len < len ? n->len : len;

		if ((addr ^ n->addr) & top(common)) { /* they part between above and n */
			unsigned same = 0;

			while (!((addr ^ n->addr) >> (127 - same) & 1))
				same++;
			same &= ~3u;

			struct node *fork =
				new_node(t, addr & top(same), same, (accept | n->accept) & top(same),
					accepted_inside(addr, accept, same) |
						accepted_inside(n->addr, n->accept, same));
			above->child[nibble(fork->addr, above->len)] = fork;
			fork->child[nibble(n->addr, same)] = n;
			fork->child[nibble(addr, same)] = new_node(t, addr, len, accept, local);
			return;
		}
		if (len < n->len) {
			struct node *a = new_node(t, addr, len, accept | (n->accept & top(len)),
				local | accepted_inside(n->addr, n->accept, len));

			above->child[nibble(addr, above->len)] = a;
			a->child[nibble(n->addr, len)] = n;
			return;
		}
		if (len == n->len) {
			n->accept |= accept;
			n->local |= local;
			return;
		}
		n->accept |= accept & top(n->len);
		n->local |= accepted_inside(addr, accept, n->len);
		above = n;
		n = n->child[nibble(addr, n->len)];
	}
	above->child[nibble(addr, above->len)] = new_node(t, addr, len, accept, local);
}

static void add_pattern(void *ctx, const struct prefix_pattern *p)
{
	struct trie *t = ctx;
	unsigned len = p->prefix.len, lo = p->lo, hi = p->hi;
	bits addr = 0;

	if (!t->left)
		return;
	t->left--;
	for (int i = t->v4 ? 12 : 0; i < 16; i++)
		addr = addr << 8 | p->prefix.addr.b[i];
	if (t->v4)
		addr <<= 96;
	if (lo == 0)
		t->zero = true;
	if (hi < len)
		len = hi;

	unsigned upper = len & ~3u, lower = upper + 4;
	if (len == upper) {
		add_node(t, addr, len, 0, lo, hi);
		return;
	}
	if (lo < lower) {
		uint16_t local = 0;

		for (unsigned l = upper; l < lower; l++)
			if (lo <= l && l <= hi) {
				unsigned n = l <= len ? 1 : 1u << (l - len);

				local |= (uint16_t)(((1u << n) - 1)
						    << local_position(addr & top(len), upper, l));
			}
		add_node(t, addr, upper, local, lo, upper);
	}
	if (lower <= hi)
		for (unsigned i = 0; i < 1u << (lower - len); i++)
			add_node(t, (addr & top(len)) | (bits)i << (128 - lower), lower, 0,
				lo > lower ? lo : lower, hi);
}

static void put_address(struct text *t, bits v, bool v4)
{
	struct ipaddr a;
	char buf[IPADDR_STRLEN];

	if (v4) {
		a = ipaddr_v4(htonl((uint32_t)(v >> 96)));
	} else {
		for (int i = 15; i >= 0; i--, v >>= 8)
			a.b[i] = (uint8_t)v;
	}
	if (!v4 && ipaddr_is_v4(&a)) /* lengths are no address; but this is how those are written */
		text_puts(t, "::ffff:");
	text_puts(t, ipaddr_format(&a, buf));
}

static void put_entry(struct text *t, bits addr, unsigned len, bits lengths, bool v4)
{
	put_address(t, addr, v4);
	text_printf(t, "/%u{", len);
	put_address(t, lengths, v4);
	text_puts(t, "}, ");
}

static void put_node(struct text *t, const struct node *n, bool v4)
{
	uint16_t local = n->local;

	if (n->accept)
		put_entry(t, n->addr, n->len, n->accept, v4);
	for (unsigned i = 0; i < 4; i++)
		if (has_length(n->accept, n->len + i))
			local &= (uint16_t)~level_mask(1, i);
	for (unsigned pos = 2, level = 1; pos < 16; pos++) {
		if (pos == 4 || pos == 8)
			level++;
		if (!(local & 1u << pos))
			continue;
		/* as many levels below it as are complete */
		unsigned n_levels = 0;
		while (level + n_levels < 4) {
			uint16_t m = level_mask(pos, n_levels);

			if ((local & m) != m)
				break;
			local &= (uint16_t)~m;
			n_levels++;
		}
		unsigned len = n->len + level;
		bits addr = n->addr | (bits)(pos & ((1u << level) - 1)) << (128 - len);
		put_entry(t, addr, len, top(len + n_levels - 1) & ~top(len - 1), v4);
	}
	for (unsigned i = 0; i < 16; i++)
		if (n->child[i])
			put_node(t, n->child[i], v4);
}

void prefix_set_put(struct text *t, const struct filter_prefix_set *s)
{
	text_char(t, '[');
	if (s) {
		struct trie trie = {.arena = arena_create(), .v4 = s->v4, .left = MOST_PATTERNS};

		prefix_set_each(s, add_pattern, &trie);
		if (trie.zero)
			text_puts(t, s->v4 ? "0.0.0.0/0, " : "::/0, ");
		put_node(t, &trie.root, s->v4);
		text_drop(t, 2);
		if (!trie.left)
			text_puts(t, ", ...");
		arena_destroy(trie.arena);
	}
	text_char(t, ']');
}
