/* SPDX-License-Identifier: BSD-2-Clause */
/* What can be said about a session without running it: names, checks, and the state machine as a table. */
#include "bfd/session.h"
#include "bfd/engine.h"
#include "bfd/fsm.h"
#include "bfd/packet.h"

const char *bfd_state_name(uint8_t state)
{
	static const char *const names[] = {"AdminDown", "Down", "Init", "Up"};

	return state < 4 ? names[state] : "?";
}

const char *bfd_diag_name(uint8_t diag)
{
	static const char *const names[] = {"None", "Time expired", "Echo failed", "Neighbor down",
		"Fwd plane reset", "Path down", "Concat path down", "Admin down", "Rev concat path down"};

	return diag < sizeof(names) / sizeof(*names) ? names[diag] : "Unknown";
}

static const char *check_auth(const struct bfd_params *p)
{
	unsigned max =
		p->auth_type == BFD_AUTH_KEYED_SHA1 || p->auth_type == BFD_AUTH_METICULOUS_SHA1 ? 20 : 16;
	bool send = false, accept = false;

	if (p->auth_type == BFD_AUTH_NONE)
		return NULL;
	if (p->auth_type > BFD_AUTH_METICULOUS_SHA1)
		return "unknown authentication type";
	for (unsigned i = 0; i < BFD_AUTH_KEYS; i++) {
		const struct bfd_auth_key *k = &p->auth[i];

		if (!k->len)
			continue;
		if (k->len > max)
			return max == 20 ? "authentication key longer than 20 bytes"
					 : "authentication key longer than 16 bytes";
		send |= k->send;
		accept |= k->accept;
	}
	if (!send)
		return "authentication without a key to send with";
	if (!accept)
		return "authentication without a key to accept";
	return NULL;
}

static bool bad_interval(uint32_t us)
{
	return us < BFD_MIN_INTERVAL_US;
}

const char *bfd_params_check(const struct bfd_key *key, const struct bfd_params *p)
{
	if (key->kind > BFD_KIND_ECHO_ONLY)
		return "unknown kind of session";
	if (ipaddr_is_zero(&key->remote))
		return "no remote address";
	if (!ipaddr_is_zero(&key->local) && ipaddr_is_v4(&key->local) != ipaddr_is_v4(&key->remote))
		return "local and remote address of different families";
	if (key->kind == BFD_KIND_SINGLEHOP && !key->ifindex)
		return "single-hop session without an interface";
	if (key->kind == BFD_KIND_MULTIHOP && key->ifindex)
		return "multihop session with an interface";
	if (key->kind == BFD_KIND_ECHO_ONLY && !key->ifindex)
		return "echo session without an interface";
	if (key->kind == BFD_KIND_SBFD && !p->sbfd_disc)
		return "S-BFD session without the reflector's discriminator";
	if (key->kind >= BFD_KIND_SBFD && (p->demand || p->passive || p->echo_tx_us))
		return "option not possible with this kind of session";
	if (key->kind == BFD_KIND_ECHO_ONLY && p->auth_type)
		return "option not possible with this kind of session";
	if (!p->detect_mult)
		return "detection multiplier 0";
	if (bad_interval(p->min_tx_us))
		return "transmit interval below 1 ms";
	/* 0 is a wish of its own: "send me nothing periodically" (RFC 5880 section 4.1). */
	if (p->min_rx_us && bad_interval(p->min_rx_us))
		return "receive interval below 1 ms";
	if (p->idle_tx_us < BFD_MIN_IDLE_US)
		return "idle transmit interval below 1 s";
	if (p->echo_tx_us && bad_interval(p->echo_tx_us))
		return "echo interval below 1 ms";
	if (p->echo_tx_us && key->kind == BFD_KIND_MULTIHOP)
		return "echo on a multihop session";
	if (key->kind == BFD_KIND_SINGLEHOP && p->auth_type == BFD_AUTH_NONE && p->min_ttl != 255)
		return "single-hop session without authentication needs TTL 255"; /* RFC 5881 section 5 */
	if (p->damp_flaps && (p->damp_flaps < 2 || p->damp_flaps > BFD_DAMP_FLAPS))
		return "dampening after fewer than 2 or more than 8 flaps";
	if (p->damp_flaps && (!p->damp_within_us || !p->damp_hold_us || p->damp_max_us < p->damp_hold_us))
		return "dampening without a time, or with a longest hold that is shorter than the first";
	if (p->padded_len && (p->padded_len < BFD_PACKET_MAX || p->padded_len > BFD_PADDED_MAX))
		return "padded length out of range";
	return check_auth(p);
}

/* RFC 5880 section 6.8.6, the part after "Update the Detection Time". */
struct bfd_transition bfd_fsm_receive(uint8_t state, uint8_t received)
{
	struct bfd_transition stay = {state, BFD_DIAG_NONE, false};
	struct bfd_transition neighbor_down = {BFD_DOWN, BFD_DIAG_NEIGHBOR_DOWN, true};
	struct bfd_transition init = {BFD_INIT, BFD_DIAG_NONE, true};
	struct bfd_transition up = {BFD_UP, BFD_DIAG_NONE, true};

	if (state == BFD_ADMIN_DOWN)
		return stay;
	if (received == BFD_ADMIN_DOWN)
		return state == BFD_DOWN ? stay : neighbor_down;
	switch (state) {
	case BFD_DOWN:
		if (received == BFD_DOWN)
			return init;
		return received == BFD_INIT ? up : stay;
	case BFD_INIT: return received == BFD_INIT || received == BFD_UP ? up : stay;
	default: return received == BFD_DOWN ? neighbor_down : stay;
	}
}

uint32_t bfd_discriminator_make(uint32_t salt, uint32_t generation, uint32_t slot)
{
	uint32_t disc = salt ^ (generation << BFD_SLOT_BITS | (slot & ((1u << BFD_SLOT_BITS) - 1)));

	/* 0 is no discriminator; the top bit belongs to the generation, so the slot is found all the same. */
	return disc ? disc : UINT32_C(0x80000000);
}

uint32_t bfd_discriminator_slot(uint32_t salt, uint32_t disc)
{
	return (salt ^ disc) & ((1u << BFD_SLOT_BITS) - 1);
}
