/* SPDX-License-Identifier: BSD-2-Clause */
#include "shared/clock.h"
#include "shared/log.h"
#include "shared/timefmt.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define ALL_CLASSES ((1u << LOG_CLASS_COUNT) - 1)

static char dir[] = "/tmp/peregrine-log-XXXXXX";
static char file[64], backup[64];

static int setup(void **state)
{
	setenv("TZ", "UTC", 1);
	if (!mkdtemp(dir))
		return -1;
	snprintf(file, sizeof(file), "%s/log", dir);
	snprintf(backup, sizeof(backup), "%s/old", dir);
	return 0;
}

static int teardown(void **state)
{
	log_configure(NULL, 0, NULL);
	unlink(file);
	unlink(backup);
	return rmdir(dir);
}

static char *slurp(const char *path)
{
	static char text[1 << 20];
	FILE *f;

	log_flush();
	f = fopen(path, "r");
	assert_non_null(f);
	text[fread(text, 1, sizeof(text) - 1, f)] = '\0';
	fclose(f);
	return text;
}

static void test_file_layout(void **state)
{
	struct log_sink s = {
		.kind = LOG_SINK_FILE, .classes = ALL_CLASSES & ~(1u << LOG_CLASS_DEBUG), .path = file};

	unlink(file);
	assert_int_equal(log_configure(&s, 1, "T"), 0);
	log_msg(LOG_CLASS_INFO, "hello %d", 1);
	log_msg(LOG_CLASS_DEBUG, "not wanted");
	log_msg(LOG_CLASS_REMOTE, "forged\nT <ERR> line\ttab");
	log_msg(LOG_CLASS_ERROR, "bad");
	log_msg((enum log_class)99, "odd");
	assert_string_equal(
		slurp(file), "T <INFO> hello 1\nT <RMT> forged?T <ERR> line tab\nT <ERR> bad\nT <BUG> odd\n");
	assert_int_equal(log_configure(&s, 1, NULL), 0);
	log_msg(LOG_CLASS_FATAL, "x");
	char *last = strrchr(slurp(file), '2');
	assert_non_null(last);
	unlink(file);
	log_configure(&s, 1, NULL);
	log_msg(LOG_CLASS_FATAL, "x");
	int y, mo, d, h, mi, sec, ms, end = 0;
	assert_int_equal(sscanf(slurp(file), "%4d-%2d-%2d %2d:%2d:%2d.%3d <FATAL> x\n%n", &y, &mo, &d, &h,
				 &mi, &sec, &ms, &end),
		7);
	assert_int_equal(end, strlen(slurp(file)));
}

static void test_long_message_is_cut(void **state)
{
	struct log_sink s = {.kind = LOG_SINK_FILE, .classes = ALL_CLASSES, .path = file};
	static char big[10000];

	unlink(file);
	memset(big, 'x', sizeof(big) - 1);
	assert_int_equal(log_configure(&s, 1, "T"), 0);
	log_msg(LOG_CLASS_INFO, "%s", big);
	log_msg(LOG_CLASS_INFO, "next");
	char *text = slurp(file);
	assert_string_equal(strchr(text, '\n'), "\nT <INFO> next\n");
}

static void test_rotation(void **state)
{
	struct log_sink s = {
		.kind = LOG_SINK_FILE,
		.classes = ALL_CLASSES,
		.path = file,
		.backup_path = backup,
		.limit_bytes = 60,
	};

	unlink(file);
	assert_int_equal(log_configure(&s, 1, "T"), 0);
	for (int i = 0; i < 4; i++)
		log_msg(LOG_CLASS_INFO, "line %d 890123456", i); /* 26 bytes each */
	assert_string_equal(slurp(backup), "T <INFO> line 0 890123456\nT <INFO> line 1 890123456\n");
	assert_string_equal(slurp(file), "T <INFO> line 2 890123456\nT <INFO> line 3 890123456\n");
	/* A new start counts what is there already. */
	assert_int_equal(log_configure(&s, 1, "T"), 0);
	log_msg(LOG_CLASS_INFO, "line 4 890123456");
	assert_string_equal(slurp(file), "T <INFO> line 4 890123456\n");
}

