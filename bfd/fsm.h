/* SPDX-License-Identifier: BSD-2-Clause */
/* The state machine of RFC 5880 section 6.8.6, and the arithmetic of sections 6.8.2 and 6.8.4. Pure. */
#pragma once
#include "bfd/session.h"

struct bfd_transition {
	uint8_t state;
	uint8_t diag; /* bfd.LocalDiag when changed */
	bool changed;
};

/* The effect of a received State field on a session in the given state. */
struct bfd_transition bfd_fsm_receive(uint8_t state, uint8_t received);

/* Section 6.8.2: what we send at, before jitter. */
static inline uint32_t bfd_tx_interval(uint32_t desired_min_tx_us, uint32_t remote_min_rx_us)
{
	return desired_min_tx_us > remote_min_rx_us ? desired_min_tx_us : remote_min_rx_us;
}

/* Section 6.8.4, asynchronous mode; the product of two fields needs 40 bits. */
static inline uint64_t bfd_detect_time_us(
	uint8_t remote_mult, uint32_t required_min_rx_us, uint32_t remote_min_tx_us)
{
	return (uint64_t)remote_mult *
	       (required_min_rx_us > remote_min_tx_us ? required_min_rx_us : remote_min_tx_us);
}
