/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * peregrined: options, start, signals, end.
 *
 * The order of a start matters: the configuration is read and the control
 * socket is claimed before anything is touched, so that a mistake, or a second
 * instance, changes nothing; the process goes to the background and gives up
 * its privileges before the first thread is made; its parent waits to hear whether
 * the start went well, and exits accordingly.
 */
#include "controlplane/bfd/bfd_client.h"
#include "controlplane/bgp/bgp.h"
#include "controlplane/bmp/hub.h"
#include "controlplane/cli/cli.h"
#include "controlplane/fib/fib.h"
#include "controlplane/mrt/messages.h"
#include "controlplane/privileges.h"
#include "controlplane/proto/proto.h"
#include "shared/clock.h"
#include "shared/log.h"
#include "shared/rcu.h"
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define DEFAULT_CONFIG "/etc/peregrine/peregrine.conf"
#define DEFAULT_SOCKET "/run/peregrine.ctl"

struct options {
	const char *config, *socket, *pid_file, *dp_socket, *user, *group, *debug_file;
	bool parse_only, foreground, debug, recover;
};

/* What main() has made, to be unmade in reverse. */
struct process {
	struct options opt;
	struct daemon daemon;
	struct cli_server *cli;
	struct cli_sockets *more_cli;
	ev_signal sig_hup, sig_term, sig_int;
	ev_timer sync_timer, kill_timer;
	uint64_t left_before; /* protocols and routes at the last look of kill_timer */
	pthread_t reader;     /* of a configuration, after SIGHUP */
	bool reading, read_again;
	bool attrs;   /* the attribute store is there */
	int ready_fd; /* tells the waiting parent; -1 in the foreground */
};

static void usage(FILE *f)
{
	fputs("Usage: peregrined [-c FILE] [-s CTLSOCK] [-f] [-d] [-D FILE] [-p] [-P PIDFILE] [-R] [-l]\n"
	      "                  [-u USER] [-g GROUP] [--dp SOCK] [--version] [--help]\n\n"
	      "  -c FILE        configuration, in BIRD 2's language (default " DEFAULT_CONFIG ")\n"
	      "  -s CTLSOCK     control socket (default " DEFAULT_SOCKET ")\n"
	      "  -f             stay in the foreground\n"
	      "  -d             stay in the foreground, log to standard error\n"
	      "  -D FILE        log to FILE too\n"
	      "  -p             parse the configuration, say what is wrong with it, exit\n"
	      "  -P PIDFILE     write the process id there\n"
	      "  -R             recover after a graceful restart\n"
	      "  -l             look for the configuration and the socket in the working directory\n"
	      "  -u USER        run as USER, with the network capabilities only\n"
	      "  -g GROUP       run in GROUP, whose members may use the control socket\n"
	      "  --dp SOCK      peregrine-dp's socket; without it BFD runs on kernel sockets in this "
	      "process\n",
		f);
}

static int parse_options(int argc, char **argv, struct options *o)
{
	static const struct option longs[] = {
		{"dp", required_argument, NULL, 1},
		{"version", no_argument, NULL, 2},
		{"help", no_argument, NULL, 3},
		{0},
	};
	int c;

	*o = (struct options){.config = DEFAULT_CONFIG, .socket = DEFAULT_SOCKET};
	while ((c = getopt_long(argc, argv, "c:s:fdD:pP:Rlu:g:", longs, NULL)) != -1) {
		switch (c) {
		case 'c': o->config = optarg; break;
		case 's': o->socket = optarg; break;
		case 'f': o->foreground = true; break;
		case 'd': o->debug = o->foreground = true; break;
		case 'D': o->debug_file = optarg; break;
		case 'p': o->parse_only = true; break;
		case 'P': o->pid_file = optarg; break;
		case 'R': o->recover = true; break;
		case 'l':
			o->config = "peregrine.conf";
			o->socket = "peregrine.ctl";
			break;
		case 'u': o->user = optarg; break;
		case 'g': o->group = optarg; break;
		case 1: o->dp_socket = optarg; break;
		case 2: fputs("BIRD version 2.19.2 (peregrined " PEREGRINE_VERSION ")\n", stderr); exit(0);
		case 3: usage(stdout); exit(0);
		default: usage(stderr); return -EINVAL;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "peregrined: unexpected argument: %s\n", argv[optind]);
		return -EINVAL;
	}
	return 0;
}

