/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Answering a neighbour that has no session here (RFC 4486): one that is disabled is told so (Cease,
 * Administrative Shutdown, with the message of RFC 9003), anybody else that he is not known (Connection
 * Rejected), instead of finding the connection closed, so that the operator sees why. Main thread.
 */
#pragma once
#include "controlplane/proto/proto.h"

/* A connection from remote that belongs to no running session. Takes fd over. *open counts those that are
 * being told; beyond a number of them, strangers are not. False: it is nobody that we know. */
bool bgp_refuse(struct daemon *d, const struct ipaddr *remote, int fd, unsigned *open);
