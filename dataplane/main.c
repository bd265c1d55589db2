/* SPDX-License-Identifier: BSD-2-Clause */
/* peregrine-dp: BFD on DPDK ports. Arguments, then dataplane/manager.c. */
#include "dataplane/dp.h"
#include "shared/log.h"
#include <rte_version.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
	static struct options options;
	static struct dp dp;
	char err[OPTIONS_ERR] = "unknown";
	struct log_sink to_stderr = {.kind = LOG_SINK_STDERR};

	if (options_parse(&options, argc, argv, err)) {
		fprintf(stderr, "peregrine-dp: %s\n", err);
		return 2;
	}
	if (options.help) {
		fputs(options_usage, stdout);
		return 0;
	}
	if (options.version) {
		printf("peregrine-dp %s (%s)\n", PEREGRINE_VERSION, rte_version());
		return 0;
	}
	signal(SIGPIPE, SIG_IGN); /* a log that nobody reads any more is no reason to die */
	log_init("peregrine-dp");
	for (unsigned c = 0; c < LOG_CLASS_COUNT; c++)
		if (options.verbose || (c != LOG_CLASS_DEBUG && c != LOG_CLASS_TRACE))
			to_stderr.classes |= 1u << c;
	log_configure(&to_stderr, 1, NULL);
	if (dp_start(&dp, &options, err)) {
		dp_stop(&dp);
		fprintf(stderr, "peregrine-dp: %s\n", err);
		return 1;
	}
	log_msg(LOG_CLASS_INFO, "ready: %u port%s, %u worker%s, %s, %s", dp.nports, dp.nports == 1 ? "" : "s",
		dp.eal.nworkers, dp.eal.nworkers == 1 ? "" : "s",
		options.poll == POLL_BUSY ? "busy polling" : "sleeping between packets",
		dp.eal.hugepages ? "hugepages" : "no hugepages");
	dp_run(&dp);
	dp_stop(&dp);
	return 0;
}
