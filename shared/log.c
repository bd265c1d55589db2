/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The log of a process: see log.h. One of the few things that are a singleton by nature.
 *
 * Whoever logs formats the message, hangs it into a queue and goes on; a thread of the log's own writes what
 * is there to the sinks (log_sink.h), and is the only one that ever waits for them. So a session, the link
 * thread or the dataplane's manager loses the time of one malloc() to a log whose reader stands still, and
 * lines when more than QUEUE_MAX of them wait: those are counted, and the log says how many when it goes on.
 *
 * The queue: a stack that any thread pushes to with compare-and-swap, and that the log thread takes as a
 * whole with one exchange and turns round. The push is a release and the exchange an acquire, so the log
 * thread sees what is in each line; lines of one thread stay in order because each of its pushes comes after
 * the one before. That the head may have been another line of the same address meanwhile is harmless: a
 * pusher only ever makes it its successor, never looks into it. Who finds the queue empty wakes the thread,
 * so between two looks of it there is one sem_post(). Sinks are exchanged by an entry of the same queue: what
 * was said before goes to the old ones.
 *
 * Before log_configure(), and in a process that was forked off a configured one, there is no such thread:
 * messages are written at once, under a mutex.
 */
#include "shared/log.h"
#include "shared/clock.h"
#include "shared/log_sink.h"
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LOG_LIMIT_PER_S 5
#define QUEUE_MAX 4096
/* What has been said is waited for at the end, but not for ever: the reader may be who stands still. */
#define FLUSH_NS (2 * NS_PER_S)

struct entry {
	struct entry *next;
	struct log_sinks *fresh; /* not NULL: from here on these */
	uint64_t wall_ns;
	enum log_class cls;
	char text[];
};

static struct {
	pthread_mutex_t lock; /* configuring; writing while there is no thread */
	char program[64];
	struct log_sinks *sinks; /* the log thread's; without it under the lock */
	bool forked;             /* off a process whose thread we do not have */
	_Atomic bool configured, running;
	_Atomic uint32_t classes; /* that any sink wants */
	_Atomic(struct entry *) head;
	_Atomic uint32_t waiting; /* messages in the queue */
	_Atomic uint64_t lost, pushed, written;
	sem_t work;
} log_state = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.program = "peregrine",
};

static _Thread_local bool in_log_thread;

void log_init(const char *program)
{
	pthread_mutex_lock(&log_state.lock);
	snprintf(log_state.program, sizeof(log_state.program), "%s", program);
	pthread_mutex_unlock(&log_state.lock);
}

/* ---- the queue ---- */

static void push(struct entry *e)
{
	struct entry *head = atomic_load_explicit(&log_state.head, memory_order_relaxed);

	atomic_fetch_add_explicit(&log_state.pushed, 1, memory_order_relaxed);
	do
		e->next = head;
	while (!atomic_compare_exchange_weak_explicit(
		&log_state.head, &head, e, memory_order_release, memory_order_relaxed));
	if (!head)
		sem_post(&log_state.work);
}

/* All that is there, oldest first. */
static struct entry *take(void)
{
	struct entry *e = atomic_exchange_explicit(&log_state.head, NULL, memory_order_acquire);
	struct entry *first = NULL;

	while (e) {
		struct entry *next = e->next;
		e->next = first;
		first = e;
		e = next;
	}
	return first;
}

/* ---- the log thread ---- */

static void work_off(struct entry *e)
{
	if (e->fresh) {
		log_sinks_take_over(e->fresh, log_state.sinks);
		log_sinks_close(log_state.sinks);
		log_state.sinks = e->fresh;
	} else {
		log_sinks_write(log_state.sinks, e->cls, e->wall_ns, e->text);
		atomic_fetch_sub_explicit(&log_state.waiting, 1, memory_order_relaxed);
	}
	free(e);
	atomic_fetch_add_explicit(&log_state.written, 1, memory_order_release);
}

static void *log_thread(void *arg)
{
	bool untold = false;

	(void)arg;
	in_log_thread = true;
	for (;;) {
		struct timespec again;
		clock_gettime(CLOCK_REALTIME, &again);
		again.tv_sec++;
		/* With something to tell, the sinks are tried each second even if nobody says anything. */
		while ((untold ? sem_timedwait(&log_state.work, &again) : sem_wait(&log_state.work)) < 0 &&
			errno == EINTR)
			;
		for (struct entry *e = take(), *next; e; e = next) {
			next = e->next;
			work_off(e);
		}
		/* Those that did not fit came after those that did. */
		log_sinks_add_lost(
			log_state.sinks, atomic_exchange_explicit(&log_state.lost, 0, memory_order_relaxed));
		untold = log_sinks_tell_lost(log_state.sinks);
	}
	return NULL;
}

static void on_abort(int sig)
{
	(void)sig;
	log_flush();
}

static void in_child(void)
{
	atomic_store(&log_state.running, false);
	log_state.forked = true;
}

