/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Answering a neighbour whose session is disabled here: it is told so (Cease,
 * Administrative Shutdown, with the message of RFC 9003) instead of finding its
 * connection closed, so that its operator sees why. Main thread.
 */
#pragma once
#include "controlplane/proto/proto.h"

/* A connection from remote that belongs to no running session. Takes fd over if a disabled protocol is meant
 * and returns true. */
bool bgp_refuse_disabled(struct daemon *d, const struct ipaddr *remote, int fd);
