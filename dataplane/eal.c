/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * DPDK's log arrives through a stdio stream of ours. What a worker's loop would
 * say is dropped (it must not do I/O), what is said while something is being
 * set up is only kept, to explain a refusal in one line; later complaints are
 * logged, a few a second.
 */
#include "dataplane/eal.h"
#include "shared/log.h"
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_log.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#define EAL_MAX_ARGS 64

/* The log stream of a process-wide library: one per process by nature. */
static struct {
	char first[OPTIONS_ERR], last[OPTIONS_ERR];
	char kernel[160]; /* what the kernel said to libbpf: better than both */
	bool live;
	struct log_limit limit;
} eal_log;

static void remember(const char *line)
{
	if (!*eal_log.first)
		snprintf(eal_log.first, sizeof(eal_log.first), "%s", line);
	snprintf(eal_log.last, sizeof(eal_log.last), "%s", line);
}

static ssize_t log_write(void *cookie, const char *buf, size_t size)
{
	char line[OPTIONS_ERR];
	size_t n = size;

	if (rte_lcore_id() != LCORE_ID_ANY && rte_lcore_id() != rte_get_main_lcore())
		return (ssize_t)size;
	while (n && (buf[n - 1] == '\n' || buf[n - 1] == ' '))
		n--;
	if (n == 0)
		return (ssize_t)size;
	snprintf(line, sizeof(line), "%.*s", (int)(n < sizeof(line) ? n : sizeof(line) - 1), buf);
	if (rte_log_cur_msg_loglevel() <= (int)RTE_LOG_ERR)
		remember(line);
	if (eal_log.live && log_limit_ok(&eal_log.limit))
		log_msg(LOG_CLASS_WARNING, "dpdk: %s", line);
	else
		log_msg(LOG_CLASS_DEBUG, "dpdk: %s", line);
	return (ssize_t)size;
}

static int bpf_write(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	static const char extack[] = "libbpf: Kernel error message: ";
	char line[256];

	if (level != LIBBPF_WARN)
		return 0;
	vsnprintf(line, sizeof(line), fmt, ap);
	line[strcspn(line, "\n")] = '\0';
	if (!strncmp(line, extack, strlen(extack)) && !*eal_log.kernel)
		snprintf(eal_log.kernel, sizeof(eal_log.kernel), "%.159s", line + strlen(extack));
	log_msg(LOG_CLASS_DEBUG, "%s", line);
	return 0;
}

const char *eal_reason(void)
{
	return *eal_log.kernel ? eal_log.kernel : eal_log.first;
}

const char *eal_last_error(void)
{
	return eal_log.last;
}

void eal_forget_errors(void)
{
	eal_log.first[0] = eal_log.last[0] = eal_log.kernel[0] = '\0';
}

void eal_log_live(bool live)
{
	eal_log.live = live;
}

static unsigned free_hugepage_mb(void)
{
	FILE *f = fopen("/proc/meminfo", "re");
	unsigned long pages = 0, kb = 0;
	char line[128];

	while (f && fgets(line, sizeof(line), f)) {
		sscanf(line, "HugePages_Free: %lu", &pages);
		sscanf(line, "Hugepagesize: %lu kB", &kb);
	}
	if (f)
		fclose(f);
	return (unsigned)(pages * kb / 1024);
}

static bool given(const struct options *o, const char *const *names)
{
	for (int i = 0; i < o->neal; i++)
		for (const char *const *n = names; *n; n++)
			if (!strncmp(o->eal[i], *n, strlen(*n)))
				return true;
	return false;
}

/* Umem and mempools: about 16 MB a queue, and DPDK's own needs. */
static unsigned memory_needed_mb(const struct options *o)
{
	unsigned mb = 48;

	for (unsigned i = 0; i < o->nports; i++)
		mb += 24 * (o->port[i].queues ? o->port[i].queues : o->port[i].type == PORT_AF_XDP ? 2 : 1);
	return mb;
}

struct args {
	char *v[EAL_MAX_ARGS];
	int n;
};