/* Under the lock. A plain thread, whoever configures: not with a caller's real-time priority. */
static int start_thread(void)
{
	struct sigaction now, flush = {.sa_handler = on_abort, .sa_flags = (int)SA_RESETHAND};
	static bool before;
	pthread_attr_t attr;
	sigset_t all, old;
	pthread_t t;
	int rc;

	if (!before) {
		sem_init(&log_state.work, 0, 0);
		pthread_atfork(NULL, NULL, in_child);
		atexit(log_flush);
		if (sigaction(SIGABRT, NULL, &now) == 0 && now.sa_handler == SIG_DFL)
			sigaction(SIGABRT, &flush, NULL);
		before = true;
	}
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setinheritsched(&attr, PTHREAD_EXPLICIT_SCHED);
	/* Signals are for the others. */
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &old);
	rc = pthread_create(&t, &attr, log_thread, NULL);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	if (rc == 0)
		pthread_setname_np(t, "log");
	return -rc;
}

/* Under the lock. */
static void use(struct log_sinks *fresh, struct entry *e, bool wanted)
{
	bool running = atomic_load(&log_state.running);

	e->fresh = fresh;
	if (running || (wanted && !log_state.forked && start_thread() == 0)) {
		push(e); /* before anybody's message */
		atomic_store(&log_state.running, true);
		return;
	}
	free(e);
	log_sinks_close(log_state.sinks);
	log_state.sinks = fresh;
}

int log_configure(const struct log_sink *sinks, size_t n, const char *time_format)
{
	struct entry *e = calloc(1, sizeof(*e));
	struct log_sinks *fresh;
	uint32_t classes = 0;
	int err = -ENOMEM;

	pthread_mutex_lock(&log_state.lock);
	fresh = e ? log_sinks_open(sinks, n, time_format, log_state.program, &err) : NULL;
	if (fresh) {
		for (size_t i = 0; i < n; i++)
			classes |= sinks[i].classes;
		use(fresh, e, n > 0);
		atomic_store(&log_state.classes, classes);
		atomic_store(&log_state.configured, true);
	} else {
		free(e);
	}
	pthread_mutex_unlock(&log_state.lock);
	return err;
}

/* Only what a signal handler may do: abort() comes by here. */
void log_flush(void)
{
	const struct timespec nap = {.tv_nsec = 1000000};
	uint64_t target = atomic_load(&log_state.pushed), until = clock_now_ns() + FLUSH_NS;

	if (in_log_thread || !atomic_load(&log_state.running))
		return;
	while (atomic_load_explicit(&log_state.written, memory_order_acquire) < target &&
		clock_now_ns() < until)
		nanosleep(&nap, NULL);
}

/* ---- messages ---- */

/* Text that came from a peer must not forge lines. */
static void make_harmless(char *text)
{
	for (char *p = text; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			*p = *p == '\t' ? ' ' : '?';
}

static void enqueue(enum log_class cls, const char *text)
{
	size_t len = strlen(text) + 1;
	struct entry *e = NULL;

	if (atomic_fetch_add_explicit(&log_state.waiting, 1, memory_order_relaxed) < QUEUE_MAX)
		e = malloc(sizeof(*e) + len);
	if (!e) {
		atomic_fetch_sub_explicit(&log_state.waiting, 1, memory_order_relaxed);
		atomic_fetch_add_explicit(&log_state.lost, 1, memory_order_relaxed);
		return;
	}
	e->fresh = NULL;
	e->wall_ns = clock_wall_ns();
	e->cls = cls;
	memcpy(e->text, text, len);
	push(e);
}

static void write_now(enum log_class cls, const char *text)
{
	char line[LOG_TEXT_MAX + 80];
	int n;

	pthread_mutex_lock(&log_state.lock);
	if (atomic_load(&log_state.running)) { /* since a moment ago */
		enqueue(cls, text);
	} else if (log_state.sinks) {
		log_sinks_write(log_state.sinks, cls, clock_wall_ns(), text);
	} else {
		n = snprintf(line, sizeof(line), "%s: %s\n", log_state.program, text);
		(void)!write(STDERR_FILENO, line, (size_t)n);
	}
	pthread_mutex_unlock(&log_state.lock);
}

void log_vmsg(enum log_class cls, const char *fmt, va_list ap)
{
	char text[LOG_TEXT_MAX];
	int saved_errno = errno;

	if ((unsigned)cls >= LOG_CLASS_COUNT)
		cls = LOG_CLASS_BUG;
	if (atomic_load_explicit(&log_state.configured, memory_order_relaxed) &&
		!(atomic_load_explicit(&log_state.classes, memory_order_relaxed) & 1u << cls))
		return;
	vsnprintf(text, sizeof(text), fmt, ap);
	make_harmless(text);
	if (atomic_load(&log_state.running))
		enqueue(cls, text);
	else
		write_now(cls, text);
	if (cls == LOG_CLASS_FATAL)
		log_flush(); /* the caller's last words */
	errno = saved_errno;
}

void log_msg(enum log_class cls, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_vmsg(cls, fmt, ap);
	va_end(ap);
}

/* Races between threads can let a message or two more through; the fields are atomics so that this is all. */
bool log_limit_ok(struct log_limit *l)
{
	uint64_t now = clock_now_ns();
	uint64_t start = __atomic_load_n(&l->window_start_ns, __ATOMIC_RELAXED);

	if (!start || now - start >= NS_PER_S) {
		__atomic_store_n(&l->window_start_ns, now, __ATOMIC_RELAXED);
		__atomic_store_n(&l->count, 0, __ATOMIC_RELAXED);
	}
	if (__atomic_fetch_add(&l->count, 1, __ATOMIC_RELAXED) < LOG_LIMIT_PER_S)
		return true;
	__atomic_fetch_add(&l->suppressed, 1, __ATOMIC_RELAXED);
	return false;
}
