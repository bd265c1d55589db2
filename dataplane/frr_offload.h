/* SPDX-License-Identifier: BSD-2-Clause */
/* FRR's distributed BFD: bfdd provisions sessions here as it would a line card. Manager thread only. */
#pragma once
#include "dataplane/dp.h"

int frr_create(struct dp *dp, char err[OPTIONS_ERR]);
void frr_destroy(struct dp *dp);
void frr_tick(struct dp *dp);
void frr_session_changed(struct dp *dp, uint32_t slot, const struct linkstate_entry *e);