/* ---- going to the background ---- */

/* Returns in the child, with the descriptor to report to; the parent exits when the child has reported. */
static int go_to_background(void)
{
	int fds[2];
	char status = 1;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0) {
		perror("peregrined: pipe");
		exit(1);
	}
	pid = fork();
	if (pid < 0) {
		perror("peregrined: fork");
		exit(1);
	}
	if (pid) {
		close(fds[1]);
		if (read(fds[0], &status, 1) != 1)
			status = 1;
		exit(status);
	}
	close(fds[0]);
	setsid();
	return fds[1];
}

static void report_ready(struct process *pr)
{
	const char ok = 0;
	int null;

	if (pr->ready_fd < 0)
		return;
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null >= 0) {
		dup2(null, 0);
		dup2(null, 1);
		if (!pr->opt.debug)
			dup2(null, 2);
		close(null);
	}
	if (write(pr->ready_fd, &ok, 1) < 0)
		log_msg(LOG_CLASS_WARNING, "The parent process is gone: %s", strerror(errno));
	close(pr->ready_fd);
	pr->ready_fd = -1;
}

static void write_pid_file(const char *path)
{
	FILE *f = fopen(path, "w");

	if (!f) {
		log_msg(LOG_CLASS_WARNING, "Cannot write %s: %s", path, strerror(errno));
		return;
	}
	fprintf(f, "%ld\n", (long)getpid());
	fclose(f);
}

/* ---- signals and timers of main ---- */

/*
 * A configuration of millions of prefixes takes seconds to read: that is done in a thread of its own, so that
 * main goes on answering.
 */
struct reading {
	struct process *pr;
	struct config *c;
	struct config_error err;
};

static void start_reading(struct process *pr);

static void configuration_read(void *arg)
{
	struct reading *r = arg;
	struct process *pr = r->pr;
	struct config *c = r->c;
	char text[800];

	if (pr->daemon.shutting_down) { /* the thread is joined at the end */
		if (c)
			config_release(c);
		free(r);
		return;
	}
	pthread_join(pr->reader, NULL);
	pr->reading = false;
	if (!c) {
		config_error_format(&r->err, text, sizeof(text));
		log_msg(LOG_CLASS_ERROR, "%s", text);
	} else if (daemon_check(&pr->daemon, c, text, sizeof(text)) < 0) {
		log_msg(LOG_CLASS_ERROR, "%s", text);
		config_release(c);
	} else {
		daemon_commit(&pr->daemon, c, false, 0);
	}
	free(r);
	if (pr->read_again)
		start_reading(pr);
}

static void *read_configuration(void *arg)
{
	struct reading *r = arg;

	rcu_register_thread();
	r->c = config_read(r->pr->daemon.config_path, &r->err);
	loop_call(r->pr->daemon.main, configuration_read, r);
	rcu_unregister_thread();
	return NULL;
}

static void start_reading(struct process *pr)
{
	struct reading *r = calloc(1, sizeof(*r));

	pr->read_again = false;
	if (!r)
		abort();
	r->pr = pr;
	if (pthread_create(&pr->reader, NULL, read_configuration, r)) {
		log_msg(LOG_CLASS_ERROR, "Reconfiguration failed: no thread to read the file");
		free(r);
		return;
	}
	pr->reading = true;
}

static void on_hup(struct ev_loop *ev, ev_signal *w, int revents)
{
	struct process *pr = w->data;

	(void)ev, (void)revents;
	log_msg(LOG_CLASS_INFO, "Reconfiguration requested by SIGHUP");
	if (pr->reading)
		pr->read_again = true; /* the file may have changed since */
	else
		start_reading(pr);
}

static void all_down(struct daemon *d)
{
	loop_stop(d->main);
}

static void remove_files(struct process *pr)
{
	unlink(pr->opt.socket);
	if (pr->opt.pid_file)
		unlink(pr->opt.pid_file);
}

/* Without taking anything apart: threads may be in the middle of it. What is in the kernel stays for the next
 * start to adopt. */
static _Noreturn void leave(struct process *pr, const char *why)
{
	log_msg(LOG_CLASS_WARNING, "%s, leaving anyway", why);
	remove_files(pr);
	log_flush();
	_exit(1);
}

