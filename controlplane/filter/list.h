/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Community lists: clist (u32), eclist (u64), lclist (struct lcomm). A result
 * that equals an argument is that argument, so that callers see "nothing
 * changed" by the pointer.
 */
#pragma once
#include "controlplane/config/arena.h"
#include "controlplane/filter/set.h"

/* type is that of the list: T_CLIST, T_ECLIST or T_LCLIST. Elements are in set_key form. */
bool list_has(enum value_type type, const struct value_list *l, const union set_key *k);
union set_key list_get(enum value_type type, const struct value_list *l, uint32_t i);
struct value_list list_add(
	struct arena *a, enum value_type type, const struct value_list *l, const union set_key *k);
struct value_list list_union(
	struct arena *a, enum value_type type, const struct value_list *l, const struct value_list *more);
struct value_list list_remove(
	struct arena *a, enum value_type type, const struct value_list *l, const union set_key *k);
/* Elements that are (keep) or are not (!keep) in the set; or in the list. */
struct value_list list_filter_set(struct arena *a, enum value_type type, const struct value_list *l,
	const struct filter_set *s, bool keep);
struct value_list list_filter_list(struct arena *a, enum value_type type, const struct value_list *l,
	const struct value_list *other, bool keep);
/* Can elements of such a list be in the set? */
bool list_set_fits(enum value_type type, const struct filter_set *s);
bool list_has_any(enum value_type type, const struct value_list *l, const struct filter_set *s);
/* Zero if the list is empty. */
union set_key list_min(enum value_type type, const struct value_list *l);
union set_key list_max(enum value_type type, const struct value_list *l);
