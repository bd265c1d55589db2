/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Everything that a stranger can send: frames into the parser, UDP payloads
 * into an engine that has sessions of all kinds, with the clock moving, sweeps
 * and transmissions in between. The first bytes of the input steer; the rest
 * are packets of [control][length][bytes].
 */
#include "bfd/auth.h"
#include "bfd/engine.h"
#include "bfd/frame.h"
#include "bfd/packet.h"
#include "shared/clock.h"
#include <assert.h>
#include <sanitizer/lsan_interface.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define SESSIONS 10u
#define SALT 0x600df00du

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct world {
	struct linkstate ls;
	struct bfd_engine *engine;
	struct ipaddr peer, own;
	uint64_t now;
	bool has[SESSIONS];
};

static uint32_t disc_of(uint32_t slot)
{
	return bfd_discriminator_make(SALT, slot + 1, slot);
}

/* Slot i: authentication type i while there are such, then multihop, demand with echo, S-BFD, unaffiliated
 * echo. */
static struct bfd_params params_of(uint32_t i)
{
	struct bfd_params p = {
		.min_tx_us = 10000,
		.min_rx_us = 10000,
		.idle_tx_us = 1000000,
		.min_echo_rx_us = 50000,
		.detect_mult = 3,
		.min_ttl = 255,
	};

	if (i <= BFD_AUTH_METICULOUS_SHA1) {
		p.auth_type = (uint8_t)i;
		p.auth[0] = (struct bfd_auth_key){
			.id = 1, .len = 5, .secret = "first", .send = true, .accept = true};
		p.auth[1] = (struct bfd_auth_key){.id = 2, .len = 6, .secret = "second", .accept = true};
	}
	if (i == 6)
		p.min_ttl = 1;
	if (i == 7) {
		p.demand = true;
		p.echo_tx_us = 20000;
	}
	if (i == 8)
		p.sbfd_disc = 4711;
	return p;
}

/* Making an engine costs system calls and a calendar, a thousand times what an input costs: so one serves for
 * many inputs, each with sessions of its own, made when the first packet for one comes. */
#define INPUTS_PER_WORLD 65536u

/* The coverage that steers the fuzzer is the engine's; tracing the comparisons of these checks cost more than
 * all the rest. */
#define UNTRACED __attribute__((no_sanitize("coverage")))

static void make_world(struct world *w)
{
	struct bfd_engine_options o = {.capacity = SESSIONS, .seed = 1};

	w->now = 1000 * NS_PER_S;
	w->peer = ipaddr_v4(htonl(0xc0000202));
	w->own = ipaddr_v4(htonl(0xc0000201));
	if (linkstate_create(&w->ls, SESSIONS, false) < 0 || !(w->engine = bfd_engine_create(&w->ls, &o)))
		abort();
}

static void end_world(struct world *w)
{
	bfd_engine_destroy(w->engine);
	linkstate_close(&w->ls);
}

static void want_session(struct world *w, uint32_t i)
{
	struct bfd_params p;
	struct bfd_key k = {.local = w->own, .remote = w->peer, .ifindex = i + 1};

	if (w->has[i])
		return;
	w->has[i] = true;
	p = params_of(i);
	if (i == 6) {
		k.kind = BFD_KIND_MULTIHOP;
		k.ifindex = 0;
	}
	if (i == 8)
		k.kind = BFD_KIND_SBFD;
	if (i == 9)
		k.kind = BFD_KIND_ECHO_ONLY;
	if (bfd_engine_add(w->engine, i, i + 1, disc_of(i), &k, &p, w->now) < 0)
		abort();
}

/* What was published must make sense whatever came in. */
UNTRACED static void check(struct world *w)
{
	for (uint32_t i = 0; i < SESSIONS; i++) {
		struct linkstate_entry e;
		if (!w->has[i])
			continue;
		assert(linkstate_read(&w->ls, i, &e));
		assert(e.generation == i + 1 && e.local_disc == disc_of(i));
		assert(e.state <= BFD_UP);
		assert(e.state != BFD_UP || (e.remote_disc && e.remote_detect_mult));
	}
}

UNTRACED static void transmit(struct world *w)
{
	struct bfd_tx out[4];
	unsigned n;

	for (int rounds = 0; (n = bfd_engine_tx(w->engine, w->now, out, 4)) > 0; rounds++) {
		assert(rounds < 64);
		for (unsigned i = 0; i < n; i++) {
			struct bfd_packet p;
			assert(out[i].slot < SESSIONS);
			if (out[i].kind == BFD_TX_ECHO && out[i].slot == 7)
				continue;
			assert(bfd_packet_parse(out[i].payload, out[i].len, &p) == 0);
			assert(p.my_disc == disc_of(out[i].slot));
		}
	}
}

