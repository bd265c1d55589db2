/* SPDX-License-Identifier: BSD-2-Clause */
/* Giving up root, before the first thread is made. */
#pragma once
#include <stddef.h>
#include <sys/types.h>

struct identity {
	uid_t uid; /* (uid_t)-1: stays as it is; likewise the group */
	gid_t gid;
};

/* Names or numbers; NULL: not asked for. 0, or -errno with a line in err. */
int privileges_find(const char *user, const char *group, struct identity *out, char *err, size_t size);
/* Keeps what routing needs: NET_ADMIN, NET_RAW, NET_BIND_SERVICE, NET_BROADCAST, SYS_NICE and IPC_LOCK. */
int privileges_drop(const struct identity *who, char *err, size_t size);
