/* SPDX-License-Identifier: BSD-2-Clause */
/* Items of blocks, read by table: see grammar.h. */
#include "controlplane/config/grammar.h"
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define MAX_CANDIDATES 192
#define MAX_BITS 16
#define MAX_EXPECTED 4 /* bison lists no more */

struct candidate {
	const struct option *option;
	void *target;
	const char *rest; /* words not matched yet, "" when complete */
};

/* Does rest begin with word? Then the rest behind it, else NULL. */
static const char *eat(const char *rest, const char *word, size_t len)
{
	if (strncmp(rest, word, len) != 0)
		return NULL;
	if (!rest[len])
		return rest + len;
	return rest[len] == ' ' ? rest + len + 1 : NULL;
}

/* "A or B or C" from the next words of all candidates; NULL if they are too many. */
static const char *expected(const struct candidate *c, unsigned n, char *buf, size_t size)
{
	const char *seen[MAX_EXPECTED];
	unsigned n_seen = 0;
	size_t used = 0;

	for (unsigned i = 0; i < n; i++) {
		size_t len = strcspn(c[i].rest, " ");
		unsigned k;

		for (k = 0; k < n_seen; k++)
			if (!strncmp(seen[k], c[i].rest, len) && strcspn(seen[k], " ") == len)
				break;
		if (k < n_seen)
			continue;
		if (n_seen == MAX_EXPECTED)
			return NULL;
		seen[n_seen++] = c[i].rest;
		if (used + len + sizeof(" or ") > size)
			return NULL;
		used += (size_t)snprintf(buf + used, size - used, "%s", used ? " or " : "");
		for (size_t j = 0; j < len; j++)
			buf[used++] = (char)toupper((unsigned char)c[i].rest[j]);
		buf[used] = 0;
	}
	return buf;
}

static uint32_t number(struct parser *p, const struct option *o)
{
	uint32_t n, max = o->max;

	if (!max)
		max = o->kind == OPT_U16 ? UINT16_MAX : o->kind == OPT_U8 ? UINT8_MAX : UINT32_MAX;
	if (o->place == AT_VALUE)
		return parser_number_in(p, o->min, max, o->range);
	n = parser_number(p);
	if (n >= o->min && n <= max)
		return n;
	if (o->range)
		parser_fail(p, "%s", o->range);
	parser_fail(p, "Value %u out of range (%u-%u)", n, o->min, max);
}

static void read_value(struct parser *p, const struct option *o, void *target)
{
	void *field = (char *)target + o->offset;

	switch (o->kind) {
	case OPT_SWITCH: *(bool *)field = parser_switch(p); break;
	case OPT_TRISTATE: *(enum tristate *)field = parser_switch(p) ? TRI_ON : TRI_OFF; break;
	case OPT_NUMBER: *(uint32_t *)field = number(p, o); break;
	case OPT_U16: *(uint16_t *)field = (uint16_t)number(p, o); break;
	case OPT_U8: *(uint8_t *)field = (uint8_t)number(p, o); break;
	case OPT_TEXT: *(const char **)field = parser_text(p); break;
	case OPT_IP: *(struct ipaddr *)field = parser_ip(p); break;
	case OPT_TIME_US: {
		struct token value = p->tok;
		uint64_t us = parser_time_us(p);

		if (us > UINT32_MAX || us < o->min)
			parser_fail_at(p, &value, "Time out of range");
		*(uint32_t *)field = (uint32_t)us;
		break;
	}
	case OPT_TABLE: *(struct table_config **)field = grammar_table_ref(p); break;
	case OPT_CUSTOM: o->parse(p, target); break;
	}
}

bool option_parse(struct parser *p, const struct option_set *sets, size_t n_sets)
{
	struct candidate all[MAX_CANDIDATES];
	unsigned n = 0;

	if (!parser_is_word(p) || p->tok.quoted)
		return false;
	for (size_t s = 0; s < n_sets; s++)
		for (size_t i = 0; i < sets[s].n && n < MAX_CANDIDATES; i++)
			all[n++] = (struct candidate){
				&sets[s].options[i], sets[s].target, sets[s].options[i].words};
	for (bool first = true;; first = false) {
		const struct candidate *complete = NULL;
		unsigned left = 0;

		for (unsigned i = 0; i < n; i++) {
			const char *rest;

			if (!*all[i].rest) {
				complete = &all[i];
				continue;
			}
			if (!parser_is_word(p) || p->tok.quoted)
				continue;
			rest = eat(all[i].rest, p->tok.text, strlen(p->tok.text));
			if (rest)
				left++;
		}
		if (!left) {
			struct candidate chosen;
			char buf[256];

			if (!complete && first)
				return false;
			if (!complete)
				parser_syntax_error(p, expected(all, n, buf, sizeof(buf)));
			chosen = *complete;
			read_value(p, chosen.option, chosen.target);
			return true;
		}
		left = 0;
		for (unsigned i = 0; i < n; i++) {
			const char *rest =
				*all[i].rest ? eat(all[i].rest, p->tok.text, strlen(p->tok.text)) : NULL;

			if (!rest)
				continue;
			all[left] = all[i];
			all[left++].rest = rest;
		}
		n = left;
		parser_next(p);
	}
}

static const char *expected_bits(const struct word_bit *words, size_t n, char *buf, size_t size)
{
	struct candidate all[MAX_BITS];

	for (size_t i = 0; i < n; i++)
		all[i] = (struct candidate){.rest = words[i].words};
	return expected(all, (unsigned)n, buf, size);
}

/* The longest of the word lists that the tokens spell. */
static uint32_t one_bit(struct parser *p, const struct word_bit *words, size_t n)
{
	const char *rest[MAX_BITS];
	char expecting[256];
	size_t best = n;

	for (size_t i = 0; i < n; i++)
		rest[i] = words[i].words;
	for (;;) {
		unsigned left = 0;

		for (size_t i = 0; parser_is_word(p) && i < n; i++)
			left += rest[i] && *rest[i] && eat(rest[i], p->tok.text, strlen(p->tok.text));
		if (!left)
			break;
		best = n;
		for (size_t i = 0; i < n; i++) {
			rest[i] = rest[i] && *rest[i] ? eat(rest[i], p->tok.text, strlen(p->tok.text)) : NULL;
			if (rest[i] && !*rest[i])
				best = i;
		}
		parser_next(p);
	}
	if (best == n)
		parser_syntax_error(p, expected_bits(words, n, expecting, sizeof(expecting)));
	return words[best].bit;
}

uint32_t option_bits(struct parser *p, const struct word_bit *words, size_t n)
{
	uint32_t bits = 0;

	parser_expect_char(p, '{');
	do
		bits |= one_bit(p, words, n);
	while (parser_accept_char(p, ','));
	if (!parser_is_char(p, '}'))
		parser_syntax_error(p, "',' or '}'");
	parser_next(p);
	return bits;
}
