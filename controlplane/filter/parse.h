/* SPDX-License-Identifier: BSD-2-Clause */
/* The pieces of the filter grammar, for each other. All consume what they parse and fail by parser_fail(). */
#pragma once
#include "controlplane/filter/ast.h"

/* parse_expr.c */
struct node *parse_expression(struct parser *p);
struct node *parse_arguments(struct parser *p); /* after '(': list up to ')', which is current then */
/* The method after '.': the name is the current token. */
struct node *parse_method(struct parser *p, struct node *object);
/* An unquoted identifier that no symbol in scope takes. */
bool parse_at_word(const struct parser *p, const char *word);
const struct word *parse_word(const struct parser *p);

/* parse_set.c */
struct node *parse_set(struct parser *p);  /* at '[' */
struct node *parse_mask(struct parser *p); /* at TOK_PO */
/* Items up to ':' of a case, or up to ']'. symbols: bare constant names are allowed. */
void parse_set_items(struct parser *p, struct set_builder *b, uint32_t tag, bool symbols);

/* parse_net.c */
struct node *parse_address(struct parser *p); /* at IP4 or IP6: address, prefix, ROA, SADR */
struct node *parse_vpn(struct parser *p);     /* at RD */
struct node *parse_other_net(
	struct parser *p); /* eth, mpls, aspa, neighbor, evpn, flow4, flow6; NULL: none of them */

/* parse_flow.c: at flow4 or flow6; what it points to is in p->arena. Also for static routes. */
struct net parse_flow(struct parser *p);

/* parse_command.c */
struct node *parse_block(struct parser *p); /* '{' commands '}', in a scope of its own */
bool parse_at_type(const struct parser *p);
enum value_type parse_type(struct parser *p);
/* Old style: declarations between the head and the body. */
struct node *parse_declarations(struct parser *p);

/* constant.c: what an expression is worth before any route is there */
struct value parse_evaluate(struct parser *p, struct node *n, enum value_type want); /* T_VOID: any */

/* parse_set.c: rt | ro | generic | unknown N */
uint32_t parse_ec_kind(struct parser *p);
