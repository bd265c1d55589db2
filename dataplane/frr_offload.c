/* SPDX-License-Identifier: BSD-2-Clause */
#include "dataplane/frr_offload.h"

int frr_create(struct dp *dp, char err[OPTIONS_ERR])
{
	return 0;
}
void frr_destroy(struct dp *dp)
{
}
void frr_tick(struct dp *dp)
{
}
void frr_session_changed(struct dp *dp, uint32_t slot, const struct linkstate_entry *e)
{
}
