/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The one place that picks the RCU flavour of peregrined: urcu-memb. Readers
 * (CLI, HTTP, failover) may sleep between critical sections without telling
 * anybody, and a read lock is a plain store where membarrier(2) works. The
 * dataplane's workers use urcu-qsbr instead; never include both.
 *
 * Include this, not <urcu/...>, before other liburcu headers. A thread calls
 * rcu_register_thread() before its first rcu_read_lock() and
 * rcu_unregister_thread() before it ends.
 *
 * ThreadSanitizer: liburcu 0.13 orders memory with inline assembly that TSan
 * cannot see. In TSan builds the publishing macros below become compiler
 * atomics, and a grace period becomes a happens-before edge from every
 * rcu_read_unlock() before it. Callbacks of call_rcu() start with
 * rcu_callback_begin(head) for the same reason; it is nothing elsewhere.
 */
#pragma once
#ifdef _URCU_QSBR_H
#error "shared/rcu.h is the urcu-memb flavour; the dataplane uses urcu-qsbr"
#endif
/* Keeps the plain rcu_*() names mapped to this flavour. */
#ifndef URCU_API_MAP
#define URCU_API_MAP
#endif
/* The read-side functions are inlined; their authors mark them as short enough for code of any licence. */
#ifndef _LGPL_SOURCE
#define _LGPL_SOURCE
#include <urcu/urcu-memb.h>
#undef _LGPL_SOURCE
#else
#include <urcu/urcu-memb.h>
#endif

#if defined(__SANITIZE_THREAD__)
#define RCU_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define RCU_TSAN 1
#endif
#endif

#ifdef RCU_TSAN
void __tsan_acquire(void *addr);
void __tsan_release(void *addr);

/* Any one address that all translation units agree on will do for the grace period. */
#define RCU_GP_TAG ((void *)&urcu_memb_gp)

static inline void rcu_tsan_read_unlock(void)
{
	__tsan_release(RCU_GP_TAG);
	_urcu_memb_read_unlock();
}

static inline void rcu_tsan_synchronize(void)
{
	urcu_memb_synchronize_rcu();
	__tsan_acquire(RCU_GP_TAG);
}

static inline void rcu_tsan_call(struct rcu_head *head, void (*func)(struct rcu_head *head))
{
	__tsan_release(head);
	urcu_memb_call_rcu(head, func);
}

static inline void rcu_callback_begin(struct rcu_head *head)
{
	__tsan_acquire(head);
	__tsan_acquire(RCU_GP_TAG);
}

#undef rcu_read_unlock
#define rcu_read_unlock rcu_tsan_read_unlock
#undef synchronize_rcu
#define synchronize_rcu rcu_tsan_synchronize
#undef call_rcu
#define call_rcu rcu_tsan_call
#undef rcu_dereference
#define rcu_dereference(p) __atomic_load_n(&(p), __ATOMIC_ACQUIRE)
#undef rcu_set_pointer
#define rcu_set_pointer(p, v) __atomic_store_n((p), (v), __ATOMIC_RELEASE)
#undef rcu_assign_pointer
#define rcu_assign_pointer(p, v) __atomic_store_n(&(p), (v), __ATOMIC_RELEASE)
#undef rcu_xchg_pointer
#define rcu_xchg_pointer(p, v) __atomic_exchange_n((p), (v), __ATOMIC_ACQ_REL)
#undef rcu_cmpxchg_pointer
#define rcu_cmpxchg_pointer(p, old, _new)                                                                    \
	__extension__({                                                                                      \
		__typeof__(*(p)) rcu_expected = (old);                                                       \
		__atomic_compare_exchange_n(                                                                 \
			(p), &rcu_expected, (_new), 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);                  \
		rcu_expected;                                                                                \
	})
#else
static inline void rcu_callback_begin(struct rcu_head *head)
{
	(void)head;
}
#endif
