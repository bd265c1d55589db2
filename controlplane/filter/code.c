/* SPDX-License-Identifier: BSD-2-Clause */
#include "controlplane/filter/code.h"
#include "controlplane/filter/code_build.h"
#include "controlplane/filter/mask.h"
#include "controlplane/filter/prefix_set.h"
#include "controlplane/filter/words.h"
#include "shared/hash.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- building ---- */

void code_builder_init(struct code_builder *b, struct arena *scratch)
{
	memset(b, 0, sizeof(*b));
	b->scratch = scratch;
}

/* Room for one more; old memory stays in the arena. */
static void *more(struct arena *a, void *array, uint32_t n, uint32_t *room, size_t size)
{
	if (n < *room)
		return array;
	*room = *room ? *room * 2 : 16;
	void *fresh = arena_alloc_raw(a, *room * size);
	if (n)
		memcpy(fresh, array, n * size);
	return fresh;
}

static uint32_t file_index(struct code_builder *b, const char *file)
{
	if (!file)
		file = "";
	for (uint32_t i = b->n_files; i-- > 0;)
		if (b->files[i] == file || !strcmp(b->files[i], file))
			return i;
	b->files = more(b->scratch, b->files, b->n_files, &b->room_files, sizeof(*b->files));
	b->files[b->n_files] = file;
	return b->n_files++;
}

uint32_t code_emit(struct code_builder *b, struct insn i, const char *file, unsigned line)
{
	if (b->n_insns == b->room_insns) {
		uint32_t room = b->room_insns;

		b->insns = more(b->scratch, b->insns, b->n_insns, &b->room_insns, sizeof(*b->insns));
		b->lines = more(b->scratch, b->lines, b->n_insns, &room, sizeof(*b->lines));
	}
	b->insns[b->n_insns] = i;
	b->lines[b->n_insns] = (struct source_line){file_index(b, file), line};
	return b->n_insns++;
}

/* Equal and the same also where == is lenient (quad and IPv4). Only looked for among the last few. */
static bool same_constant(const struct value *a, const struct value *b)
{
	if (a->type != b->type)
		return false;
	switch (a->type) {
	case T_PATH:
	case T_CLIST:
	case T_ECLIST:
	case T_LCLIST: return a->list.data == b->list.data && a->list.count == b->list.count;
	case T_NET:
	case T_BYTESTRING:
	case T_PATH_MASK: return a->net == b->net;
	default: return value_equal(a, b);
	}
}

uint32_t code_constant(struct code_builder *b, const struct value *v)
{
	uint32_t first = b->n_consts > 32 ? b->n_consts - 32 : 0;

	for (uint32_t i = b->n_consts; i-- > first;)
		if (same_constant(&b->consts[i], v))
			return i | OPERAND_CONST;
	b->consts = more(b->scratch, b->consts, b->n_consts, &b->room_consts, sizeof(*b->consts));
	b->consts[b->n_consts] = *v;
	return b->n_consts++ | OPERAND_CONST;
}

uint32_t code_callee(struct code_builder *b, const struct code *c)
{
	for (uint32_t i = 0; i < b->n_callees; i++)
		if (b->callees[i] == c)
			return i;
	b->callees = more(b->scratch, b->callees, b->n_callees, &b->room_callees, sizeof(*b->callees));
	b->callees[b->n_callees] = c;
	return b->n_callees++;
}

uint32_t code_mask(struct code_builder *b, const struct mask_template *t)
{
	b->masks = more(b->scratch, b->masks, b->n_masks, &b->room_masks, sizeof(*b->masks));
	b->masks[b->n_masks] = *t;
	return b->n_masks++;
}

uint32_t code_roa(struct code_builder *b, const char *name, enum net_type type)
{
	for (uint32_t i = 0; i < b->n_roas; i++)
		if (b->roas[i].type == type && !strcmp(b->roas[i].name, name))
			return i;
	b->roas = more(b->scratch, b->roas, b->n_roas, &b->room_roas, sizeof(*b->roas));
	b->roas[b->n_roas].name = name;
	b->roas[b->n_roas].type = type;
	b->roas[b->n_roas].handle = NULL;
	return b->n_roas++;
}

