/* SPDX-License-Identifier: BSD-2-Clause */
#include "controlplane/filter/family.h"
#include "controlplane/filter/code.h"
#include "controlplane/filter/words.h"
#include "shared/hash.h"
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

/* ---- shape ---- */

static bool may_differ(const struct value *v)
{
	return v->type == T_INT || v->type == T_PAIR || v->type == T_EC || v->type == T_LC;
}

/* Numbers beyond 16 bits make other extended communities, and no pairs at all. */
static bool same_class(const struct value *a, const struct value *b)
{
	return a->type != T_INT || (a->i > 0xffff) == (b->i > 0xffff);
}

static bool same_bits(const struct value *a, const struct value *b)
{
	switch (a->type) {
	case T_BOOL: return a->b == b->b;
	case T_INT:
	case T_PAIR:
	case T_QUAD: return a->i == b->i;
	case T_EC:
	case T_RD: return a->u64 == b->u64;
	case T_LC: return !memcmp(&a->lc, &b->lc, sizeof(a->lc));
	case T_IP: return ipaddr_equal(&a->ip, &b->ip);
	case T_STRING: return !strcmp(a->s, b->s);
	case T_SET: return a->set == b->set; /* interned */
	case T_PREFIX_SET: return a->pset == b->pset;
	default: return value_type_is_enum(a->type) && a->i == b->i;
	}
}

uint64_t filter_shape(const struct filter *f)
{
	const struct code *c = f->code;
	uint64_t h = hash_bytes(c->insns, c->n_insns * sizeof(*c->insns), c->n_consts);

	for (uint32_t i = 0; i < c->n_consts; i++)
		h = hash_u64(h ^ (c->consts[i].type * 2u +
					 (c->consts[i].type == T_INT && c->consts[i].i > 0xffff)),
			7);
	for (uint32_t i = 0; i < c->n_callees; i++)
		h = hash_u64(h ^ c->callees[i]->digest.low, 11);
	return h;
}

bool filter_alike(const struct filter *x, const struct filter *y, uint64_t *differs)
{
	const struct code *a = x->code, *b = y->code;

	if (a->n_insns != b->n_insns || a->n_consts != b->n_consts || a->n_callees != b->n_callees ||
		a->n_regs != b->n_regs || a->n_consts > FILTER_FAMILY_CONSTS || a->n_switches ||
		b->n_switches || a->n_masks || b->n_masks || a->n_roas || b->n_roas ||
		memcmp(a->insns, b->insns, a->n_insns * sizeof(*a->insns)) != 0)
		return false;
	for (uint32_t i = 0; i < a->n_callees; i++)
		if (a->callees[i]->digest.low != b->callees[i]->digest.low ||
			a->callees[i]->digest.high != b->callees[i]->digest.high)
			return false;
	for (uint32_t i = 0; i < a->n_consts; i++) {
		const struct value *v = &a->consts[i], *w = &b->consts[i];

		if (v->type != w->type || !same_class(v, w))
			return false;
		if (same_bits(v, w))
			continue;
		if (!may_differ(v))
			return false;
		*differs |= UINT64_C(1) << i;
	}
	return true;
}

/* ---- where the numbers go ---- */

enum kind {
	K_NONE,  /* never assigned on this way */
	K_PLAIN, /* the same for all peers that are not named */
	K_LIST,  /* likewise, and made of atoms of the route: communities as received or fewer, the path */
	K_PEER,  /* a peer's number, or what was made of it alone with PLAIN ones */
	K_BAD,   /* a peer's on one way, not on another */
};

#define MAX_REGS 64u
struct state {
	uint8_t reg[MAX_REGS];
	uint8_t changed; /* lists assigned from elsewhere: bit per list_number() */
	bool reached;
};

struct walk {
	uint64_t differs;
	unsigned budget; /* instructions looked at */
	unsigned depth;
};

static unsigned list_number(unsigned attr)
{
	switch (attr) {
	case FA_COMMUNITY: return 1;
	case FA_EXT_COMMUNITY: return 2;
	case FA_LARGE_COMMUNITY: return 4;
	case FA_PATH: return 8;
	default: return 0;
	}
}

