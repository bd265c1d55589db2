/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Routes that others have put into the kernel, for `learn`: kept by (prefix, metric),
 * the lowest metric of a prefix goes to the RIB. fib thread.
 */
#pragma once
#include "controlplane/fib/fib_priv.h"

struct learned *learned_open(struct fib_channel *ch);
void learned_close(struct learned *l);
/* A route appeared, changed, or went. */
void learned_update(struct learned *l, struct kernel_route *r);
void learned_withdraw(struct learned *l, const struct kernel_route *r);
/* Around a dump of the whole table: what it did not show is gone. */
void learned_begin(struct learned *l);
void learned_end(struct learned *l);
/* To the RIB with what has changed. */
void learned_flush(struct learned *l);