uint32_t code_switch(struct code_builder *b, const struct set_builder *labels)
{
	struct switch_table t = {.type = labels->type, .n = labels->n};

	t.ranges = arena_memdup(b->scratch, labels->ranges, labels->n * sizeof(*labels->ranges));
	b->switches = more(b->scratch, b->switches, b->n_switches, &b->room_switches, sizeof(*b->switches));
	b->switches[b->n_switches] = t;
	return b->n_switches++;
}

void code_switch_targets(struct code_builder *b, uint32_t index, const uint32_t *target, uint32_t otherwise)
{
	struct switch_table *t = &b->switches[index];

	for (uint32_t i = 0; i < t->n; i++)
		t->ranges[i].tag = target[t->ranges[i].tag];
	t->otherwise = target[otherwise];
}

static bool same_digest(const struct digest *a, const struct digest *b)
{
	return a->low == b->low && a->high == b->high;
}

void code_condition(struct code_builder *b, const struct net_condition *c)
{
	for (uint32_t i = 0; i < b->n_conditions; i++)
		if (same_digest(&b->conditions[i].code->digest, &c->code->digest)) {
			code_release(c->code);
			return;
		}
	b->conditions =
		more(b->scratch, b->conditions, b->n_conditions, &b->room_conditions, sizeof(*b->conditions));
	b->conditions[b->n_conditions++] = *c;
}

/* ---- the memory of finished code: one block, for a configuration may have a hundred thousand small ones
 * ---- */

static size_t room(size_t size)
{
	return (size + 7) & ~(size_t)7;
}

/* The next bytes of the block, zeroed. NULL for none. */
static void *own(struct code *c, size_t size)
{
	void *p = c->memory + c->used;

	c->used += room(size);
	return size ? p : NULL;
}

static void *own_copy(struct code *c, const void *from, size_t size)
{
	void *p = own(c, size);

	if (size)
		memcpy(p, from, size);
	return p;
}

static void hold_set(struct code *c, const struct filter_set *s)
{
	if (s)
		c->held.sets[c->held.n_sets++] = set_hold(s);
}

static size_t list_bytes(const struct value *v)
{
	size_t width = v->type == T_PATH     ? 1
		       : v->type == T_CLIST  ? 4
		       : v->type == T_ECLIST ? 8
					     : sizeof(struct lcomm);

	return v->list.count * width;
}

/* What a net points to. */
static size_t nlri_bytes(const struct net *n)
{
	return net_type_has_nlri(n->type) && n->nlri ? sizeof(*n->nlri) + n->nlri->len : 0;
}

static size_t value_room(const struct value *v)
{
	switch (v->type) {
	case T_STRING: return room(strlen(v->s) + 1);
	case T_BYTESTRING: return room(sizeof(*v->bytes) + v->bytes->len);
	case T_NET: return room(sizeof(*v->net)) + room(nlri_bytes(v->net));
	case T_PATH:
	case T_CLIST:
	case T_ECLIST:
	case T_LCLIST: return v->list.data ? room(list_bytes(v)) : 0;
	case T_PATH_MASK: return room(sizeof(*v->mask) + v->mask->n * sizeof(v->mask->item[0]));
	default: return 0;
	}
}

static const uint64_t nothing;

/* A constant with memory of the code's own. */
static struct value own_value(struct code *c, const struct value *v)
{
	struct value out = *v;

	switch (v->type) {
	case T_STRING: out.s = own_copy(c, v->s, strlen(v->s) + 1); break;
	case T_BYTESTRING: out.bytes = own_copy(c, v->bytes, sizeof(*v->bytes) + v->bytes->len); break;
	case T_NET: {
		struct net n = *v->net;

		if (nlri_bytes(&n))
			n.nlri = own_copy(c, n.nlri, nlri_bytes(&n));
		out.net = own_copy(c, &n, sizeof(n));
		break;
	}
	case T_PATH:
	case T_CLIST:
	case T_ECLIST:
	case T_LCLIST:
		/* An empty list that somebody made is something else than none. */
		if (v->list.data)
			out.list.data = v->list.count ? own_copy(c, v->list.data, list_bytes(v)) : &nothing;
		break;
	case T_PATH_MASK:
		out.mask = own_copy(c, v->mask, sizeof(*v->mask) + v->mask->n * sizeof(v->mask->item[0]));
		for (uint32_t i = 0; i < v->mask->n; i++)
			hold_set(c, v->mask->item[i].set);
		break;
	case T_SET: hold_set(c, v->set); break;
	case T_PREFIX_SET:
		if (v->pset)
			c->held.prefix_sets[c->held.n_prefix_sets++] = prefix_set_hold(v->pset);
		break;
	default: break;
	}
	return out;
}