static uint64_t left_to_do(struct daemon *d)
{
	struct rib_table *tables[64];
	struct rib_table_stats st;
	struct proto *p;
	uint64_t n = 0;
	unsigned found;

	cds_list_for_each_entry(p, &d->protos, node) n += p->state != PS_DOWN;
	rcu_read_lock();
	found = rib_tables(d->rib, tables, 64);
	for (unsigned i = 0; i < found && i < 64; i++) {
		rib_table_stats(tables[i], &st);
		n += st.routes;
	}
	rcu_read_unlock();
	return n;
}

/* Millions of routes take their time to be withdrawn; no progress at all is an end. */
static void on_kill_timer(struct ev_loop *ev, ev_timer *w, int revents)
{
	struct process *pr = w->data;
	uint64_t left = left_to_do(&pr->daemon);

	(void)ev, (void)revents;
	if (left == pr->left_before)
		leave(pr, "Some protocols did not stop in time");
	pr->left_before = left;
}

void daemon_shutdown(struct daemon *d, bool graceful_restart)
{
	struct process *pr = caa_container_of(d, struct process, daemon);

	if (d->shutting_down)
		return;
	log_msg(LOG_CLASS_INFO, graceful_restart ? "Shutting down for graceful restart" : "Shutting down");
	d->shutting_down = true;
	d->kernel_keep = graceful_restart;
	d->on_down = all_down;
	ev_timer_init(&pr->kill_timer, on_kill_timer, 10, 10);
	pr->kill_timer.data = pr;
	ev_timer_start(loop_ev(d->main), &pr->kill_timer);
	proto_shutdown_all(d);
}

static void on_term(struct ev_loop *ev, ev_signal *w, int revents)
{
	struct process *pr = w->data;

	(void)ev, (void)revents;
	if (pr->daemon.shutting_down)
		leave(pr, "Asked to stop once more");
	daemon_shutdown(&pr->daemon, false);
}

/* Long after the start: what the dataplane kept for us and nobody asked for again may go. */
static void on_sync_timer(struct ev_loop *ev, ev_timer *w, int revents)
{
	struct process *pr = w->data;

	(void)ev, (void)revents;
	bfd_client_sync(pr->daemon.bfd);
}

static void watch_signals(struct process *pr)
{
	struct ev_loop *ev = loop_ev(pr->daemon.main);

	ev_signal_init(&pr->sig_hup, on_hup, SIGHUP);
	ev_signal_init(&pr->sig_term, on_term, SIGTERM);
	ev_signal_init(&pr->sig_int, on_term, SIGINT);
	pr->sig_hup.data = pr->sig_term.data = pr->sig_int.data = pr;
	ev_signal_start(ev, &pr->sig_hup);
	ev_signal_start(ev, &pr->sig_term);
	ev_signal_start(ev, &pr->sig_int);
	ev_timer_init(&pr->sync_timer, on_sync_timer, 20, 0);
	pr->sync_timer.data = pr;
	ev_timer_start(ev, &pr->sync_timer);
}

/* ---- interfaces: told in a thread of the FIB ---- */

/* For recursive next hops where no direct protocol runs: the connected network that holds addr. Any thread.
 */
static bool connected_network(void *ctx, const struct ipaddr *addr, struct prefix *net, uint32_t *ifindex)
{
	struct daemon *d = ctx;
	struct iface_view v;
	struct ipaddr local;

	if (!ifaces_for_neighbor(d->ifaces, addr, &v, &local))
		return false;
	for (unsigned i = 0; i < v.n_addrs; i++)
		if (prefix_contains_addr(&v.addrs[i].prefix, addr)) {
			*net = v.addrs[i].prefix;
			*ifindex = v.ifindex;
			return true;
		}
	return false;
}

static void ifaces_changed(void *arg)
{
	struct daemon *d = arg;

	if (d->shutting_down)
		return;
	nht_connected_changed(d->nht);
	direct_ifaces_changed(d);
	static_ifaces_changed(d);
}

static void ifaces_changed_in_monitor(void *ctx, uint32_t ifindex)
{
	struct daemon *d = ctx;

	(void)ifindex;
	loop_call(d->main, ifaces_changed, d);
}

static uint32_t index_of(const char *name)
{
	return if_nametoindex(name);
}

