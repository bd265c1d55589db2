/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The poll loop. One round: receive everything, apply commands, sweep the
 * deadlines, send what is due, tell the subscribers if somebody went up or
 * down. A round makes no system call of its own but that last one (one eventfd
 * write for each subscriber), takes no lock, allocates nothing, logs nothing.
 * What the drivers do is theirs: AF_XDP kicks the kernel once for each burst sent.
 *
 * Time is CLOCK_MONOTONIC through the vDSO, read twice in a round and once more
 * for each burst (60 cycles each on the reference machine): always comparable with the stamps of
 * peregrined and of the kernel, no calibration that could drift.
 *
 * Nobody is late as long as his packet waits in a ring of ours. Deadlines are
 * therefore judged up to the time before the rings were last found empty, not
 * up to the present (taken_until()). With several workers a session's packets
 * may come in by another one's queue: each publishes its own such time after
 * it has handed over what it took, and nobody judges beyond the others' times.
 * Under a flood that never lets a ring run empty, and while another worker
 * stands still, that is WORKER_BEHIND_MAX_NS behind the present at most.
 *
 * Our own pauses: when a round starts later than it should have (a stolen core,
 * an SMI), packets of perfectly healthy peers wait in the rings while their
 * deadlines pass. So a late round first empties the rings, goes on doing so for
 * STALL_GRACE_NS because what the kernel still had in its own queues needs a
 * moment to arrive, tells the engine, and only then looks at deadlines. But
 * before all that it sends what is due, everybody's packets if it must be: our
 * patience can wait for the rings, that of the remotes is running out. (Ten
 * thousand packets are a millisecond; with receiving in between it was two.)
 *
 * After a pause everybody is due at once, more than a ring takes. Sending stops
 * to receive after SEND_ROUND_NS, or when it has had as long as receiving had
 * in this round: when both are too much, neither starves the other (a worker that
 * only receives loses its sessions, and each that returns makes more to
 * receive). It also stops when a port takes no more: the rest stays with the
 * engine, what is in hand is tried again next round. A port that takes
 * nothing for BLOCKED_NS holds up nobody any longer: its packets are dropped.
 *
 * Adaptive mode sleeps in ppoll() on the ports' descriptors until the engine's
 * next transmission or deadline. The timer slack of the thread is 1 ns, and it
 * runs as SCHED_FIFO if it may: it is nearly always asleep, so real-time
 * throttling never bites, but it must not queue behind a full table load when
 * it has something to do. A busy thread must stay out of SCHED_FIFO (the
 * kernel would stop it for 50 ms in each second); it gets the best nice value.
 */
#define _LGPL_SOURCE
#include "dataplane/worker_core.h"
#include "shared/log.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <urcu/urcu-qsbr.h>

#define SWEEP_NS (50 * NS_PER_US)
#define STALL_NS (500 * NS_PER_US)
#define STALL_GRACE_NS (200 * NS_PER_US)
#define CATCH_UP_NS (3 * NS_PER_MS)        /* at most, of sending alone after a pause */
#define RECEIVE_ROUND_NS (200 * NS_PER_US) /* from one queue: with sending, below STALL_NS */
#define SPIN_NS (20 * NS_PER_US)           /* not worth sleeping for */
#define SLEEP_MAX_NS (50 * NS_PER_MS)
#define SLEEP_BLIND_NS (250 * NS_PER_US) /* a port without a descriptor to sleep on */
#define CHANGING_NAP_NS (50 * NS_PER_US)
#define AWAKE_MAX_NS NS_PER_MS
#define NAP_PERCENT 6
#define DRAIN_BURSTS 64

static void notify(const struct worker_tables *t)
{
	uint64_t one = 1;

	for (unsigned i = 0; i < t->nsubscribers; i++)
		if (write(t->subscriber[i], &one, sizeof(one)) < 0)
			continue; /* full: it has not read what we told it before, and will */
}

/* All there is to receive, or as much as limit_ns allows of each queue. start: a time just before the call.
 */