/* ---- identity: a digest of all that decides what the code does; names and lines do not ---- */

static void put(XXH3_state_t *h, const void *p, size_t n)
{
	XXH3_128bits_update(h, p, n);
}

static void put_set(XXH3_state_t *h, const struct filter_set *s)
{
	static const struct digest none;

	put(h, s ? &s->intern.digest : &none, sizeof(none));
}

static void put_value(XXH3_state_t *h, const struct value *v)
{
	uint32_t n, type = v->type;

	put(h, &type, sizeof(type));
	switch (v->type) {
	case T_BOOL: put(h, &v->b, sizeof(v->b)); break;
	case T_STRING:
		n = (uint32_t)strlen(v->s);
		put(h, &n, sizeof(n));
		put(h, v->s, n);
		break;
	case T_BYTESTRING: put(h, v->bytes, sizeof(*v->bytes) + v->bytes->len); break;
	case T_NET: {
		struct net net = *v->net;

		if (nlri_bytes(&net)) {
			put(h, net.nlri, nlri_bytes(&net));
			net.nlri = NULL;
		}
		put(h, &net, sizeof(net));
		break;
	}
	case T_IP: put(h, &v->ip, sizeof(v->ip)); break;
	case T_EC:
	case T_RD: put(h, &v->u64, sizeof(v->u64)); break;
	case T_LC: put(h, &v->lc, sizeof(v->lc)); break;
	case T_MAC: put(h, v->mac, sizeof(v->mac)); break;
	case T_PATH:
	case T_CLIST:
	case T_ECLIST:
	case T_LCLIST:
		n = v->list.data ? v->list.count : UINT32_MAX;
		put(h, &n, sizeof(n));
		put(h, v->list.data, v->list.data ? list_bytes(v) : 0);
		break;
	case T_PATH_MASK:
		for (uint32_t i = 0; i < v->mask->n; i++) {
			const struct mask_item *it = &v->mask->item[i];
			uint32_t words[3] = {
				it->kind | (uint32_t)it->written_loop << 8 | (uint32_t)it->range << 9, it->lo,
				it->hi};

			put(h, words, sizeof(words));
			put_set(h, it->set);
		}
		break;
	case T_SET: put_set(h, v->set); break;
	case T_PREFIX_SET: {
		static const struct digest none;

		put(h, v->pset ? &v->pset->intern.digest : &none, sizeof(none));
		break;
	}
	case T_VOID: break;
	default: put(h, &v->i, sizeof(v->i));
	}
}

static void digest(struct code *c)
{
	XXH3_state_t *h = XXH3_createState();

	if (!h) {
		fprintf(stderr, "out of memory\n");
		abort();
	}
	XXH3_128bits_reset(h);
	put(h, &c->n_args, sizeof(c->n_args));
	put(h, c->insns, c->n_insns * sizeof(*c->insns));
	for (uint32_t i = 0; i < c->n_consts; i++)
		put_value(h, &c->consts[i]);
	for (uint32_t i = 0; i < c->n_callees; i++)
		put(h, &c->callees[i]->digest, sizeof(c->digest));
	for (uint32_t i = 0; i < c->n_switches; i++) {
		const struct switch_table *t = &c->switches[i];
		uint32_t words[3] = {t->type, t->n, t->otherwise};

		put(h, words, sizeof(words));
		for (uint32_t k = 0; k < t->n; k++) {
			put(h, &t->ranges[k].lo, sizeof(t->ranges[k].lo));
			put(h, &t->ranges[k].hi, sizeof(t->ranges[k].hi));
			put(h, &t->ranges[k].tag, sizeof(t->ranges[k].tag));
		}
	}
	for (uint32_t i = 0; i < c->n_masks; i++)
		for (uint32_t k = 0; k < c->masks[i].n; k++) {
			const struct mask_template_item *it = &c->masks[i].items[k];
			uint32_t words[3] = {
				it->kind | (uint32_t)it->mask_kind << 8 | (uint32_t)it->range << 16, it->lo,
				it->hi};

			put(h, words, sizeof(words));
			put_set(h, it->set);
		}
	for (uint32_t i = 0; i < c->n_roas; i++) {
		uint32_t words[2] = {c->roas[i].type, (uint32_t)strlen(c->roas[i].name)};

		put(h, words, sizeof(words));
		put(h, c->roas[i].name, words[1]);
	}
	XXH128_hash_t d = XXH3_128bits_digest(h);
	XXH3_freeState(h);
	c->digest = (struct digest){d.low64, d.high64};
}

