/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The floor: a "daemon" that answers OPEN, frames UPDATEs and hands them on
 * unparsed, to all others (rs) or from the first feeder to the receivers
 * (feeds; a receiver that comes later gets all of it from memory). What it
 * takes is what the sockets take; no daemon that parses can be faster.
 */
#pragma once
#include "tools/bgpgen/options.h"

/* Serves until it is ended. 2 when it cannot listen. */
int relay_run(const struct options *o);