static void add(struct args *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void add(struct args *a, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (a->n < EAL_MAX_ARGS - 1 && vasprintf(&a->v[a->n], fmt, ap) >= 0)
		a->n++;
	va_end(ap);
	a->v[a->n] = NULL;
}

/* "--lcores=0@(0,1),1@(2)": the manager floats over what we may use, worker i+1 sits on its core. */
static int add_lcores(struct args *a, const struct options *o, struct eal *e, char err[OPTIONS_ERR])
{
	char all[512] = "", text[1400];
	cpu_set_t set;
	size_t len = 0;

	if (sched_getaffinity(0, sizeof(set), &set))
		return -errno;
	for (int c = 0; c < CPU_SETSIZE && len < sizeof(all) - 8; c++)
		if (CPU_ISSET(c, &set))
			len += (size_t)snprintf(all + len, sizeof(all) - len, "%s%d", len ? "," : "", c);
	for (unsigned i = 0; i < o->ncores; i++)
		if (!CPU_ISSET(o->core[i], &set)) {
			snprintf(err, OPTIONS_ERR, "--core %u: not available, this process may use %.100s",
				o->core[i], all);
			return -EINVAL;
		}
	e->nworkers = o->ncores ? o->ncores : 1;
	len = (size_t)snprintf(text, sizeof(text), "0@(%s)", all);
	for (unsigned i = 0; i < e->nworkers; i++) {
		e->lcore[i] = i + 1;
		if (o->ncores)
			len += (size_t)snprintf(
				text + len, sizeof(text) - len, ",%u@(%u)", i + 1, o->core[i]);
		else
			len += (size_t)snprintf(text + len, sizeof(text) - len, ",%u@(%s)", i + 1, all);
	}
	add(a, "--lcores=%s", text);
	return 0;
}

/* The EAL decided about lcores: its workers are ours. */
static int own_lcores(struct eal *e, char err[OPTIONS_ERR])
{
	unsigned lcore;

	e->nworkers = 0;
	RTE_LCORE_FOREACH_WORKER(lcore)
	{
		if (e->nworkers < OPTIONS_WORKERS)
			e->lcore[e->nworkers++] = lcore;
	}
	if (e->nworkers)
		return 0;
	snprintf(err, OPTIONS_ERR, "the EAL arguments leave no core for a worker: name at least two");
	return -EINVAL;
}

/* Wrong arguments make the EAL print four screens of usage past any log stream. What went wrong is in its log
 * too. */
struct silence {
	int out, err, sink;
};

static struct silence be_silent(void)
{
	struct silence s = {-1, -1, -1};
	int sink = memfd_create("eal-output", MFD_CLOEXEC);

	if (sink < 0)
		return s;
	fflush(stdout);
	s.out = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
	s.err = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
	dup2(sink, STDOUT_FILENO);
	dup2(sink, STDERR_FILENO);
	s.sink = sink;
	return s;
}

/* first: what was said first, a line. */
static void speak_again(struct silence *s, char *first, size_t size)
{
	ssize_t n;

	fflush(stdout);
	n = s->sink >= 0 ? pread(s->sink, first, size - 1, 0) : 0;
	first[n > 0 ? n : 0] = '\0';
	first[strcspn(first, "\n")] = '\0';
	if (s->sink >= 0)
		close(s->sink);
	if (s->out >= 0) {
		dup2(s->out, STDOUT_FILENO);
		close(s->out);
	}
	if (s->err >= 0) {
		dup2(s->err, STDERR_FILENO);
		close(s->err);
	}
}

int eal_start(const struct options *o, struct eal *e, char err[OPTIONS_ERR])
{
	static const char *const lcore_args[] = {"-l", "-c", "--lcores", NULL};
	static const char *const memory_args[] = {"--no-huge", "--in-memory", "--huge-dir", "-m",
		"--socket-mem", "--legacy-mem", "--file-prefix", "--huge-unlink", NULL};
	static const char *const pci_args[] = {"-a", "--allow", "-b", "--block", NULL};
	static const char *const no_huge[] = {"--no-huge", NULL};
	static const cookie_io_functions_t io = {.write = log_write};
	struct rlimit unlimited = {RLIM_INFINITY, RLIM_INFINITY};
	bool own = given(o, lcore_args), pci = false;
	unsigned need = memory_needed_mb(o);
	struct args a = {0};
	char said[160] = "";
	FILE *stream;
	int rc;

	/* Kernels before 5.11 charge BPF maps to it; AF_XDP buffers always, unless CAP_IPC_LOCK. */
	setrlimit(RLIMIT_MEMLOCK, &unlimited);

	add(&a, "peregrine-dp");
	if (!own) {
		rc = add_lcores(&a, o, e, err);
		if (rc)
			return rc;
	}
	for (unsigned i = 0; i < o->nports; i++) {
		if (o->port[i].type != PORT_PCI)
			continue;
		pci = true;
		if (!given(o, pci_args))
			add(&a, "--allow=%s", o->port[i].target);
	}
	if (!pci && !given(o, pci_args))
		add(&a, "--no-pci");
	e->hugepages = !given(o, no_huge);
	if (!given(o, memory_args)) {
		e->hugepages = free_hugepage_mb() >= need;
		if (e->hugepages) {
			add(&a, "--in-memory");
			/* No device does DMA: virtual addresses, so that packet buffers can be in one piece.
			 */
			if (!pci)
				add(&a, "--iova-mode=va");
		} else {
			add(&a, "--no-huge");
			add(&a, "--no-shconf");
			add(&a, "-m");
			add(&a, "%u", need);
		}
		add(&a, "--file-prefix=peregrine-dp-%d", (int)getpid());
	}
	add(&a, "--no-telemetry");
	add(&a, "--log-level=*:%s", o->verbose ? "notice" : "warning");
	for (int i = 0; i < o->neal; i++)
		add(&a, "%s", o->eal[i]);

	libbpf_set_print(bpf_write);
	stream = fopencookie(NULL, "w", io);
	if (stream) {
		setvbuf(stream, NULL, _IOLBF, 512);
		rte_openlog_stream(stream);
	}
	eal_forget_errors();
	if (o->verbose) {
		rc = rte_eal_init(a.n, a.v);
	} else {
		struct silence quiet = be_silent();

		rc = rte_eal_init(a.n, a.v);
		speak_again(&quiet, said, sizeof(said));
	}
	if (rc < 0) {
		const char *last = *eal_last_error() ? eal_last_error() : strerror(rte_errno);

		snprintf(err, OPTIONS_ERR, "DPDK does not start: %.150s%s%.120s", last, *said ? "; " : "",
			said);
		return rte_errno ? -rte_errno : -EIO;
	}
	e->started = true;
	return own ? own_lcores(e, err) : 0;
}

void eal_stop(void)
{
	eal_log_live(false);
	rte_eal_cleanup();
}