/* ---- making and unmaking the parts ---- */

static bool has_protocol(const struct config *c, enum proto_type t)
{
	const struct proto_config *p;

	cds_list_for_each_entry(p, &c->protocols, node) if (p->type == t) return true;
	return false;
}

/* Those that we may run on: a container or taskset may have given us few of many. */
static long usable_cpus(void)
{
	cpu_set_t set;

	return sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : sysconf(_SC_NPROCESSORS_ONLN);
}

static unsigned threads_for(long cpus, unsigned asked, unsigned divisor)
{
	unsigned n = asked ? asked : (unsigned)cpus / divisor;

	return n < 1 ? 1 : n > 16 ? 16 : n;
}

static int make_parts(struct process *pr, const struct config *c)
{
	struct daemon *d = &pr->daemon;
	long cpus = usable_cpus();
	int rc;

	rc = attrs_init();
	if (rc < 0)
		return rc;
	pr->attrs = true;
	d->ifaces = ifaces_create();
	if (!d->ifaces)
		return -errno;
	ifaces_wait_scan(d->ifaces);
	filter_set_ifname_lookup(ifaces_name, index_of);
	d->bmp = bmp_hub_create();
	d->rib = rib_create(threads_for(cpus, c->rib_shards, 4));
	if (!d->rib)
		return -ENOMEM;
	d->nht = nht_create(d->rib);
	d->export = export_create(d->rib);
	if (!d->nht || !d->export)
		return -ENOMEM;
	nht_set_connected_lookup(d->nht, connected_network, d);
	if (has_protocol(c, PROTO_KERNEL) || geteuid() == 0) {
		const struct fib_options fo = {
			.rib = d->rib,
			.export = d->export,
			.nht = d->nht,
			.rtproto = FIB_RTPROT,
			.recover = true,
			.ifaces = d->ifaces,
			.no_redirect = c->failover_redirect == TRI_OFF,
		};

		d->fib = fib_create(&fo);
		if (!d->fib && has_protocol(c, PROTO_KERNEL))
			log_msg(LOG_CLASS_ERROR,
				"The kernel's routing tables are out of reach: %s. Kernel protocols stay "
				"down",
				strerror(errno));
	}
	{
		const struct bfd_client_options bo = {
			.dp_socket = pr->opt.dp_socket, .fib = d->fib, .name = "bfd"};

		d->bfd = bfd_client_create(&bo);
	}
	if (!d->bfd)
		return -errno;
	d->bgp = bgp_engine_create(d, threads_for(cpus, c->threads, 4));
	if (!d->bgp)
		return -errno;
	ifaces_subscribe(d->ifaces, ifaces_changed_in_monitor, d);
	return 0;
}

static void unmake_parts(struct process *pr)
{
	struct daemon *d = &pr->daemon;

	cli_sockets_destroy(pr->more_cli);
	if (pr->cli)
		cli_server_destroy(pr->cli);
	if (d->bgp)
		bgp_engine_destroy(d->bgp);
	proto_free_all(d);
	if (d->bfd)
		bfd_client_destroy(d->bfd, d->kernel_keep);
	if (d->fib)
		fib_destroy(d->fib, d->kernel_keep);
	mrt_messages_release(d->mrt_messages);
	if (d->bmp)
		bmp_hub_destroy(d->bmp);
	daemon_tables_release(d);
	if (d->export)
		export_destroy(d->export);
	if (d->nht)
		nht_destroy(d->nht);
	if (d->rib)
		rib_destroy(d->rib);
	if (d->ifaces)
		ifaces_destroy(d->ifaces);
	if (d->old_config)
		config_release(d->old_config);
	if (d->config)
		config_release(d->config);
	if (pr->attrs) {
		rcu_barrier();
		attrs_exit();
	}
}

static void give_away(void *ctx, const char *path)
{
	const struct identity *who = ctx;

	if ((who->uid != (uid_t)-1 || who->gid != (gid_t)-1) && chown(path, who->uid, who->gid) < 0)
		log_msg(LOG_CLASS_WARNING, "Cannot change the owner of %s: %s", path, strerror(errno));
}

