/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Tests against the real kernel, in a network namespace that the test program
 * makes for itself and that goes with it. Without the privilege to make one the
 * tests are skipped, aloud.
 */
#pragma once
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static inline bool netns_enter(void)
{
	if (unshare(CLONE_NEWNET) == 0)
		return true;
	printf("SKIP: no network namespace: %s\n", strerror(errno));
	return false;
}

/* A shell command that must succeed. */
static inline void sh(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static inline void sh(const char *fmt, ...)
{
	char cmd[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(cmd, sizeof(cmd), fmt, ap);
	va_end(ap);
	if (system(cmd) != 0) {
		fprintf(stderr, "failed: %s\n", cmd);
		abort();
	}
}

/* Polls until cond() holds; the deadline only ends a test that has failed. */
static inline bool wait_for(bool (*cond)(void *), void *arg)
{
	for (int i = 0; i < 5000; i++) {
		if (cond(arg))
			return true;
		usleep(2000);
	}
	return false;
}