static uint8_t join_kind(uint8_t a, uint8_t b)
{
	if (a == b || b == K_NONE)
		return a;
	if (a == K_NONE)
		return b;
	if (a == K_PEER || b == K_PEER || a == K_BAD || b == K_BAD)
		return K_BAD;
	return K_PLAIN;
}

/* True: something became known. */
static bool join(struct state *to, const struct state *from, uint32_t regs)
{
	struct state before = *to;

	if (!to->reached) {
		*to = *from;
		to->reached = true;
		return true;
	}
	for (uint32_t i = 0; i < regs; i++)
		to->reg[i] = join_kind(to->reg[i], from->reg[i]);
	to->changed |= from->changed;
	return memcmp(&before, to, sizeof(before)) != 0;
}

static uint8_t kind_of(const struct walk *w, const struct state *s, uint32_t operand)
{
	if (operand & OPERAND_CONST) {
		uint32_t i = operand & ~OPERAND_CONST;

		return w->depth == 1 && i < 64 && (w->differs >> i & 1) ? K_PEER : K_PLAIN;
	}
	return operand < MAX_REGS ? s->reg[operand] : K_BAD;
}

static bool is_peer(uint8_t k)
{
	return k == K_PEER || k == K_BAD;
}

/* Results that are the argument or less of it. */
static bool shrinks(unsigned op)
{
	switch (op) {
	case OP_PATH_DELETE_INT:
	case OP_PATH_DELETE_SET:
	case OP_PATH_FILTER_SET:
	case OP_CLIST_DELETE_PAIR:
	case OP_CLIST_DELETE_CLIST:
	case OP_CLIST_DELETE_SET:
	case OP_CLIST_FILTER_CLIST:
	case OP_CLIST_FILTER_SET:
	case OP_ECLIST_DELETE_EC:
	case OP_ECLIST_DELETE_ECLIST:
	case OP_ECLIST_DELETE_SET:
	case OP_ECLIST_FILTER_ECLIST:
	case OP_ECLIST_FILTER_SET:
	case OP_LCLIST_DELETE_LC:
	case OP_LCLIST_DELETE_LCLIST:
	case OP_LCLIST_DELETE_SET:
	case OP_LCLIST_FILTER_LCLIST:
	case OP_LCLIST_FILTER_SET: return true;
	default: return false;
	}
}

/* Without effect when the peer's value is not in the list. */
static bool removes_one(unsigned op)
{
	return op == OP_PATH_DELETE_INT || op == OP_CLIST_DELETE_PAIR || op == OP_ECLIST_DELETE_EC ||
	       op == OP_LCLIST_DELETE_LC;
}

/* An operator: the kind of its result, K_BAD if the proof ends here. */
static uint8_t operate(const struct walk *w, const struct state *s, const struct insn *in)
{
	const struct op_info *info = op_info(in->op);
	uint8_t x = kind_of(w, s, in->b), y = info->n_args > 1 ? kind_of(w, s, in->c) : K_PLAIN;

	if (in->op == OP_LC) { /* three registers */
		bool peer = false;

		if (in->b + 2 >= MAX_REGS)
			return K_BAD;
		for (unsigned i = 0; i < 3; i++) {
			if (s->reg[in->b + i] == K_BAD)
				return K_BAD;
			peer |= s->reg[in->b + i] == K_PEER;
		}
		return peer ? K_PEER : K_PLAIN;
	}
	if (info->n_args > 2 || x == K_BAD || y == K_BAD)
		return K_BAD;
	if (!is_peer(x) && !is_peer(y))
		return shrinks(in->op) && x == K_LIST ? K_LIST : K_PLAIN;
	switch (in->op) {
	case OP_PAIR:
	case OP_EC: return K_PEER;
	case OP_MATCH:
	case OP_NOT_MATCH: return x == K_PEER && y == K_LIST ? K_PLAIN : K_BAD;
	default: return removes_one(in->op) && x == K_LIST && y == K_PEER ? K_LIST : K_BAD;
	}
}

