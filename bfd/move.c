/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A running session goes from one engine to another: everything that is indexed
 * by its slot is taken out here and put in there, so that it is the same session
 * to its remote: state, timers, poll sequence, authentication and echo numbers,
 * the time of its next packet. What its packets look like does not change, so
 * the short way of receiving stays open (core.h). Counters are published before,
 * because the statistics have one writer at a time.
 *
 * Both engines must use one clock and one salt of discriminators, and the
 * hand-over must order what the first wrote before what the second reads.
 */
#include "bfd/core.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct bfd_moved {
	struct session_hot hot;
	struct bfd_line line, echo;
	struct bfd_link link, echo_link;
	struct session session;
};

struct bfd_moved *bfd_moved_create(void)
{
	struct bfd_moved *m = aligned_alloc(64, (sizeof(*m) + 63) / 64 * 64);

	if (m)
		memset(m, 0, sizeof(*m));
	return m;
}

void bfd_moved_destroy(struct bfd_moved *m)
{
	if (m)
		free(m->session.buffer);
	free(m);
}

int bfd_engine_export(struct bfd_engine *e, uint32_t slot, struct bfd_moved *out, uint64_t now_ns)
{
	if (slot >= e->capacity || !e->session[slot].generation || out->session.generation)
		return -ENOENT;
	session_flush_counters(e, slot);
	out->line = e->line[slot];
	out->echo = e->line[e->capacity + slot];
	out->link = e->link[slot];
	out->echo_link = e->link[e->capacity + slot];
	out->hot = e->hot[slot];
	out->session = e->session[slot];
	session_forget(e, slot, now_ns);
	return 0;
}

/* Into the list that it was in, its time unchanged. */
static void into_list(struct bfd_engine *e, uint32_t id, const struct bfd_link *was)
{
	e->link[id].due_slot = was->due_slot;
	if (was->list == BFD_LIST_URGENT)
		bfd_pacer_urge(&e->pacer, id);
	else if (was->list == BFD_LIST_WHEEL)
		bfd_pacer_restore(&e->pacer, id);
}

int bfd_engine_import(struct bfd_engine *e, uint32_t slot, struct bfd_moved *in, uint64_t now_ns)
{
	struct session *s;

	if (slot >= e->capacity || !in->session.generation ||
		(e->sessions && ((in->session.local_disc ^ e->disc_salt) & SLOT_MASK) != slot))
		return -EINVAL;
	s = &e->session[slot];
	if (s->generation)
		return -EEXIST;
	*s = in->session;
	memset(&in->session, 0, sizeof(in->session)); /* the buffer is ours now */
	e->hot[slot] = in->hot;
	session_enter(e, slot, now_ns);
	e->line[slot] = in->line;
	e->line[e->capacity + slot] = in->echo;
	into_list(e, slot, &in->link);
	into_list(e, e->capacity + slot, &in->echo_link);
	session_set_deadline(e, slot, now_ns);
	echo_arrived(e, slot, now_ns);
	bfd_session_publish(e, slot, now_ns); /* the owner is another */
	return 0;
}
