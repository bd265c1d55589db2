/* SPDX-License-Identifier: BSD-2-Clause */
/* What tests of the RIB and of export share: a rib with quiet shards, prefixes, attribute sets, filters from
 * text. */
#pragma once
#include "controlplane/config/config.h"
#include "controlplane/rib/internal.h"
#include "shared/rcu.h"
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* liburcu orders memory in assembly and is not instrumented: its own accesses are not what is tested
 * (shared/rcu.h). */
const char *__tsan_default_suppressions(void);
__attribute__((unused)) const char *__tsan_default_suppressions(void)
{
	return "called_from_lib:liburcu-memb.so\nrace:urcu_common_wake_up_gp\nrace:_urcu_memb_\nmutex:"
	       "liburcu\n"
	       "race:rcu_barrier\n";
}

static inline struct net net_of(const char *text)
{
	struct net n = {0};

	assert_int_equal(prefix_parse(text, &n.prefix), 0);
	n.type = n.prefix.family == 4 ? NET_IP4 : NET_IP6;
	return n;
}

static inline struct net net4(uint32_t host_order, unsigned len)
{
	struct ipaddr a = ipaddr_v4(htonl(host_order));
	struct net n = {.type = NET_IP4, .prefix = prefix_make(&a, len)};

	return n;
}

static inline struct ipaddr addr_of(const char *text)
{
	struct ipaddr a;

	assert_int_equal(ipaddr_parse(text, &a), 0);
	return a;
}

/* A BGP route with a path of n numbers from first on, through a gateway. */
static inline struct attrs bgp_attrs(
	uint8_t path[64], struct attr_nexthop *nh, uint32_t first, unsigned n, uint32_t gw)
{
	struct attrs a = {
		.present = ATTR_ORIGIN | ATTR_AS_PATH | ATTR_NEXT_HOP,
		.preference = 100,
		.dest = RTD_UNICAST,
		.as_path = path,
		.as_path_bytes = (uint16_t)(2 + 4 * n),
		.next_hop = ipaddr_v4(htonl(gw)),
		.nexthop = nh,
		.n_nexthop = 1,
	};

	path[0] = 2;
	path[1] = (uint8_t)n;
	for (unsigned i = 0; i < n; i++) {
		uint32_t be = htonl(first + i);

		memcpy(path + 2 + 4 * i, &be, 4);
	}
	*nh = (struct attr_nexthop){.gw = a.next_hop, .ifindex = 1, .weight = 1};
	return a;
}

static inline uint32_t simple_attrs(uint32_t first, unsigned n, uint32_t gw)
{
	struct attr_nexthop nh;
	uint8_t path[64];
	struct attrs a = bgp_attrs(path, &nh, first, n, gw);

	return attrs_intern(&a);
}

/* A BGP neighbour as source; number decides address and router id. */
static inline struct rib_source_config bgp_source(const char *name, unsigned number)
{
	struct rib_source_config c = {
		.proto_name = name,
		.channel_name = "ipv4",
		.type_name = "BGP",
		.source = RTS_BGP,
		.import.kind = FILTER_ALL,
		.peer = {.bgp = true,
			.external = true,
			.path_metric = true,
			.igp_metric = true,
			.default_local_pref = 100,
			.router_id = 1000 + number,
			.local_as = 65000,
			.remote_as = 100 + number,
			.addr = ipaddr_v4(htonl(0x0a000000 + number))},
	};

	return c;
}

static inline void count_tasks(struct rib_shard *s, void *arg)
{
	if (s->tasks || s->work->next)
		atomic_fetch_add((_Atomic unsigned *)arg, 1);
}

/* Until nobody has anything to do. */
static inline void rib_quiet(struct rib *rib)
{
	_Atomic unsigned busy;
	unsigned quiet = 0;

	while (quiet < 3) {
		busy = 0;
		rib_call_all(rib, count_tasks, &busy);
		quiet = busy ? 0 : quiet + 1;
		if (busy)
			usleep(200);
	}
}

static inline void post_sem(void *ctx)
{
	sem_post(ctx);
}

static inline void source_close_wait(struct rib_source *s)
{
	sem_t done;

	sem_init(&done, 0, 0);
	rib_source_close(s, post_sem, &done);
	sem_wait(&done);
	sem_destroy(&done);
}

static inline void announce(struct rib_source *s, const struct net *n, uint32_t path_id, uint32_t attrs)
{
	struct rib_batch *b = rib_batch_create(s);

	rib_batch_announce(b, n, path_id, attrs);
	rib_submit(b);
}

static inline void withdraw_net(struct rib_source *s, const struct net *n, uint32_t path_id)
{
	struct rib_batch *b = rib_batch_create(s);

	rib_batch_withdraw(b, n, path_id);
	rib_submit(b);
}

/* The views of a net, in a buffer of the caller's. */
union net_buffer {
	struct rib_net_view v;
	uint8_t room[sizeof(struct rib_net_view) + 64 * sizeof(struct rib_route_view)];
};

/* "filter f { ... }" as text; hold the configuration while the filter is in use. */
static inline struct filter_ref filter_from(const char *body, struct config **conf)
{
	struct config_error err = {0};
	const struct channel_config *ch;
	const struct proto_config *p;
	struct filter_ref r;
	char text[4096];
	int n = snprintf(text, sizeof(text),
		"router id 1.1.1.1;\nroa4 table roas;\nroa6 table roas6;\naspa table aspas;\nfilter f { %s "
		"}\nprotocol static origin1 { ipv4 { "
		"import "
		"filter f; }; }\n",
		body);

	*conf = config_parse_text("test", text, (size_t)n, false, &err);
	if (!*conf)
		fail_msg("%u: %s", err.line, err.text);
	p = config_find_protocol(*conf, "origin1");
	ch = cds_list_entry(p->channels.next, struct channel_config, node);
	r = ch->import;
	assert_int_equal(r.kind, FILTER_PROGRAM);
	return r;
}

static inline int rib_test_setup(void **state)
{
	rcu_register_thread();
	return attrs_init();
}

static inline int rib_test_teardown(void **state)
{
	rcu_barrier();
	attrs_exit();
	rcu_unregister_thread();
	return 0;
}
