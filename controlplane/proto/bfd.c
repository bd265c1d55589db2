/* SPDX-License-Identifier: BSD-2-Clause */
/* `protocol bfd`: hands its options to the BFD client, which owns the sessions. */
#include "controlplane/bfd/bfd_client.h"
#include "controlplane/proto/proto.h"

static int bfd_start(struct proto *p)
{
	bfd_client_configure(p->daemon->bfd, p->cf->body, p->cf->name);
	proto_set_state(p, PS_UP);
	return 0;
}

static void bfd_stop(struct proto *p, const char *message)
{
	(void)message;
	bfd_client_configure(p->daemon->bfd, NULL, NULL);
	proto_set_state(p, PS_DOWN);
}

static void bfd_reconfigure(struct proto *p, const struct proto_config *old, uint32_t change)
{
	(void)old;
	(void)change;
	bfd_client_configure(p->daemon->bfd, p->cf->body, p->cf->name);
}

const struct proto_ops bfd_ops = {
	.type = PROTO_BFD,
	.start = bfd_start,
	.stop = bfd_stop,
	.reconfigure = bfd_reconfigure,
};
