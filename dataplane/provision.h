/* SPDX-License-Identifier: BSD-2-Clause */
/* The server side of shared/ipc.h: peregrined provisions sessions here, observers look on. Manager thread
 * only. */
#pragma once
#include "dataplane/dp.h"

/* Starts listening (before DPDK starts: a socket in use is found out at once). 0 or -errno with a sentence.
 */
int provision_create(struct dp *dp, char err[OPTIONS_ERR]);
void provision_destroy(struct dp *dp);
void provision_port_event(struct dp *dp, const struct port *p);
void provision_flush(struct dp *dp); /* replies whose session is ready now */
void provision_tick(struct dp *dp);
