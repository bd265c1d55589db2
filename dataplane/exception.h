/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a standalone port needs a little network stack for: answering ARP and
 * neighbour solicitations for its own addresses, asking for others. Manager
 * thread only.
 */
#pragma once
#include "dataplane/dp.h"

void exception_poll(struct dp *dp);
/* Asks for the MAC of a watch on a standalone port. */
void exception_solicit(struct dp *dp, const struct neigh_watch *w);