static unsigned take_in(struct worker *w, const struct worker_tables *t, uint64_t limit_ns, uint64_t start)
{
	uint64_t until;
	unsigned n;

	w->round_ns = start;
	n = worker_receive_ports(w, t, DRAIN_BURSTS, limit_ns, start);
	if (w->group->n == 1) {
		bfd_engine_drained(w->engine, w->drained_ns);
		return n + worker_receive_inbox(w, t);
	}
	n += worker_apply_moves(w);
	atomic_store_explicit(&w->taken_ns, w->drained_ns, memory_order_release);
	until = worker_others_taken(w);
	n += worker_receive_inbox(w, t);
	if (until > start)
		until = start;
	if (until + STALL_NS >= w->drained_ns) {
		/* The others' pause was ours too, as far as our sessions are concerned. */
		if (w->behind_ns)
			bfd_engine_stalled(w->engine, start - w->behind_ns, start);
		w->behind_ns = 0;
	} else if (!w->behind_ns) {
		w->behind_ns = until;
	}
	if (until + WORKER_BEHIND_MAX_NS < start)
		until = start - WORKER_BEHIND_MAX_NS;
	bfd_engine_drained(w->engine, until < w->drained_ns ? until : w->drained_ns);
	return n;
}

static bool nothing_in_hand(const struct worker *w)
{
	for (unsigned i = 0; i < PORT_MAX; i++)
		if (w->out[i].n)
			return false;
	return true;
}

/* All that is due, unless a port takes no more. */
static void catch_up(struct worker *w, const struct worker_tables *t, uint64_t now)
{
	uint64_t end = now + CATCH_UP_NS;

	while (!worker_send_due(w, t, now) && nothing_in_hand(w) && !t->changing) {
		now = clock_now_ns();
		if (now > end)
			break;
	}
}

/* After a pause of our own: send what is overdue, take in whatever came meanwhile, before any deadline is
 * looked at. */
static uint64_t recover_from_stall(
	struct worker *w, const struct worker_tables *t, uint64_t since, uint64_t now)
{
	uint64_t until;

	catch_up(w, t, now);
	now = clock_now_ns();
	until = now + STALL_GRACE_NS;
	do {
		take_in(w, t, UINT64_MAX, now);
		now = clock_now_ns();
	} while (now < until);
	bfd_engine_stalled(w->engine, now - since, now);
	return now;
}

/* The descriptors that wake us: our own first, then those of the ports' queues. Returns how many; *blind is
 * set when a queue has none. A port that is down is left out: its socket would only report errors. */
static nfds_t sources(
	struct worker *w, const struct worker_tables *t, struct pollfd *fds, nfds_t max, bool *blind)
{
	nfds_t n = 0;

	*blind = false;
	fds[n++] = (struct pollfd){.fd = w->wake_fd, .events = POLLIN};
	for (unsigned i = 0; i < t->nports; i++) {
		const struct worker_port *p = &t->port[i];

		for (unsigned q = 0; p->open && p->up && q < p->nqueues; q++) {
			if (p->worker[q] != w->number)
				continue;
			if (p->q[q].fd < 0 || n == max)
				*blind = true;
			else
				fds[n++] = (struct pollfd){.fd = p->q[q].fd, .events = POLLIN};
		}
	}
	return n;
}

/* Asleep: nothing is in hand, the rings are as good as empty because the kernel wakes us. */
static void rest(struct worker *w)
{
	atomic_store_explicit(&w->taken_ns, UINT64_MAX, memory_order_release);
	urcu_qsbr_thread_offline();
}

static void awake(struct worker *w)
{
	urcu_qsbr_thread_online();
	atomic_store_explicit(&w->taken_ns, clock_now_ns(), memory_order_release);
}

/* Sleeps until something arrives or is due. Returns when it meant to be back at the latest; 0 if it did not
 * sleep. */
static uint64_t sleep_until_due(struct worker *w, const struct worker_tables *t, uint64_t now)
{
	struct pollfd fds[PORT_MAX * 2 + 1];
	bool blind;
	nfds_t n = sources(w, t, fds, sizeof(fds) / sizeof(fds[0]), &blind);
	uint64_t next = bfd_engine_next_ns(w->engine, now), limit = blind ? SLEEP_BLIND_NS : SLEEP_MAX_NS;
	uint64_t left = next > now ? next - now : 0, wait = left < limit ? left : limit, drop;
	struct timespec ts = {.tv_sec = (time_t)(wait / NS_PER_S), .tv_nsec = (long)(wait % NS_PER_S)};
	int ready;

	if (wait < SPIN_NS)
		return 0;
	rest(w);
	ready = ppoll(fds, n, &ts, NULL);
	awake(w);
	if (ready <= 0)
		return now + wait;
	if (fds[0].revents & POLLIN && read(w->wake_fd, &drop, sizeof(drop)) < 0)
		return now + wait;
	for (nfds_t i = 1; i < n; i++) {
		int error;
		socklen_t len = sizeof(error);

		/* Left over from when the interface was down: until it is fetched, we would never sleep
		 * again. */
		if (fds[i].revents & POLLERR && getsockopt(fds[i].fd, SOL_SOCKET, SO_ERROR, &error, &len))
			continue;
	}
	return now + wait;
}

