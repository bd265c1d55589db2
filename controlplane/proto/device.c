/* SPDX-License-Identifier: BSD-2-Clause */
/* `protocol device`: interfaces are followed all the time by controlplane/fib; the protocol is up and that is
 * all. */
#include "controlplane/proto/proto.h"

static int device_start(struct proto *p)
{
	proto_set_state(p, PS_UP);
	return 0;
}

static void device_stop(struct proto *p, const char *message)
{
	(void)message;
	proto_set_state(p, PS_DOWN);
}

const struct proto_ops device_ops = {
	.type = PROTO_DEVICE,
	.start = device_start,
	.stop = device_stop,
};