static bool follow(struct walk *w, const struct code *c, const struct state *in, struct state *out);

/* One instruction; next[] are the ways out of it. False: not proved. */
static bool instruction(struct walk *w, const struct code *c, uint32_t at, struct state *s, uint32_t next[2],
	unsigned *n_next, struct state *returned)
{
	const struct insn *in = &c->insns[at];
	uint8_t k;

	next[0] = at + 1;
	*n_next = 1;
	switch (in->op) {
	case C_MOVE:
	case C_MOVE_TYPED:
		k = kind_of(w, s, in->b);
		if (in->a >= MAX_REGS || k == K_BAD)
			return false;
		s->reg[in->a] = k;
		return true;
	case C_CLEAR:
		if (in->a >= MAX_REGS)
			return false;
		s->reg[in->a] = K_PLAIN;
		return true;
	case C_JUMP: next[0] = in->a; return true;
	case C_JUMP_FALSE:
	case C_JUMP_TRUE:
		next[1] = in->a;
		*n_next = 2;
		return !is_peer(kind_of(w, s, in->b));
	case C_TEST_FALSE:
	case C_TEST_TRUE:
		next[1] = in->a;
		*n_next = 2;
		k = kind_of(w, s, in->b);
		if (in->x == OP_MATCH || in->x == OP_NOT_MATCH)
			return k != K_BAD && (k == K_PEER ? kind_of(w, s, in->c) == K_LIST
							  : !is_peer(kind_of(w, s, in->c)));
		return !is_peer(k) && !is_peer(kind_of(w, s, in->c));
	case C_GET:
		if (in->a >= MAX_REGS)
			return false;
		k = (uint8_t)list_number(in->x);
		s->reg[in->a] = k && !(s->changed & k) ? K_LIST : K_PLAIN;
		return true;
	case C_SET:
		k = kind_of(w, s, in->b);
		if (is_peer(k))
			return false;
		if (k != K_LIST)
			s->changed |= (uint8_t)list_number(in->x);
		return true;
	case C_UNSET: return true;
	case C_CALL: {
		const struct code *callee = in->c == CALL_SELF ? NULL : c->callees[in->c];
		struct state inner = {.changed = s->changed, .reached = true}, result = {0};

		if (!callee || in->a + callee->n_args > MAX_REGS || callee->n_regs > MAX_REGS)
			return false;
		memcpy(inner.reg, s->reg + in->a, callee->n_args);
		if (!follow(w, callee, &inner, &result))
			return false;
		if (!result.reached) { /* never comes back */
			*n_next = 0;
			return true;
		}
		s->changed = result.changed;
		s->reg[in->a] = result.reg[0];
		return result.reg[0] != K_BAD;
	}
	case C_RETURN: {
		struct state r = {.changed = s->changed, .reached = true};

		r.reg[0] = kind_of(w, s, in->b);
		*n_next = 0;
		join(returned, &r, 1);
		return r.reg[0] != K_BAD;
	}
	case C_ACCEPT:
	case C_REJECT:
	case C_ERROR:
	case C_END: *n_next = 0; return true;
	default: break;
	}
	if (in->op < OP_VALUES_END) {
		k = operate(w, s, in);
		if (k == K_BAD || in->a >= MAX_REGS)
			return false;
		s->reg[in->a] = k;
		return true;
	}
	return false; /* loops, switches, masks, ROAs, what prints: not followed */
}

