/* SPDX-License-Identifier: BSD-2-Clause */
#include "shared/ipc.h"
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

static void make_pair(int s[2])
{
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, s), 0);
}

static void test_message_with_fds(void **state)
{
	struct ipc_hello m = {.h = {.type = IPC_HELLO, .len = sizeof(m), .id = 7}, .magic = IPC_MAGIC}, got;
	int s[2], fds[2], in[4] = {-1, -1, -1, -1};
	unsigned n = 4;
	struct stat a, b;

	make_pair(s);
	fds[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
	fds[1] = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	assert_int_equal(ipc_send(s[0], &m, sizeof(m), fds, 2), 0);
	assert_int_equal(ipc_recv(s[1], &got, sizeof(got), in, &n), sizeof(m));
	assert_memory_equal(&m, &got, sizeof(m));
	assert_int_equal(n, 2);
	assert_int_equal(fstat(fds[1], &a), 0);
	assert_int_equal(fstat(in[1], &b), 0);
	assert_int_equal(a.st_rdev, b.st_rdev);
	assert_true(fcntl(in[0], F_GETFD) & FD_CLOEXEC);
	for (int i = 0; i < 2; i++) {
		close(fds[i]);
		close(in[i]);
	}
	n = 0;
	assert_int_equal(ipc_recv(s[1], &got, sizeof(got), NULL, &n), -EAGAIN);
	close(s[0]);
	assert_int_equal(ipc_recv(s[1], &got, sizeof(got), NULL, NULL), 0);
	assert_int_equal(ipc_send(s[1], &m, sizeof(m), NULL, 0), -EPIPE);
	close(s[1]);
}

static int count_fds(void)
{
	int n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

/* Descriptors that nobody asked for, or that come with a lie, must not leak. */
static void test_bad_messages(void **state)
{
	struct ipc_hello m = {.h = {.type = IPC_HELLO, .len = sizeof(m)}};
	char buf[IPC_MAX_MSG];
	int s[2], fd, in[1];
	unsigned n;

	make_pair(s);
	fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	int before = count_fds();
	assert_int_equal(ipc_send(s[0], &m, sizeof(m), &fd, 1), 0);
	assert_int_equal(ipc_recv(s[1], buf, sizeof(buf), NULL, NULL), -EPROTO);
	assert_int_equal(count_fds(), before);

	int two[2] = {fd, fd};
	assert_int_equal(ipc_send(s[0], &m, sizeof(m), two, 2), 0);
	n = 1;
	assert_int_equal(ipc_recv(s[1], buf, sizeof(buf), in, &n), -EPROTO);
	assert_int_equal(n, 0);
	assert_int_equal(count_fds(), before);

	m.h.len = sizeof(m) - 1;
	assert_int_equal(ipc_send(s[0], &m, sizeof(m), &fd, 1), 0);
	n = 1;
	assert_int_equal(ipc_recv(s[1], buf, sizeof(buf), in, &n), -EPROTO);
	assert_int_equal(count_fds(), before);

	m.h.len = sizeof(m);
	assert_int_equal(ipc_send(s[0], &m, sizeof(m), NULL, 0), 0);
	assert_int_equal(ipc_recv(s[1], buf, sizeof(m) - 4, NULL, NULL), -EPROTO);
	assert_int_equal(send(s[0], &m, 3, 0), 3);
	assert_int_equal(ipc_recv(s[1], buf, sizeof(buf), NULL, NULL), -EPROTO);
	assert_int_equal(ipc_send(s[0], &m, 4, NULL, 0), -EMSGSIZE);

	/* After all that the stream is still usable. */
	assert_int_equal(ipc_send(s[0], &m, sizeof(m), NULL, 0), 0);
	assert_int_equal(ipc_recv(s[1], buf, sizeof(buf), NULL, NULL), sizeof(m));
	close(fd);
	close(s[0]);
	close(s[1]);
}

static void test_full_socket(void **state)
{
	struct ipc_hello m = {.h = {.type = IPC_HELLO, .len = sizeof(m)}};
	int s[2], err = 0;

	make_pair(s);
	for (int i = 0; i < 100000 && !err; i++)
		err = ipc_send(s[0], &m, sizeof(m), NULL, 0);
	assert_int_equal(err, -EAGAIN);
	close(s[0]);
	close(s[1]);
}

static void test_listen(void **state)
{
	char dir[] = "/tmp/peregrine-ipc-XXXXXX", path[64], longer[200];
	struct stat st;

	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/sock", dir);
	assert_int_equal(ipc_connect(path), -ENOENT);
	int a = ipc_listen(path);
	assert_true(a >= 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0660); /* whatever the umask: group writes, others nothing */
	assert_int_equal(ipc_listen(path), -EADDRINUSE);
	int c = ipc_connect(path);
	assert_true(c >= 0);
	close(c);
	assert_int_equal(stat(path, &st), 0); /* asking did not remove it */
	close(a);                             /* as after SIGKILL: the file stays */
	assert_int_equal(ipc_connect(path), -ECONNREFUSED);
	a = ipc_listen(path);
	assert_true(a >= 0);
	close(a);
	unlink(path);

	/* A socket of another type with somebody behind it, and a plain file, are left alone. */
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", path);
	int other = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(other, (struct sockaddr *)&sun, sizeof(sun)), 0);
	assert_int_equal(listen(other, 1), 0);
	assert_int_equal(ipc_listen(path), -EADDRINUSE);
	close(other);
	unlink(path);
	close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	assert_int_equal(ipc_listen(path), -EEXIST);
	assert_int_equal(stat(path, &st), 0);
	unlink(path);
	rmdir(dir);

	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	assert_int_equal(ipc_listen(longer), -ENAMETOOLONG);
	assert_int_equal(ipc_connect(longer), -ENAMETOOLONG);
	assert_int_equal(ipc_listen(""), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_message_with_fds),
		cmocka_unit_test(test_bad_messages),
		cmocka_unit_test(test_full_socket),
		cmocka_unit_test(test_listen),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