static void reflect(struct bfd_rx rx, uint8_t control, uint32_t target)
{
	struct bfd_reflector r = {.discriminator = 4711, .params = params_of(target)};
	struct bfd_auth_rx st = {0};
	uint8_t reply[BFD_PACKET_MAX];
	struct bfd_packet p;
	uint16_t len;

	r.params.admin_down = control & 2;
	rx.dport = BFD_PORT_SBFD;
	if (bfd_sbfd_reflect(&rx, &r, reply, &len) != BFD_RX_REFLECT)
		return;
	assert(bfd_packet_parse(reply, len, &p) == 0 && p.my_disc == 4711);
	assert(bfd_auth_verify(&r.params, reply, &p, &st) == 0);
}

/* Packets made to be nearly right: the right discriminator, and a correct signature if asked for. */
static void feed(struct world *w, uint8_t control, const uint8_t *bytes, size_t len)
{
	uint8_t b[256];
	uint32_t target = control & 7, slot;
	uint8_t port = len ? bytes[len - 1] & 3 : 0;
	struct bfd_rx rx = {.payload = b,
		.len = (uint16_t)len,
		.dport = BFD_PORT_CONTROL,
		.ifindex = target + 1,
		.ttl = 255,
		.src = w->peer,
		.dst = w->own};

	memcpy(b, bytes, len);
	want_session(w, target);
	if (target == 6) {
		rx.dport = BFD_PORT_MULTIHOP;
		rx.ttl = 64;
	}
	if (port == 1) {
		rx.dport = BFD_PORT_ECHO;
		rx.ttl = 254 + (control >> 3 & 1);
		target = 7 + target % 3;
		want_session(w, target);
	} else if (port == 2) {
		rx.dport = 50000;
		rx.sport = BFD_PORT_SBFD;
		target = 8;
		want_session(w, target);
	}
	if (control & 8 && len >= BFD_PACKET_LEN) {
		b[0] = (uint8_t)(0x20 | (b[0] & 0x1f));
		b[3] = BFD_PACKET_LEN;
		b[1] &= (uint8_t) ~(BFD_FLAG_AUTH | BFD_FLAG_MULTIPOINT);
		if (control & 16)
			bfd_put32(b + 8, port == 3 && control & 1 ? 4711 : disc_of(target));
	}
	if (control & 32 && len >= BFD_PACKET_MAX) {
		struct bfd_params p = params_of(target);
		rx.len = (uint16_t)bfd_auth_sign(&p, bfd_get32(bytes + BFD_PACKET_LEN), b);
	}
	/* At the very end of an object, so that a read past the end is seen. */
	static uint8_t room[sizeof(b)];
	rx.payload = memcpy(room + sizeof(room) - rx.len, b, rx.len);
	if (port == 3 && control & 1)
		reflect(rx, control, target);
	enum bfd_rx_result r = bfd_engine_rx(w->engine, &rx, w->now, &slot);
	if (r == BFD_RX_OK || r == BFD_RX_REFLECT)
		assert(slot < SESSIONS);
}

static void fuzz_frame(const uint8_t *data, size_t size)
{
	for (int partial = 0; partial < 2; partial++) {
		struct bfd_rx rx;
		if (bfd_frame_parse(data, (uint32_t)size, partial, &rx) < 0)
			continue;
		assert(rx.payload >= data && rx.payload + rx.len <= data + size);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct world w;
	static unsigned inputs;
	const uint8_t *end = data + size;

	fuzz_frame(data, size);
	if (inputs++ % INPUTS_PER_WORLD == 0) {
		if (w.engine)
			end_world(&w);
		__lsan_disable(); /* outlives the input */
		make_world(&w);
		__lsan_enable();
	}
	while (data + 2 <= end) {
		uint8_t control = data[0], len = data[1];

		data += 2;
		if (len > end - data)
			len = (uint8_t)(end - data);
		feed(&w, control, data, len);
		data += len;
		/* From 1 ms to 64 s. */
		if (control & 64)
			w.now += NS_PER_MS << (control & 15);
		if (control & 128) {
			bfd_engine_sweep(w.engine, w.now);
			transmit(&w);
			(void)bfd_engine_next_ns(w.engine, w.now);
		}
	}
	check(&w);
	for (uint32_t i = 0; i < SESSIONS; i++)
		if (w.has[i] && bfd_engine_remove(w.engine, i, w.now) < 0)
			abort();
	memset(w.has, 0, sizeof(w.has));
	return 0;
}