/* An adaptive worker that cannot keep up never sleeps, and the kernel would stop a real-time thread that uses
 * more than 95 % of its core for 50 ms in each second. A nap now and then keeps below that. */
static uint64_t nap(uint64_t now, uint64_t ns)
{
	struct timespec ts = {.tv_nsec = (long)(ns < NS_PER_S ? ns : NS_PER_S - 1)};

	/* Not offline: packets may be in hand, and the ports they are for must stay. */
	clock_nanosleep(CLOCK_MONOTONIC, 0, &ts, NULL);
	return now + ns;
}

/* Where the kernel shares the machine out by session first (autogroups), a nice value counts only within one:
 * a busy worker would get no more than any other session's compiler. */
static void raise_session(void)
{
	int fd = open("/proc/self/autogroup", O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	if (write(fd, "-20", 3) < 0)
		log_msg(LOG_CLASS_DEBUG, "autogroup: %s", strerror(errno));
	close(fd);
}

static void prepare_thread(struct worker *w)
{
	char name[16];

	snprintf(name, sizeof(name), "bfd-worker-%u", w->number);
	pthread_setname_np(pthread_self(), name);
	if (w->group->adaptive) {
		struct sched_param sp = {.sched_priority = 50};

		prctl(PR_SET_TIMERSLACK, 1);
		if (sched_setscheduler(0, SCHED_FIFO, &sp))
			log_msg(LOG_CLASS_WARNING,
				"worker %u has no real-time priority (%s): sessions may suffer when the "
				"machine is busy",
				w->number, strerror(errno));
	} else {
		setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), -20);
		raise_session();
	}
}

int worker_run(void *arg)
{
	struct worker *w = arg;
	bool adaptive = w->group->adaptive;
	const struct worker_tables *last = NULL;
	uint64_t expected, now, last_sweep = 0, slept;

	prepare_thread(w);
	urcu_qsbr_register_thread();
	expected = slept = now = clock_now_ns();
	while (!w->stop) {
		const struct worker_tables *t = rcu_dereference(w->group->tables);
		uint64_t start = now, back = 0;
		bool all_sent;
		unsigned work;

		if (t != last)
			worker_drop_in_hand(w);
		last = t;
		work = take_in(w, t, RECEIVE_ROUND_NS, start);
		now = clock_now_ns();
		if (unlikely(now > expected + STALL_NS))
			now = recover_from_stall(w, t, expected, now);
		expected = now;
		work += worker_apply_commands(w, now);
		if (adaptive || now - last_sweep >= SWEEP_NS) {
			work += bfd_engine_sweep(w->engine, now);
			last_sweep = now;
		}
		w->sent = 0;
		all_sent = worker_send_due(w, t, now);
		if (bfd_engine_notify(w->engine))
			notify(t);
		bump(&w->stats->loops, 1);
		now = clock_now_ns(); /* when this round ends the next one begins */
		if (work || w->sent)
			bump(&w->stats->busy_ns, now - start);
		if (unlikely(t->changing)) /* the manager must get on with it, and may need our core */
			back = nap(now, CHANGING_NAP_NS);
		/* One that has nothing to do by order sleeps too: until then somebody else has its queues. */
		else if ((adaptive || w->number >= t->active) && work == 0 && all_sent)
			back = sleep_until_due(w, t, now);
		else if (adaptive && now - slept > AWAKE_MAX_NS)
			back = nap(now, (now - slept) * NAP_PERCENT / 100);
		if (back) {
			expected = back;
			now = slept = clock_now_ns();
		}
		urcu_qsbr_quiescent_state();
	}
	worker_drop_in_hand(w);
	urcu_qsbr_unregister_thread();
	return 0;
}