/* ---- what it reads and does ---- */

static uint32_t reads_of_attr(uint16_t attr)
{
	switch (attr) {
	case FA_NET: return FILTER_READS_NET;
	case FA_PROTO:
	case FA_SOURCE:
	case FA_FROM: return FILTER_READS_SOURCE;
	case FA_IFNAME: return FILTER_READS_STATE; /* names of interfaces change without us */
	default: return 0;
	}
}

static void analyse(struct code *c)
{
	for (uint32_t i = 0; i < c->n_insns; i++) {
		const struct insn *in = &c->insns[i];

		switch (in->op) {
		case C_GET:
			c->reads |= reads_of_attr(in->x);
			c->attrs_read |= UINT64_C(1) << in->x;
			break;
		case C_SET:
		case C_UNSET:
			c->reads |= FILTER_WRITES;
			c->attrs_written |= UINT64_C(1) << in->x;
			break;
		case C_PRINT:
		case C_FLUSH: c->reads |= FILTER_PRINTS; break;
		case C_ACCEPT:
		case C_REJECT:
		case C_ERROR:
		case C_ASSERT: c->decides = true; break;
		case C_ROA_ROUTE:
			c->reads |= FILTER_READS_ROA | FILTER_READS_NET;
			c->attrs_read |= UINT64_C(1) << FA_NET | UINT64_C(1) << FA_PATH;
			break;
		case C_ROA:
		case C_ASPA: c->reads |= FILTER_READS_ROA; break;
		default: break;
		}
	}
	for (uint32_t i = 0; i < c->n_callees; i++) {
		c->reads |= c->callees[i]->reads;
		c->attrs_read |= c->callees[i]->attrs_read;
		c->attrs_written |= c->callees[i]->attrs_written;
		c->decides = c->decides || c->callees[i]->decides;
	}
}

/* What code_finish() takes by own(), item by item. */
static size_t block_room(const struct code_builder *b, const char *name, uint32_t sets, uint32_t prefix_sets)
{
	size_t n = room(sets * sizeof(void *)) + room(prefix_sets * sizeof(void *)) +
		   (name ? room(strlen(name) + 1) : 0) + room(b->n_insns * sizeof(*b->insns)) +
		   room(b->n_insns * sizeof(*b->lines)) + room(b->n_files * sizeof(*b->files)) +
		   room(b->n_consts * sizeof(*b->consts)) + room(b->n_callees * sizeof(*b->callees)) +
		   room(b->n_switches * sizeof(*b->switches)) + room(b->n_masks * sizeof(*b->masks)) +
		   room(b->n_roas * sizeof(*b->roas)) + room(b->n_conditions * sizeof(*b->conditions));

	for (uint32_t i = 0; i < b->n_files; i++)
		n += room(strlen(b->files[i]) + 1);
	for (uint32_t i = 0; i < b->n_consts; i++)
		n += value_room(&b->consts[i]);
	for (uint32_t i = 0; i < b->n_switches; i++)
		n += room(b->switches[i].n * sizeof(struct set_range));
	for (uint32_t i = 0; i < b->n_masks; i++)
		n += room(b->masks[i].n * sizeof(*b->masks[i].items));
	for (uint32_t i = 0; i < b->n_roas; i++)
		n += room(strlen(b->roas[i].name) + 1);
	return n;
}

