/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * UPDATE bodies, read as each kind of session would (the first octet of the
 * input says which). What is accepted is then sent on as a second neighbour would get it:
 * that must be sound by our own reading, whatever came in.
 */
#include "controlplane/bgp/codec.h"
#include "controlplane/bgp/update.h"
#include "controlplane/fib/fib.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

bool ifaces_for_neighbor(
	struct ifaces *i, const struct ipaddr *a, struct iface_view *out, struct ipaddr *local)
{
	(void)i, (void)a, (void)local;
	out->ifindex = 1;
	return true;
}

bool ifaces_is_local(struct ifaces *i, const struct ipaddr *a)
{
	(void)i, (void)a;
	return false;
}

static void report(void *ctx, const char *line)
{
	(void)ctx;
	if (strlen(line) >= 256)
		abort();
}

enum { V6 = 1, AS2 = 2, INTERNAL = 4, CONFED = 8, ADD_PATH = 16, ALLOW = 32, AIGP = 64, EXT_NH = 128 };

static struct bgp_import_class make_class(uint8_t bits)
{
	struct bgp_import_class k;

	memset(&k, 0, sizeof(k));
	k.afi = bits & V6 ? 2 : 1;
	k.as4 = !(bits & AS2);
	k.internal = bits & INTERNAL;
	k.interior = bits & (INTERNAL | CONFED);
	k.gateway_recursive = bits & INTERNAL;
	k.direct = !(bits & INTERNAL);
	k.allow_as_sets = k.allow_local_pref = bits & ALLOW;
	k.allow_local_as = bits & ALLOW ? UINT32_MAX : 0;
	k.aigp = bits & AIGP;
	k.extended_next_hop = bits & EXT_NH;
	k.role = bits & CONFED ? BGP_ROLE_NONE : BGP_ROLE_PEER;
	k.local_as = k.public_as = 64500;
	k.remote_as = 64496;
	k.ifindex = 1;
	return k;
}

static struct bgp_decode_scratch scratch, scratch2;
static uint8_t key[65536], bytes[200000], out_scratch[400000] __attribute__((aligned(8)));

static void walk(struct bgp_bytes b, uint8_t afi, bool add_path)
{
	struct prefix p;
	uint32_t id;

	while (bgp_nlri_next(&b, afi, add_path, &id, &p) > 0) {
		struct prefix clean = prefix_make(&p.addr, p.len);
		uint8_t buf[32];

		if (p.family == 6 && ipaddr_is_v4(&p.addr))
			continue; /* not usable, and prefix_make() would take it for IPv4 */
		if (bgp_prefix_is_usable(&p) && !prefix_equal(&clean, &p))
			abort();
		if (bgp_encode_nlri(&p, id, add_path, buf) > 21)
			abort();
	}
}

/* As it leaves for an external neighbour with or without 4-octet numbers. */
static void send_on(const struct attrs *a, const struct bgp_import_class *k, bool as4)
{
	struct bgp_export_class x = {.afi = k->afi,
		.extended_next_hop = true,
		.external = true,
		.local_as = 64500,
		.public_as = 64500,
		.next_hop_keep = NHMODE_ALL,
		.role = BGP_ROLE_NONE};
	struct bgp_encode_class ec = {
		.afi = k->afi, .safi = 1, .as4 = as4, .extended_next_hop = true, .max_message = 65535};
	struct bgp_import_class peer = make_class(
		(uint8_t)((k->afi == 2 ? V6 : 0) | (as4 ? 0 : AS2) | CONFED | ALLOW | AIGP | EXT_NH));
	struct bgp_import_context c = {&peer, (struct ifaces *)1, NULL, NULL};
	struct attrs out, back;
	struct bgp_update u;
	struct bgp_error e;
	struct bgp_bytes none = {NULL, 0};
	struct prefix p = {.len = 0, .family = k->afi == 1 ? 4 : 6};
	uint8_t nlri[32];
	static uint8_t msg[66000], key2[66000];
	size_t n, len;

	peer.interior = false;
	if (BGP_EXPORT_SCRATCH(a) > sizeof(out_scratch) ||
		!bgp_export_attrs(&x, a, NULL, NULL, 0, &out, out_scratch, sizeof(out_scratch)))
		return;
	n = bgp_encode_attrs(&out, &ec, bytes, sizeof(bytes));
	if (!n)
		return;
	len = bgp_encode_update(
		&ec, &out, bytes, n, nlri, bgp_encode_nlri(&p, 0, false, nlri), msg, sizeof(msg));
	if (!len)
		return;
	if (bgp_frame(msg, len, 65535, &e) != (int)len ||
		bgp_update_split(msg + 19, len - 19, key2, &u, &e) < 0 || u.framing_error)
		abort();
	if (bgp_attrs_decode(&c, u.key, u.mp_reach ? u.next_hop : none, &scratch2, &back) != BGP_DECODE_OK)
		abort();
	if (back.as_path_bytes != out.as_path_bytes && as4)
		abort();
	if (back.n_community != (out.present & ATTR_COMMUNITY ? out.n_community : 0) ||
		back.n_extra != out.n_extra)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bgp_import_class k;
	struct bgp_import_context c = {&k, (struct ifaces *)1, report, NULL};
	struct bgp_bytes none = {NULL, 0};
	struct bgp_update u;
	struct bgp_error e;
	struct attrs a;
	uint16_t afi;
	uint8_t safi, bits;

	if (size < 1 || size > 65535)
		return 0;
	bits = data[0];
	k = make_class(bits);
	if (bgp_update_split(data + 1, size - 1, key, &u, &e) < 0) {
		if (e.code != BGP_ERR_UPDATE)
			abort();
		return 0;
	}
	bgp_update_is_end_of_rib(&u, &afi, &safi);
	walk(u.withdrawn, 1, bits & ADD_PATH);
	walk(u.nlri, 1, bits & ADD_PATH);
	walk(u.unreach, 2, bits & ADD_PATH);
	walk(u.reach, 2, bits & ADD_PATH);
	if (bgp_attrs_decode(&c, u.key, u.mp_reach ? u.next_hop : none, &scratch, &a) == BGP_DECODE_OK) {
		send_on(&a, &k, true);
		send_on(&a, &k, false);
	}
	return 0;
}
