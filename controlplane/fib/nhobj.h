/* SPDX-License-Identifier: BSD-2-Clause */
/* Single nexthop objects, plans, and how both are written; the inner half of nexthop.h. fib thread. */
#pragma once
#include "controlplane/fib/fib_priv.h"

/* Finds or makes, with a reference. The kernel is not asked. */
struct nhobj *nhobj_get(struct fib *f, uint8_t family, enum nh_role role, const struct hop *h);
/* Drops a reference; without any left it goes, from the kernel, too (unless keep). */
void nhobj_put(struct fib *f, struct nhobj *o, bool keep);
/* Puts it into the kernel if it is not there. 0 or -errno, text: the kernel's words. */
int nhobj_ensure(struct fib *f, struct nhobj *o, char text[BATCH_TEXT]);
/* It is not in the kernel any more, or must not be: forgets the id. */
void nhobj_gone(struct fib *f, struct nhobj *o);
/* A group sends traffic through o (sign 1) or no longer does (-1), with substitute for it (NULL: none or
 * several) on this port (0: several, PORT_NONE: on none). */
void nhobj_account(
	struct fib *f, struct nhobj *o, int sign, uint32_t routes, struct nhobj *substitute, uint32_t port);
/* The same for a stand-by. */
void nhobj_account_sole(struct fib *f, struct nhobj *o, int sign);
void nhobj_attach_link(struct fib *f, struct link *k);
void link_stale(struct fib *f, struct link *k);
/* redirect.h: a port is another than before, or gone; stores that came late are taken back. */
void nhobj_port_changed(struct fib *f, uint32_t ifindex);
void nhobj_settle_redirections(struct fib *f);

uint32_t nexthop_new_id(struct fib *f, unsigned range);
enum { ID_RANGE_GROUPS = 4 };
/* RTM_DELNEXTHOP in the ctl batch; not sent yet. */
void nexthop_put_delete(struct fib *f, uint32_t id);

/* group.c, for verification and adoption */
void nexthops_update_all(struct fib *f); /* every group that is not retired: what is right now */
void nexthops_drop_gone(struct fib *f);  /* members whose object is gone; groups without members are lost */
void nexthops_repair_group(struct fib *f, struct group *g); /* its content is written again */
void nexthops_lose_group(struct fib *f, struct group *g);   /* the kernel does not have it any more */
struct group *nexthops_add_left_over(
	struct fib *f, uint32_t id, uint16_t buckets, const struct member *m, unsigned n);
/* An object of an earlier run. */
struct nhobj *nhobj_add_left_over(
	struct fib *f, uint8_t family, enum nh_role role, const struct hop *h, uint32_t id);
void nhobj_drop_left_overs(struct fib *f);