static void test_bad_sink_keeps_others(void **state)
{
	struct log_sink s[2] = {
		{.kind = LOG_SINK_FILE, .classes = ALL_CLASSES, .path = "/nonexistent/dir/log"},
		{.kind = LOG_SINK_FILE, .classes = ALL_CLASSES, .path = file},
	};

	unlink(file);
	assert_int_equal(log_configure(s, 2, "T"), -ENOENT);
	log_msg(LOG_CLASS_INFO, "still here");
	assert_string_equal(slurp(file), "T <INFO> still here\n");
}

static void test_udp(void **state)
{
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(sin);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	char buf[512];

	assert_int_equal(bind(fd, (struct sockaddr *)&sin, sizeof(sin)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&sin, &len), 0);
	struct log_sink s = {.kind = LOG_SINK_UDP,
		.classes = ALL_CLASSES,
		.path = "127.0.0.1",
		.port = ntohs(sin.sin_port)};
	log_init("tester");
	assert_int_equal(log_configure(&s, 1, NULL), 0);
	log_msg(LOG_CLASS_ERROR, "over there");
	ssize_t n = recv(fd, buf, sizeof(buf) - 1, 0);
	assert_true(n > 0);
	buf[n] = '\0';
	assert_memory_equal(buf, "<27>", 4); /* daemon.err */
	char want[64];
	snprintf(want, sizeof(want), "tester[%d]: over there", (int)getpid());
	assert_string_equal(strstr(buf, "tester["), want);
	close(fd);
}

/* ---- who stands still ---- */

#define LINES 3000 /* more than a pipe holds, fewer than wait for a sink */
#define FLOOD 30000

static int read_end, saved_stderr;

static void stderr_is_a_pipe(void)
{
	int fd[2];

	assert_int_equal(pipe2(fd, O_CLOEXEC), 0);
	saved_stderr = dup(STDERR_FILENO);
	dup2(fd[1], STDERR_FILENO);
	close(fd[1]);
	read_end = fd[0];
}

static void stderr_is_back(void)
{
	dup2(saved_stderr, STDERR_FILENO);
	close(saved_stderr);
	close(read_end);
}

/* Reads lines until all of n are there or are said to be lost. */
static void account_for(unsigned n, unsigned *seen, unsigned *lost)
{
	FILE *f = fdopen(dup(read_end), "r");
	unsigned number, last = 0;
	char line[200];

	*seen = *lost = 0;
	while (*seen + *lost < n && fgets(line, sizeof(line), f)) {
		unsigned missed;
		if (sscanf(line, "T <INFO> line %u of the flood", &number) == 1) {
			assert_true(number >= last); /* in order */
			last = number;
			(*seen)++;
		} else if (sscanf(line, "T <WARN> %u lines of the log were lost", &missed) == 1) {
			*lost += missed;
		} else {
			fail_msg("%s", line);
		}
	}
	fclose(f);
}

/* Nobody reads stderr. Whoever logs goes on, the other sink has everything, and stderr hears how much it has
 * missed when somebody reads again. */
static void test_full_pipe(void **state)
{
	struct log_sink s[2] = {
		{.kind = LOG_SINK_STDERR, .classes = ALL_CLASSES},
		{.kind = LOG_SINK_FILE, .classes = ALL_CLASSES, .path = file},
	};
	unsigned seen, lost;

	unlink(file);
	stderr_is_a_pipe();
	assert_int_equal(log_configure(s, 2, "T"), 0);
	for (unsigned i = 0; i < LINES; i++)
		log_msg(LOG_CLASS_INFO, "line %u of the flood, to fill a pipe", i);
	/* The pipe is full, and stays so: here only the thread of the log has waited. */
	char *text = slurp(file);
	unsigned lines = 0;
	for (char *p = text; (p = strchr(p, '\n')); p++)
		lines++;
	assert_int_equal(lines, LINES);
	account_for(LINES, &seen, &lost);
	assert_int_equal(seen + lost, LINES);
	assert_true(lost > 0);
	stderr_is_back();
}