const struct code *code_finish(struct code_builder *b, const char *name)
{
	uint32_t sets = 0, prefix_sets = 0;
	struct code *c;
	size_t size;

	for (uint32_t i = 0; i < b->n_consts; i++) {
		sets += b->consts[i].type == T_SET;
		prefix_sets += b->consts[i].type == T_PREFIX_SET;
		if (b->consts[i].type == T_PATH_MASK)
			sets += b->consts[i].mask->n;
	}
	for (uint32_t i = 0; i < b->n_masks; i++)
		sets += b->masks[i].n;
	size = block_room(b, name, sets, prefix_sets);
	c = calloc(1, sizeof(*c) + size);
	if (!c) {
		fprintf(stderr, "out of memory\n");
		abort();
	}
	c->held.sets = own(c, sets * sizeof(*c->held.sets));
	c->held.prefix_sets = own(c, prefix_sets * sizeof(*c->held.prefix_sets));
	atomic_init(&c->refs, 1);
	c->n_regs = b->n_regs;
	c->n_args = b->n_args;
	c->name = name ? own_copy(c, name, strlen(name) + 1) : NULL;
	c->insns = own_copy(c, b->insns, b->n_insns * sizeof(*b->insns));
	c->lines = own_copy(c, b->lines, b->n_insns * sizeof(*b->lines));
	c->n_insns = b->n_insns;
	c->files = own(c, b->n_files * sizeof(*c->files));
	c->n_files = b->n_files;
	for (uint32_t i = 0; i < b->n_files; i++)
		c->files[i] = own_copy(c, b->files[i], strlen(b->files[i]) + 1);

	struct value *consts = own(c, b->n_consts * sizeof(*consts));
	for (uint32_t i = 0; i < b->n_consts; i++)
		consts[i] = own_value(c, &b->consts[i]);
	c->consts = consts;
	c->n_consts = b->n_consts;
	c->callees = own_copy(c, b->callees, b->n_callees * sizeof(*b->callees));
	c->n_callees = b->n_callees;
	for (uint32_t i = 0; i < c->n_callees; i++)
		code_hold(c->callees[i]);
	c->switches = own_copy(c, b->switches, b->n_switches * sizeof(*b->switches));
	c->n_switches = b->n_switches;
	for (uint32_t i = 0; i < c->n_switches; i++)
		c->switches[i].ranges =
			own_copy(c, c->switches[i].ranges, c->switches[i].n * sizeof(struct set_range));
	c->masks = own_copy(c, b->masks, b->n_masks * sizeof(*b->masks));
	c->n_masks = b->n_masks;
	for (uint32_t i = 0; i < c->n_masks; i++) {
		struct mask_template *m = &c->masks[i];

		m->items = own_copy(c, m->items, m->n * sizeof(*m->items));
		for (uint32_t k = 0; k < m->n; k++)
			hold_set(c, m->items[k].set);
	}
	c->roas = own_copy(c, b->roas, b->n_roas * sizeof(*b->roas));
	c->n_roas = b->n_roas;
	for (uint32_t i = 0; i < c->n_roas; i++)
		c->roas[i].name = own_copy(c, c->roas[i].name, strlen(c->roas[i].name) + 1);
	c->conditions = own_copy(c, b->conditions, b->n_conditions * sizeof(*b->conditions));
	c->n_conditions = b->n_conditions;
	c->net_free = b->net_free;
	if (c->used > size) {
		fprintf(stderr, "filter code of %zu bytes in %zu\n", c->used, size);
		abort();
	}
	analyse(c);
	digest(c);
	return c;
}

const struct code *code_hold(const struct code *c)
{
	atomic_fetch_add_explicit(&((struct code *)c)->refs, 1, memory_order_relaxed);
	return c;
}

void code_release(const struct code *code)
{
	struct code *c = (struct code *)code;

	if (!c || atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) > 1)
		return;
	for (uint32_t i = 0; i < c->n_callees; i++)
		code_release(c->callees[i]);
	for (uint32_t i = 0; i < c->n_conditions; i++)
		code_release(c->conditions[i].code);
	for (uint32_t i = 0; i < c->held.n_sets; i++)
		set_release(c->held.sets[i]);
	for (uint32_t i = 0; i < c->held.n_prefix_sets; i++)
		prefix_set_release(c->held.prefix_sets[i]);
	free(c);
}