static int open_control_sockets(struct process *pr, const struct config *c, struct identity *who)
{
	int rc = cli_server_create(&pr->daemon, pr->opt.socket, false, &pr->cli);

	if (rc < 0) {
		fprintf(stderr, "peregrined: control socket %s: %s\n", pr->opt.socket,
			rc == -EADDRINUSE ? "another instance is running" : strerror(-rc));
		return rc;
	}
	give_away(who, pr->opt.socket);
	pr->more_cli = cli_sockets_create(&pr->daemon);
	cli_sockets_configure(pr->more_cli, c, give_away, who);
	return 0;
}

/* Made later, they are those of whom we have become. */
static void configured(struct daemon *d)
{
	struct process *pr = caa_container_of(d, struct process, daemon);

	cli_sockets_configure(pr->more_cli, d->config, NULL, NULL);
}

static void raise_limits(void)
{
	struct rlimit l;

	if (getrlimit(RLIMIT_NOFILE, &l) == 0 && l.rlim_cur < l.rlim_max) {
		l.rlim_cur = l.rlim_max;
		setrlimit(RLIMIT_NOFILE, &l);
	}
}

static int run(struct process *pr, struct config *c)
{
	struct daemon *d = &pr->daemon;
	struct identity who;
	char err[512];
	int rc;

	rc = privileges_find(pr->opt.user, pr->opt.group, &who, err, sizeof(err));
	if (rc < 0) {
		fprintf(stderr, "peregrined: %s\n", err);
		config_release(c);
		return rc;
	}
	d->main = loop_create("peregrined");
	if (!d->main)
		return -ENOMEM;
	rc = open_control_sockets(pr, c, &who);
	if (rc < 0)
		goto out;
	if (pr->opt.pid_file)
		write_pid_file(pr->opt.pid_file);
	rc = privileges_drop(&who, err, sizeof(err));
	if (rc < 0) {
		fprintf(stderr, "peregrined: %s\n", err);
		goto out;
	}
	rc = make_parts(pr, c);
	if (rc < 0) {
		fprintf(stderr, "peregrined: cannot start: %s\n", strerror(-rc));
		goto out;
	}
	rc = daemon_check(d, c, err, sizeof(err));
	if (rc < 0) {
		fprintf(stderr, "peregrined: %s\n", err);
		goto out;
	}
	watch_signals(pr);
	config_hold(c);
	daemon_commit(d, c, false, 0);
	d->reconfig_wall_ns = d->boot_wall_ns;
	d->configured = configured;
	report_ready(pr);
	log_msg(LOG_CLASS_INFO, "Started");
	loop_run(d->main);
	rc = d->exit_code;
out:
	d->shutting_down = true; /* for calls that are still in the mailbox */
	if (pr->reading)
		pthread_join(pr->reader, NULL);
	config_release(c);
	unmake_parts(pr);
	if (pr->opt.pid_file)
		unlink(pr->opt.pid_file);
	loop_join_destroy(d->main);
	if (rc >= 0) /* else it never started, and has said why */
		log_msg(LOG_CLASS_INFO, "Shutdown completed");
	return rc;
}

int main(int argc, char **argv)
{
	static struct process process;
	struct process *pr = &process;
	struct config_error err;
	struct config *c;
	char text[800];
	int rc;

	if (parse_options(argc, argv, &pr->opt) < 0)
		return 1;
	log_init("peregrined");
	signal(SIGPIPE, SIG_IGN);
	c = config_read(pr->opt.config, &err);
	if (!c) {
		config_error_format(&err, text, sizeof(text));
		fprintf(stderr, "bird: %s\n", text);
		return 1;
	}
	if (pr->opt.parse_only) {
		config_release(c);
		return 0;
	}
	raise_limits();
	CDS_INIT_LIST_HEAD(&pr->daemon.protos);
	CDS_INIT_LIST_HEAD(&pr->daemon.tables);
	pr->daemon.config_path = pr->opt.config;
	pr->daemon.ctl_path = pr->opt.socket;
	pr->daemon.recovering = pr->opt.recover;
	pr->daemon.log_stderr = pr->opt.debug;
	pr->daemon.log_file = pr->opt.debug_file;
	pr->daemon.boot_wall_ns = clock_wall_ns();
	pr->ready_fd = pr->opt.foreground ? -1 : go_to_background();
	rcu_register_thread();
	rc = run(pr, c);
	rcu_unregister_thread();
	return rc < 0 ? 1 : rc;
}