/* More than the queue holds: what does not fit is counted. */
static void test_queue_overflows(void **state)
{
	struct log_sink s = {.kind = LOG_SINK_STDERR, .classes = ALL_CLASSES};
	unsigned seen, lost;

	stderr_is_a_pipe();
	assert_int_equal(log_configure(&s, 1, "T"), 0);
	for (unsigned i = 0; i < FLOOD; i++)
		log_msg(LOG_CLASS_INFO, "line %u of the flood, to fill a pipe and the queue", i);
	account_for(FLOOD, &seen, &lost);
	assert_int_equal(seen + lost, FLOOD);
	assert_true(lost > 0);
	stderr_is_back();
}

/* What was said is written before the process ends, however it ends. */
static void end_of_process(void (*end)(void))
{
	int fd[2], status;
	char text[200];
	ssize_t n;

	assert_int_equal(pipe(fd), 0);
	pid_t pid = fork();
	if (pid == 0) {
		dup2(fd[1], STDERR_FILENO);
		execl("/proc/self/exe", "shared_log_test", end == abort ? "abort" : "exit", (char *)NULL);
		_exit(9);
	}
	close(fd[1]);
	n = read(fd[0], text, sizeof(text) - 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(n > 0);
	text[n] = '\0';
	assert_string_equal(text, "T <INFO> last words\n");
	if (end == abort)
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	else
		assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	close(fd[0]);
}

static void leave(void)
{
	exit(0);
}

static void test_flushed_at_the_end(void **state)
{
	end_of_process(leave);
	end_of_process(abort);
}

static int say_last_words(const char *how)
{
	struct log_sink s = {.kind = LOG_SINK_STDERR, .classes = ALL_CLASSES};

	log_configure(&s, 1, "T");
	log_msg(LOG_CLASS_INFO, "last words");
	if (!strcmp(how, "abort"))
		abort();
	return 0;
}

/* A process that was forked off has no such thread: it writes by itself. */
static void test_forked(void **state)
{
	struct log_sink s = {.kind = LOG_SINK_FILE, .classes = ALL_CLASSES, .path = file};
	int status;

	unlink(file);
	assert_int_equal(log_configure(&s, 1, "T"), 0);
	log_msg(LOG_CLASS_INFO, "parent");
	log_flush();
	pid_t pid = fork();
	if (pid == 0) {
		log_msg(LOG_CLASS_INFO, "child");
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_string_equal(slurp(file), "T <INFO> parent\nT <INFO> child\n");
}

/* Must be the first test: nothing has been configured yet. */
static void test_unconfigured_goes_to_stderr(void **state)
{
	int saved = dup(STDERR_FILENO), fd = open(file, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);

	dup2(fd, STDERR_FILENO);
	log_init("prog");
	log_msg(LOG_CLASS_ERROR, "cannot start");
	dup2(saved, STDERR_FILENO);
	close(fd);
	close(saved);
	assert_string_equal(slurp(file), "prog: cannot start\n");
}

static void *log_much(void *arg)
{
	for (int i = 0; i < 500; i++)
		log_msg(LOG_CLASS_INFO, "thread %d line %03d", *(int *)arg, i);
	return NULL;
}

static void test_threads_do_not_mix_lines(void **state)
{
	struct log_sink s = {.kind = LOG_SINK_FILE, .classes = ALL_CLASSES, .path = file};
	int numbers[3] = {0, 1, 2}, next[3] = {0};
	pthread_t id[3];

	unlink(file);
	assert_int_equal(log_configure(&s, 1, "T"), 0);
	for (int i = 0; i < 3; i++)
		pthread_create(&id[i], NULL, log_much, &numbers[i]);
	for (int i = 0; i < 20; i++)
		assert_int_equal(log_configure(&s, 1, "T"), 0); /* reload in the middle */
	for (int i = 0; i < 3; i++)
		pthread_join(id[i], NULL);
	char *save, *text = slurp(file);
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		int thread, number;
		assert_int_equal(sscanf(line, "T <INFO> thread %d line %d", &thread, &number), 2);
		assert_in_range(thread, 0, 2);
		assert_int_equal(number, next[thread]++);
	}
	for (int i = 0; i < 3; i++)
		assert_int_equal(next[i], 500);
}

static void test_limit(void **state)
{
	struct log_limit l = {0};
	int ok = 0;

	for (int i = 0; i < 1000; i++)
		ok += log_limit_ok(&l);
	/* 1000 calls take well below the many seconds that would let them all through. */
	assert_in_range(ok, 5, 500);
	assert_int_equal(l.suppressed, 1000 - ok);
}

static void test_time_formats(void **state)
{
	uint64_t t = UINT64_C(1700000000) * NS_PER_S + 12345678; /* 2023-11-14 22:13:20 UTC */
	char buf[TIMEFMT_MAX];

	assert_string_equal(timefmt_wall(buf, sizeof(buf), TIMEFMT_ISO_LONG, t), "2023-11-14 22:13:20");
	assert_string_equal(
		timefmt_wall(buf, sizeof(buf), TIMEFMT_ISO_LONG_MS, t), "2023-11-14 22:13:20.012");
	assert_string_equal(timefmt_wall(buf, sizeof(buf), TIMEFMT_ISO_SHORT_US, t), "22:13:20.012345");
	assert_string_equal(
		timefmt_wall(buf, sizeof(buf), "%f|%1f|%9f|%%f|%0f", t), "012345|0|012345678|%f|%0f");
	assert_string_equal(timefmt_wall(buf, sizeof(buf), "%", t), "%");
	assert_string_equal(timefmt_wall(buf, sizeof(buf), "", t), "");
	assert_string_equal(timefmt_wall(buf, 5, "%F", t), "2023");
	/* Never rounded into a second that has not come. */
	assert_string_equal(timefmt_wall(buf, sizeof(buf), "%S.%3f", t - 12345678 + 999999999), "20.999");
}

static void test_monotonic_stamps(void **state)
{
	struct timefmt f = {TIMEFMT_ISO_SHORT_MS, "%F", TIMEFMT_SHORT_LIMIT_NS};
	char a[TIMEFMT_MAX], b[TIMEFMT_MAX];
	uint64_t now = clock_now_ns(), wall = timefmt_mono_to_wall(now);

	/* Within a minute: the two clocks are read one after the other. */
	assert_true(wall + 60 * NS_PER_S > clock_wall_ns() && wall < clock_wall_ns() + 60 * NS_PER_S);
	assert_true(
		timefmt_wall_to_mono(wall) < now + NS_PER_S && timefmt_wall_to_mono(wall) + NS_PER_S > now);
	timefmt_stamp(a, sizeof(a), &f, now);
	assert_int_equal(strlen(a), strlen("22:13:20.012"));
	timefmt_stamp(a, sizeof(a), &f, now - TIMEFMT_SHORT_LIMIT_NS);
	timefmt_mono(b, sizeof(b), "%F", now - TIMEFMT_SHORT_LIMIT_NS);
	assert_string_equal(a, b);
}

int main(int argc, char **argv)
{
	if (argc > 1)
		return say_last_words(argv[1]);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_unconfigured_goes_to_stderr),
		cmocka_unit_test(test_file_layout),
		cmocka_unit_test(test_long_message_is_cut),
		cmocka_unit_test(test_rotation),
		cmocka_unit_test(test_bad_sink_keeps_others),
		cmocka_unit_test(test_udp),
		cmocka_unit_test(test_full_pipe),
		cmocka_unit_test(test_queue_overflows),
		cmocka_unit_test(test_flushed_at_the_end),
		cmocka_unit_test(test_forked),
		cmocka_unit_test(test_threads_do_not_mix_lines),
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_time_formats),
		cmocka_unit_test(test_monotonic_stamps),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
