/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/bfdgen/cut.h"
#include "bfd/pacer.h"
#include "shared/clock.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define HOT_NS (300 * NS_PER_US)
#define TICK_NS (100 * NS_PER_US)
#define PATIENCE_NS (2 * NS_PER_S) /* past the detection time: then the device did not notice */
#define RETURN_NS (10 * NS_PER_S)  /* for all to be Up again, else the next round begins without them */

int cut_create(struct cut *c, const struct cut_options *o, struct meter *m, uint64_t *random)
{
	memset(c, 0, sizeof(*c));
	c->o = *o;
	c->meter = m;
	c->random = random;
	c->item = calloc(o->count ? o->count : 1, sizeof(*c->item));
	return c->item ? 0 : -ENOMEM;
}

void cut_destroy(struct cut *c)
{
	free(c->item);
	c->item = NULL;
}

/* Selection sampling: each set of `count` sessions that are Up is as likely as any other. */
static void choose(struct cut *c, uint64_t now_ns, cut_step_fn *step, void *arg)
{
	struct meter *m = c->meter;
	uint32_t left = m->up, want = c->o.count < m->up ? c->o.count : m->up;

	c->nitems = 0;
	for (uint32_t i = 0; i < m->n && want; i++) {
		struct cut_item *k = &c->item[c->nitems];

		if (m->session[i].phase != METER_UP)
			continue;
		if ((uint64_t)bfd_random(c->random) * left-- >> 32 >= want)
			continue;
		want--;
		c->nitems++;
		*k = (struct cut_item){.session = i, .step = CUT_CHOSEN};
		k->at_ns = now_ns + c->o.lead_ns + (c->o.spread_ns * bfd_random(c->random) >> 32);
		step(arg, i, CUT_CHOSEN);
	}
	c->round++;
	c->round_ends_ns = 0;
}

/* The device's Down may come at any moment now. */
static bool is_due(const struct cut *c, const struct cut_item *k, uint64_t now_ns)
{
	uint64_t deadline =
		c->meter->session[k->session].sent_after_ns + meter_detect_ns(c->meter, k->session);

	return !k->noticed && now_ns + HOT_NS >= deadline && now_ns < deadline + 10 * HOT_NS;
}

static void advance(struct cut *c, struct cut_item *k, uint64_t now_ns, cut_step_fn *step, void *arg)
{
	struct meter_session *s = &c->meter->session[k->session];

	if (k->step == CUT_CHOSEN && now_ns >= k->at_ns) {
		if (s->phase != METER_UP) {
			/* It flapped meanwhile: not a cut of ours. */
			k->step = CUT_BACK;
		} else {
			k->step = CUT_SILENT;
			k->at_ns = now_ns + meter_detect_ns(c->meter, k->session) + PATIENCE_NS;
			meter_cut(c->meter, k->session);
		}
		step(arg, k->session, k->step);
	} else if (k->step == CUT_SILENT) {
		if (s->detections && !k->noticed) {
			k->noticed = true;
			k->at_ns = now_ns + c->o.hold_ns;
		}
		c->hot |= is_due(c, k, now_ns);
		if (now_ns >= k->at_ns) {
			k->step = CUT_BACK;
			meter_restore(c->meter, k->session);
			step(arg, k->session, CUT_BACK);
		}
	}
}

static bool all_back(const struct cut *c)
{
	for (uint32_t i = 0; i < c->nitems; i++)
		if (c->item[i].step != CUT_BACK || c->meter->session[c->item[i].session].phase != METER_UP)
			return false;
	return true;
}

static bool all_answered(const struct cut *c)
{
	for (uint32_t i = 0; i < c->nitems; i++)
		if (c->item[i].step != CUT_BACK)
			return false;
	return true;
}

bool cut_run(struct cut *c, uint64_t now_ns, cut_step_fn *step, void *arg)
{
	if (now_ns < c->next_ns)
		return true;
	c->next_ns = now_ns + TICK_NS;
	c->hot = false;
	if (c->nitems == 0 || all_back(c) || (c->round_ends_ns && now_ns >= c->round_ends_ns)) {
		if (c->round == c->o.rounds || c->meter->up == 0)
			return false;
		choose(c, now_ns, step, arg);
		return true;
	}
	for (uint32_t i = 0; i < c->nitems; i++)
		advance(c, &c->item[i], now_ns, step, arg);
	if (!c->round_ends_ns && all_answered(c))
		c->round_ends_ns = now_ns + RETURN_NS;
	return true;
}
