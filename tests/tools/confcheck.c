/* SPDX-License-Identifier: BSD-2-Clause */
/* confcheck FILE...: parses each as `peregrined -p` would, without a daemon; "-q" keeps warnings out, "-t"
 * tells the time. */
#include "controlplane/config/arena.h"
#include "controlplane/config/config.h"
#include "shared/clock.h"
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
	bool quiet = false, timed = false;
	int bad = 0;

	log_init("confcheck");
	for (int i = 1; i < argc; i++) {
		struct config_error err;
		struct config *c;
		uint64_t start;
		char buf[1024];

		if (!strcmp(argv[i], "-q") || !strcmp(argv[i], "-t")) {
			quiet |= argv[i][1] == 'q';
			timed |= argv[i][1] == 't';
			if (quiet)
				log_configure(NULL, 0, NULL);
			continue;
		}
		start = clock_now_ns();
		c = config_read(argv[i], &err);
		if (!c) {
			config_error_format(&err, buf, sizeof(buf));
			fprintf(stderr, "confcheck: %s\n", buf);
			bad++;
			continue;
		}
		if (timed)
			printf("%s: %.3f s, %zu bytes, %u warnings\n", argv[i],
				(double)(clock_now_ns() - start) / 1e9, arena_bytes(c->arena), c->n_warnings);
		config_release(c);
	}
	return bad ? 1 : 0;
}
