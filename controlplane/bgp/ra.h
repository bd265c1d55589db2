/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Router Advertisements (RFC 4861), as far as neighbours find each other by them:
 * on one interface, who else advertises, and that we do. What we send has router
 * lifetime 0 and no prefixes: nobody gets a default route or an address from it.
 *
 * Sends one when it begins, each RA_INTERVAL_S, and when somebody asks; listens all the time. Waits for an
 * interface that is not there, and takes notice when another has its name.
 *
 * Main thread only.
 */
#pragma once
#include "shared/addr.h"
#include <stddef.h>

#define RA_INTERVAL_S 10u

struct loop;
struct ra_link;

enum ra_kind { RA_NONE, RA_SOLICITATION, RA_ADVERTISEMENT };
/* What an ICMPv6 message is, with the checks of RFC 4861 sections 6.1.1 and 6.1.2; RA_NONE: anything else, or
 * not valid. The checksum is the kernel's. */
enum ra_kind ra_read(const uint8_t *msg, size_t len, int hop_limit, const struct ipaddr *from);
/* An advertisement as we send it; mac NULL: the link has none. Its length. */
#define RA_LEN 24u
size_t ra_make(const uint8_t mac[6], uint8_t buf[RA_LEN]);

/* name: for the log. heard() for each advertisement of somebody else; false: the link has been closed. NULL:
 * out of memory. */
struct ra_link *ra_open(struct loop *l, const char *name, const char *ifname,
	bool (*heard)(void *ctx, const struct ipaddr *from), void *ctx);
void ra_close(struct ra_link *r); /* NULL is allowed */
