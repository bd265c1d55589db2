/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Kernel against us: nexthop objects at once, routes in slices between the other
 * work. Repairs both ways. fib thread, but for fib_audit().
 *
 * The dump of a table is read a piece at a time. What it shows of ours is marked
 * in the route table or repaired; then a pass over the table finds what the dump did not
 * show. Every repair writes the present wish, so a dump that is older than our latest
 * change could cost a superfluous message, never a wrong route. To report only real differences, what we
 * write while a piece of the dump is on its way is remembered (by hash) and not judged by it.
 */
#pragma once
#include "controlplane/fib/fib_priv.h"

struct audit *audit_create(struct fib *f);
void audit_destroy(struct audit *a);
/* Begins one unless it is running. */
void audit_start(struct audit *a);
bool audit_running(const struct audit *a);
/* A slice of the pass. True: more to do now. */
bool audit_step(struct audit *a);
/* A channel goes: stop looking at it. */
void audit_forget(struct audit *a, struct fib_channel *ch);
/* The queue has drained: those who wait for it get their audit. */
void audit_drained(struct audit *a);
/* We are about to write this prefix. */
void audit_written(struct audit *a, const struct prefix *p);
/* What the pass called missing was there. */
void audit_not_missing(struct audit *a);
/* Does the kernel's route say what we want? */
bool audit_same(struct fib_channel *ch, const struct route *r, const struct kernel_route *k);
