/* SPDX-License-Identifier: BSD-2-Clause */
/* Message passing on AF_UNIX SOCK_SEQPACKET: see ipc.h. No state; a descriptor belongs to one thread at a
 * time. */
#include "shared/ipc.h"
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define IPC_MAX_FDS 8
#define IPC_BACKLOG 16

int ipc_send(int sock, const void *msg, size_t len, const int *fds, unsigned nfds)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(IPC_MAX_FDS * sizeof(int))];
	} control;
	struct iovec iov = {.iov_base = (void *)(uintptr_t)msg, .iov_len = len};
	struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1};
	ssize_t r;

	if (len < sizeof(struct ipc_header) || len > IPC_MAX_MSG || nfds > IPC_MAX_FDS)
		return -EMSGSIZE;
	if (nfds) {
		memset(&control, 0, sizeof(control));
		mh.msg_control = &control;
		mh.msg_controllen = CMSG_SPACE(nfds * sizeof(int));
		struct cmsghdr *c = CMSG_FIRSTHDR(&mh);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(nfds * sizeof(int));
		memcpy(CMSG_DATA(c), fds, nfds * sizeof(int));
	}
	do
		r = sendmsg(sock, &mh, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : 0;
}

/* Moves at most max descriptors out of the message, closes the rest. Returns how many there were. */
static unsigned take_fds(struct msghdr *mh, int *fds, unsigned max)
{
	unsigned found = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(mh); c; c = CMSG_NXTHDR(mh, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		unsigned n = (unsigned)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
		for (unsigned i = 0; i < n; i++, found++) {
			int fd;
			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
			if (found < max)
				fds[found] = fd;
			else
				close(fd);
		}
	}
	return found;
}

int ipc_recv(int sock, void *buf, size_t size, int *fds, unsigned *nfds)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(IPC_MAX_FDS * sizeof(int))];
	} control;
	struct iovec iov = {.iov_base = buf, .iov_len = size};
	struct msghdr mh = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
	unsigned max = fds && nfds ? *nfds : 0;
	struct ipc_header h;
	ssize_t r;

	if (nfds)
		*nfds = 0;
	do
		r = recvmsg(sock, &mh, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	while (r < 0 && errno == EINTR);
	if (r < 0)
		return -errno;

	unsigned found = take_fds(&mh, fds, max);
	unsigned kept = found < max ? found : max;
	bool bad =
		(mh.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) || found > max || (r > 0 && (size_t)r < sizeof(h));
	if (!bad && r > 0) {
		memcpy(&h, buf, sizeof(h));
		bad = h.len != (size_t)r;
	}
	if (bad || r == 0) {
		for (unsigned i = 0; i < kept; i++)
			close(fds[i]);
		return bad ? -EPROTO : 0;
	}
	if (nfds)
		*nfds = kept;
	return (int)r;
}

static int make_address(const char *path, struct sockaddr_un *sun)
{
	size_t len = strlen(path);

	if (!len)
		return -EINVAL;
	if (len >= sizeof(sun->sun_path))
		return -ENAMETOOLONG;
	memset(sun, 0, sizeof(*sun));
	sun->sun_family = AF_UNIX;
	memcpy(sun->sun_path, path, len);
	return 0;
}

int ipc_connect(const char *path)
{
	struct sockaddr_un sun;
	int err = make_address(path, &sun);

	if (err < 0)
		return err;
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&sun, sizeof(sun)) < 0) {
		err = -errno;
		close(fd);
		return err;
	}
	return fd;
}

/* A socket file that nobody listens on is what a killed process left behind. */
static bool remove_stale(const char *path)
{
	struct stat st;

	if (lstat(path, &st) < 0 || !S_ISSOCK(st.st_mode))
		return false;
	int fd = ipc_connect(path);
	if (fd >= 0) {
		close(fd);
		return false;
	}
	/* Anything but "refused" (full backlog, a socket of another type) comes from somebody alive. */
	return fd == -ECONNREFUSED && unlink(path) == 0;
}

int ipc_listen(const char *path)
{
	struct sockaddr_un sun;
	int err = make_address(path, &sun);

	if (err < 0)
		return err;
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	/* Before bind(): the file never exists with wider permissions. What the umask then takes away is
	 * given back after it. */
	if (fchmod(fd, 0660) < 0)
		goto fail;
	if (bind(fd, (struct sockaddr *)&sun, sizeof(sun)) < 0) {
		struct stat st;

		if (errno != EADDRINUSE)
			goto fail;
		if (lstat(path, &st) == 0 && !S_ISSOCK(st.st_mode)) {
			errno = EEXIST; /* a file of another kind: not ours to remove */
			goto fail;
		}
		if (!remove_stale(path)) {
			errno = EADDRINUSE;
			goto fail;
		}
		if (bind(fd, (struct sockaddr *)&sun, sizeof(sun)) < 0)
			goto fail;
	}
	if (chmod(path, 0660) < 0 || listen(fd, IPC_BACKLOG) < 0)
		goto fail;
	return fd;
fail:
	err = -errno;
	close(fd);
	return err;
}