static bool follow(struct walk *w, const struct code *c, const struct state *in, struct state *out)
{
	struct state *at;
	bool ok = false, more = true;

	if (w->depth == 8 || c->n_regs > MAX_REGS)
		return false;
	w->depth++;
	at = calloc(c->n_insns ? c->n_insns : 1, sizeof(*at));
	if (!at)
		abort();
	if (!c->n_insns)
		goto done;
	at[0] = *in;
	at[0].reached = true;
	while (more) {
		more = false;
		for (uint32_t i = 0; i < c->n_insns; i++) {
			struct state s = at[i];
			uint32_t next[2];
			unsigned n;

			if (!s.reached)
				continue;
			if (!w->budget-- || !instruction(w, c, i, &s, next, &n, out)) {
				w->budget += !w->budget;
				goto done;
			}
			for (unsigned k = 0; k < n; k++) {
				if (next[k] >= c->n_insns)
					goto done;
				/* What goes back is looked at in another round. */
				more |= join(&at[next[k]], &s, c->n_regs) && next[k] <= i;
			}
		}
	}
	ok = true;
done:
	free(at);
	w->depth--;
	return ok;
}

bool filter_family_ok(const struct filter *f, uint64_t differs)
{
	struct walk w = {.differs = differs, .budget = 100000};
	struct state in = {.reached = true}, out = {0};

	return follow(&w, f->code, &in, &out);
}

/* ---- atoms ---- */

enum atom { ATOM_INT = 1, ATOM_PAIR, ATOM_EC, ATOM_LC };

static uint64_t atom32(enum atom kind, uint32_t v)
{
	return (uint64_t)kind << 32 | v;
}

static uint64_t atom_lc(const struct lcomm *l)
{
	return hash_u64(((uint64_t)l->asn << 32 | l->data1) ^ hash_u64(l->data2, 3), ATOM_LC);
}

unsigned filter_atoms(const struct filter *f, uint64_t differs, uint64_t out[FILTER_FAMILY_CONSTS])
{
	unsigned n = 0;

	for (uint32_t i = 0; i < f->code->n_consts && i < FILTER_FAMILY_CONSTS; i++) {
		const struct value *v = &f->code->consts[i];

		if (!(differs >> i & 1))
			continue;
		switch (v->type) {
		case T_INT: out[n++] = atom32(ATOM_INT, v->i); break;
		case T_PAIR: out[n++] = atom32(ATOM_PAIR, v->i); break;
		case T_EC: out[n++] = hash_u64(v->u64, ATOM_EC); break;
		default: out[n++] = atom_lc(&v->lc);
		}
	}
	return n;
}

unsigned filter_route_atoms(const struct attrs *a, uint64_t *out, unsigned max)
{
	unsigned n = 0;

#define ATOM(x)                                                                                              \
	do {                                                                                                 \
		if (n < max)                                                                                 \
			out[n] = (x);                                                                        \
		n++;                                                                                         \
	} while (0)
	for (unsigned i = 0; i < a->n_community; i++) {
		ATOM(atom32(ATOM_PAIR, a->community[i]));
		ATOM(atom32(ATOM_INT, a->community[i] >> 16));
		ATOM(atom32(ATOM_INT, a->community[i] & 0xffff));
	}
	for (unsigned i = 0; i < a->n_ext; i++) {
		uint64_t e = a->ext[i];

		ATOM(hash_u64(e, ATOM_EC));
		ATOM(atom32(ATOM_INT, (uint32_t)e));
		ATOM(atom32(ATOM_INT, (uint32_t)e & 0xffff));
		ATOM(atom32(ATOM_INT, (uint32_t)(e >> 16)));
		ATOM(atom32(ATOM_INT, (uint32_t)(e >> 32) & 0xffff));
		ATOM(atom32(ATOM_INT, (uint32_t)(e >> 32)));
	}
	for (unsigned i = 0; i < a->n_large; i++) {
		ATOM(atom_lc(&a->large[i]));
		ATOM(atom32(ATOM_INT, a->large[i].asn));
		ATOM(atom32(ATOM_INT, a->large[i].data1));
		ATOM(atom32(ATOM_INT, a->large[i].data2));
	}
	for (const uint8_t *p = a->as_path, *end = p + a->as_path_bytes; p && p < end;
		p += 2 + 4 * (size_t)p[1])
		for (unsigned i = 0; i < p[1]; i++) {
			uint32_t asn;

			memcpy(&asn, p + 2 + 4 * i, 4);
			ATOM(atom32(ATOM_INT, ntohl(asn)));
		}
#undef ATOM
	return n;
}
