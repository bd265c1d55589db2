/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * EVPN routes (RFC 7432, 9136): type, length and fields, as on the wire. What identifies a route is the same
 * with what does not (ESI, labels, gateway, as RFC 7432 section 7 and RFC 9136 section 3.1 say for each type)
 * set to zero, and a second label left out. Types that we do not know are identified by all they say. Pure,
 * any thread.
 */
#pragma once
#include "controlplane/filter/value.h"

enum evpn_type { EVPN_EAD = 1, EVPN_MAC, EVPN_IMET, EVPN_ES, EVPN_PREFIX };

#define EVPN_MAX_BYTES 257u

/* Type, length and the fields of one; out: room for as much. NULL, or what is wrong. rd: the distinguisher, 0
 * when there is none. */
const char *evpn_identity(const uint8_t *data, size_t len, struct nlri *out, uint64_t *rd);
/* "evpn imet 65000:1 0 192.0.2.1", as BIRD prints them. Returns what snprintf would. */
size_t evpn_format(const struct nlri *n, char *buf, size_t size);
/* What does not identify a route that was received so: "esi 00:... label 0x0003e8". */
size_t evpn_details(const uint8_t *data, size_t len, char *buf, size_t size);
