/* SPDX-License-Identifier: BSD-2-Clause */
/* What of the lab's FIB would be redirected: redirect.h. */
#pragma once
#include "controlplane/fib/fib_priv.h"
#include "tests/unit/fib_lab.h"
#include <linux/bpf.h>
#include <sys/syscall.h>
#include <unistd.h>

static inline void count_redirected(void *arg)
{
	unsigned *n = arg;

	*n = 0;
	for (uint32_t b = 0; b <= lab.fib->nh.objs_mask; b++)
		for (const struct nhobj *o = lab.fib->nh.objs[b]; o; o = o->next)
			*n += o->redirected;
}

/* So many objects would be redirected if they were lost. */
static inline bool prepared(void *arg)
{
	unsigned n;

	loop_call_sync(lab.fib->loop, count_redirected, &n);
	return n == *(unsigned *)arg;
}

/* Programs at the egress of an interface; 0 where the kernel has no tcx. */
static inline unsigned programs_at(uint32_t ifindex)
{
	union bpf_attr a = {0};

	a.query.target_fd = ifindex;
	a.query.attach_type = 47; /* BPF_TCX_EGRESS, which headers of Linux 6.1 do not have */
	return syscall(SYS_bpf, BPF_PROG_QUERY, &a, sizeof(a)) < 0 ? 0 : a.query.prog_cnt;
}
