/* SPDX-License-Identifier: BSD-2-Clause */
#include "controlplane/privileges.h"
#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static bool number(const char *s, unsigned long *out)
{
	char *end;

	*out = strtoul(s, &end, 10);
	return *s >= '0' && *s <= '9' && !*end && *out < UINT32_MAX;
}

int privileges_find(const char *user, const char *group, struct identity *out, char *err, size_t size)
{
	unsigned long n;

	*out = (struct identity){(uid_t)-1, (gid_t)-1};
	if (user && number(user, &n)) {
		out->uid = (uid_t)n;
	} else if (user) {
		const struct passwd *pw = getpwnam(user);

		if (!pw) {
			snprintf(err, size, "Cannot find user '%s'", user);
			return -ENOENT;
		}
		out->uid = pw->pw_uid;
	}
	if (group && number(group, &n)) {
		out->gid = (gid_t)n;
	} else if (group) {
		const struct group *gr = getgrnam(group);

		if (!gr) {
			snprintf(err, size, "Cannot find group '%s'", group);
			return -ENOENT;
		}
		out->gid = gr->gr_gid;
	}
	return 0;
}

static int keep_capabilities(void)
{
	const unsigned keep[] = {CAP_NET_ADMIN, CAP_NET_RAW, CAP_NET_BIND_SERVICE, CAP_NET_BROADCAST,
		CAP_SYS_NICE, CAP_IPC_LOCK, CAP_BPF};
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2];

	/* What a container has taken away already cannot be kept. */
	if (syscall(SYS_capget, &head, data) < 0)
		return -errno;
	for (unsigned w = 0; w < 2; w++) {
		uint32_t wanted = 0;

		for (size_t i = 0; i < sizeof(keep) / sizeof(*keep); i++)
			if (keep[i] / 32 == w)
				wanted |= UINT32_C(1) << keep[i] % 32;
		data[w].permitted &= wanted;
		data[w].effective = data[w].permitted;
		data[w].inheritable = 0;
	}
	return syscall(SYS_capset, &head, data) < 0 ? -errno : 0;
}

static int fail(const char *what, char *err, size_t size)
{
	int rc = -errno;

	snprintf(err, size, "%s: %s", what, strerror(-rc));
	return rc;
}

int privileges_drop(const struct identity *who, char *err, size_t size)
{
	int rc;

	if (who->gid != (gid_t)-1 && (setgroups(0, NULL) < 0 || setresgid(who->gid, who->gid, who->gid) < 0))
		return fail("Cannot change the group", err, size);
	if (who->uid == (uid_t)-1)
		return 0;
	if (prctl(PR_SET_KEEPCAPS, 1) < 0 || setresuid(who->uid, who->uid, who->uid) < 0)
		return fail("Cannot change the user", err, size);
	rc = keep_capabilities();
	if (rc < 0) {
		snprintf(err, size, "Cannot keep network capabilities: %s", strerror(-rc));
		return rc;
	}
	return 0;
}
