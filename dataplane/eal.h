/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Starting DPDK so that it neither talks nor needs setting up: memory chosen
 * by what the host has, no shared files (several peregrine-dp live side by
 * side), no PCI scan unless asked for, its log turned into ours.
 */
#pragma once
#include "dataplane/options.h"
#include <stdbool.h>

struct eal {
	bool started;
	bool hugepages;
	unsigned nworkers;
	unsigned lcore[OPTIONS_WORKERS];
};

/* 0, or a negative errno with a sentence in err. */
int eal_start(const struct options *o, struct eal *e, char err[OPTIONS_ERR]);
void eal_stop(void);

/* The last complaint of DPDK since eal_forget_errors(), "" if none. Manager thread. */
const char *eal_last_error(void);
/* Why something below a port was refused: the kernel's own words if it had any, else DPDK's first complaint.
 */
const char *eal_reason(void);
void eal_forget_errors(void);
/* From now on complaints are logged as they come (before, they only explain a failure). */
void eal_log_live(bool live);
