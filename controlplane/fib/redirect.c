/* SPDX-License-Identifier: BSD-2-Clause */
#include "controlplane/fib/redirect.h"
#include "controlplane/fib/mem.h"
#include "shared/rcu.h"
#include <errno.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <netinet/in.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SLOTS 65536u
#define PROGRAM_MAX 512
/* Headers of Linux 6.1 do not have it. */
#define TCX_EGRESS 47
#define TCX_GO_ON (-1)
/* Linux 6.10. */
#define LOOKUP_MARK 32
/* In every namespace. */
#define LOOPBACK 1
/* In skb->tc_index: has been redirected. A backup on the same port comes by a second time. */
#define SEEN 0x7e5e
#define AF_IP4 2
#define AF_IP6 10

struct hop_key {
	uint32_t ifindex;
	uint32_t families; /* of the packet, of the gateway << 8 */
	uint32_t gw[4];
};
struct hop_value {
	uint32_t slot;
	uint32_t ifindex;       /* out of which port instead */
	uint32_t family, gw[4]; /* to whom there; family 0: whom the table names */
};

struct port {
	uint32_t ifindex;
	int link;
};

struct redirect {
	int state_fd, hops_fd, prog_fd;
	_Atomic uint64_t *state; /* [0]: how many are lost; [slot]: this one is */
	pthread_mutex_t lock;    /* of the free list */
	uint32_t *free_slot, n_free, next_slot;
	_Atomic uint32_t returning; /* slots that wait for their grace period */
	struct port *port;
	unsigned n_ports;
	bool said; /* that the program could not be attached */
};

static int sys_bpf(int cmd, union bpf_attr *a, size_t size)
{
	long rc = syscall(SYS_bpf, cmd, a, size);

	return rc < 0 ? -errno : (int)rc;
}

static int make_map(uint32_t type, uint32_t key, uint32_t value, uint32_t max, uint32_t flags)
{
	union bpf_attr a = {0};

	a.map_type = type;
	a.key_size = key;
	a.value_size = value;
	a.max_entries = max;
	a.map_flags = flags;
	return sys_bpf(BPF_MAP_CREATE, &a, sizeof(a));
}

/* ---- the program ---- */

#define INSN(c, d, s, o, i)                                                                                  \
	((struct bpf_insn){.code = (c), .dst_reg = (d), .src_reg = (s), .off = (o), .imm = (i)})
#define MOV(d, s) INSN(BPF_ALU64 | BPF_MOV | BPF_X, d, s, 0, 0)
#define SET(d, i) INSN(BPF_ALU64 | BPF_MOV | BPF_K, d, 0, 0, i)
#define ADD(d, i) INSN(BPF_ALU64 | BPF_ADD | BPF_K, d, 0, 0, i)
#define ADD_REG(d, s) INSN(BPF_ALU64 | BPF_ADD | BPF_X, d, s, 0, 0)
#define SHL(d, i) INSN(BPF_ALU64 | BPF_LSH | BPF_K, d, 0, 0, i)
#define AND(d, i) INSN(BPF_ALU64 | BPF_AND | BPF_K, d, 0, 0, i)
#define OR(d, s) INSN(BPF_ALU64 | BPF_OR | BPF_X, d, s, 0, 0)
#define LOAD(size, d, s, o) INSN(BPF_LDX | BPF_MEM | (size), d, s, o, 0)
#define STORE(size, d, o, s) INSN(BPF_STX | BPF_MEM | (size), d, s, o, 0)
#define IF_EQ(d, i, to) INSN(BPF_JMP | BPF_JEQ | BPF_K, d, 0, to, i)
#define IF_NE(d, i, to) INSN(BPF_JMP | BPF_JNE | BPF_K, d, 0, to, i)
#define IF_GE(d, i, to) INSN(BPF_JMP | BPF_JGE | BPF_K, d, 0, to, i)
#define IF_NE_REG(d, s, to) INSN(BPF_JMP | BPF_JNE | BPF_X, d, s, to, 0)
#define IF_EQ_REG(d, s, to) INSN(BPF_JMP | BPF_JEQ | BPF_X, d, s, to, 0)
#define GO(to) INSN(BPF_JMP | BPF_JA, 0, 0, to, 0)
#define CALL(f) INSN(BPF_JMP | BPF_CALL, 0, 0, 0, f)
#define EXIT() INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)
#define MAP(d, kind, fd) INSN(BPF_LD | BPF_DW | BPF_IMM, d, kind, 0, fd), INSN(0, 0, 0, 0, 0)
#define CTX(field) (int16_t) offsetof(struct __sk_buff, field)

/* Jumps to be filled in. */
#define TO_PASS 0x7001
#define TO_V4 0x7002
#define TO_V6 0x7003
#define TO_LOOK_UP 0x7004
#define TO_FIXED 0x7005
#define TO_CHECK 0x7006
#define TO_SEND 0x7007
#define HERE(label) INSN(0xff, 0, 0, label, 0)

/* The stack. */
#define PARAMS (-64) /* struct bpf_fib_lookup */
#define KEY (-88)    /* struct hop_key */
#define V4_ADDRS (-96)
#define ADDRS (-128)  /* source, destination: 16 bytes each */
#define TARGET (-152) /* struct bpf_redir_neigh: family, address */
#define FLOW (-156)   /* traffic class, for IPv6 with the flow label: rules look at it */
#define DMAC (-168)   /* 6 bytes of 8 */
#define P(field) (int16_t)(PARAMS + (int)offsetof(struct bpf_fib_lookup, field))
#define K(field) (int16_t)(KEY + (int)offsetof(struct hop_key, field))
#define V(field) (int16_t) offsetof(struct hop_value, field)
enum { R0, R1, R2, R3, R4, R5, SKB, FAMILY, IFINDEX, VALUE, STACK }; /* r6 to r9 outlive calls */

_Static_assert(sizeof(struct bpf_fib_lookup) == 64, "on the stack");
_Static_assert(sizeof(struct bpf_redir_neigh) == 20, "family and address");

#define COPY(size, from, at, to, there) LOAD(size, R1, from, at), STORE(size, to, there, R1)
/* bpf_fib_lookup() of the packet out of IFINDEX; what it says is in PARAMS. */
#define ASK_TABLE(flags)                                                                                     \
	SET(R1, 0), STORE(BPF_DW, STACK, PARAMS, R1), STORE(BPF_DW, STACK, PARAMS + 8, R1),                  \
		STORE(BPF_DW, STACK, PARAMS + 48, R1), STORE(BPF_DW, STACK, PARAMS + 56, R1),                \
		COPY(BPF_DW, STACK, ADDRS, STACK, P(ipv6_src)),                                              \
		COPY(BPF_DW, STACK, ADDRS + 8, STACK, P(ipv6_src) + 8),                                      \
		COPY(BPF_DW, STACK, ADDRS + 16, STACK, P(ipv6_dst)),                                         \
		COPY(BPF_DW, STACK, ADDRS + 24, STACK, P(ipv6_dst) + 8),                                     \
		STORE(BPF_B, STACK, P(family), FAMILY), STORE(BPF_W, STACK, P(ifindex), IFINDEX),            \
		COPY(BPF_W, STACK, FLOW, STACK, P(flowinfo)), SET(R4, BPF_FIB_LOOKUP_OUTPUT | (flags)),      \
		LOAD(BPF_W, R1, SKB, CTX(mark)), IF_EQ(R1, 0, 2), STORE(BPF_W, STACK, P(smac), R1),          \
		ADD(R4, LOOKUP_MARK), MOV(R1, SKB), MOV(R2, STACK), ADD(R2, PARAMS),                         \
		SET(R3, sizeof(struct bpf_fib_lookup)), CALL(BPF_FUNC_fib_lookup), IF_NE(R0, 0, TO_PASS),    \
		LOAD(BPF_W, R1, STACK, P(ifindex)), IF_NE_REG(R1, IFINDEX, TO_PASS)
/* The entry of the hop that KEY names, in R0. */
#define FIND_HOP()                                                                                           \
	MAP(R1, BPF_PSEUDO_MAP_FD, hops_fd), MOV(R2, STACK), ADD(R2, KEY), CALL(BPF_FUNC_map_lookup_elem)
/* Its state, in R1. */
#define IS_LOST(entry)                                                                                       \
	LOAD(BPF_W, R1, entry, V(slot)), IF_GE(R1, SLOTS, TO_PASS), SHL(R1, 3),                              \
		MAP(R2, BPF_PSEUDO_MAP_VALUE, state_fd), ADD_REG(R2, R1), LOAD(BPF_DW, R1, R2, 0)
#define LOAD_BYTES(header, from, to, n)                                                                      \
	MOV(R1, SKB), SET(R2, from), MOV(R3, STACK), ADD(R3, to), SET(R4, n), SET(R5, header),               \
		CALL(BPF_FUNC_skb_load_bytes_relative), IF_NE(R0, 0, TO_PASS)
/* To whom the table says and to whom the frame is. */
#define SAME_MAC(at)                                                                                         \
	LOAD(BPF_H, R1, STACK, P(dmac) + (at)), LOAD(BPF_H, R2, STACK, DMAC + (at)),                         \
		IF_NE_REG(R1, R2, TO_PASS)

static unsigned assemble(int state_fd, int hops_fd, struct bpf_insn *out)
{
	const struct bpf_insn source[] = {
		MOV(SKB, R1),
		/* Nobody is lost: that is all. */
		MAP(R1, BPF_PSEUDO_MAP_VALUE, state_fd),
		LOAD(BPF_DW, R1, R1, 0),
		IF_EQ(R1, 0, TO_PASS),
		LOAD(BPF_W, R1, SKB, CTX(tc_index)),
		IF_NE(R1, SEEN, 3),
		SET(R1, 0),
		STORE(BPF_W, SKB, CTX(tc_index), R1),
		GO(TO_PASS),
		/* With a tag beside it, it is for a VLAN's port, which has had its turn. */
		LOAD(BPF_W, R1, SKB, CTX(vlan_present)),
		IF_NE(R1, 0, TO_PASS),
		SET(R1, 0),
		STORE(BPF_W, STACK, FLOW, R1),
		STORE(BPF_DW, STACK, ADDRS, R1),
		STORE(BPF_DW, STACK, ADDRS + 8, R1),
		STORE(BPF_DW, STACK, ADDRS + 16, R1),
		STORE(BPF_DW, STACK, ADDRS + 24, R1),
		LOAD(BPF_W, R1, SKB, CTX(protocol)),
		IF_EQ(R1, htons(ETH_P_IP), TO_V4),
		IF_EQ(R1, htons(ETH_P_IPV6), TO_V6),
		GO(TO_PASS),

		HERE(TO_V4),
		SET(FAMILY, AF_IP4),
		LOAD_BYTES(BPF_HDR_START_NET, 1, FLOW, 1),
		LOAD_BYTES(BPF_HDR_START_NET, 12, V4_ADDRS, 8),
		COPY(BPF_W, STACK, V4_ADDRS, STACK, ADDRS),
		COPY(BPF_W, STACK, V4_ADDRS + 4, STACK, ADDRS + 16),
		GO(TO_LOOK_UP),

		HERE(TO_V6),
		SET(FAMILY, AF_IP6),
		LOAD_BYTES(BPF_HDR_START_NET, 0, FLOW, 4),
		LOAD(BPF_W, R1, STACK, FLOW),
		AND(R1, (int32_t)htonl(0x0fffffff)),
		STORE(BPF_W, STACK, FLOW, R1),
		LOAD_BYTES(BPF_HDR_START_NET, 8, ADDRS, 32),

		/* To whom, out of this port? */
		HERE(TO_LOOK_UP),
		LOAD(BPF_W, IFINDEX, SKB, CTX(ifindex)),
		ASK_TABLE(0),
		/* The neighbour itself is not somewhere behind it. */
		LOAD(BPF_DW, R1, STACK, P(ipv6_dst)),
		LOAD(BPF_DW, R2, STACK, ADDRS + 16),
		IF_NE_REG(R1, R2, 3),
		LOAD(BPF_DW, R1, STACK, P(ipv6_dst) + 8),
		LOAD(BPF_DW, R2, STACK, ADDRS + 24),
		IF_EQ_REG(R1, R2, TO_PASS),
		STORE(BPF_W, STACK, K(ifindex), IFINDEX),
		LOAD(BPF_B, R1, STACK, P(family)),
		SHL(R1, 8),
		OR(R1, FAMILY),
		STORE(BPF_W, STACK, K(families), R1),
		COPY(BPF_DW, STACK, P(ipv6_dst), STACK, K(gw)),
		COPY(BPF_DW, STACK, P(ipv6_dst) + 8, STACK, K(gw) + 8),

		/* Is that one lost? */
		FIND_HOP(),
		IF_EQ(R0, 0, TO_PASS),
		MOV(VALUE, R0),
		IS_LOST(VALUE),
		IF_EQ(R1, 0, TO_PASS),
		/* The table was asked without all that a rule can look at, and for one of several on this
		   port: the frame itself says whether that is to whom it goes. */
		LOAD_BYTES(BPF_HDR_START_MAC, 0, DMAC, 6),
		SAME_MAC(0),
		SAME_MAC(2),
		SAME_MAC(4),

		/* Then who else is in the group, out of the other port? On the same one the entry itself says
		   so. */
		LOAD(BPF_W, IFINDEX, VALUE, V(ifindex)),
		LOAD(BPF_W, R1, VALUE, V(family)),
		IF_NE(R1, 0, TO_FIXED),
		ASK_TABLE(BPF_FIB_LOOKUP_SKIP_NEIGH),
		LOAD(BPF_B, R1, STACK, P(family)),
		STORE(BPF_W, STACK, TARGET, R1),
		COPY(BPF_W, STACK, P(ipv6_dst), STACK, TARGET + 4),
		COPY(BPF_W, STACK, P(ipv6_dst) + 4, STACK, TARGET + 8),
		COPY(BPF_W, STACK, P(ipv6_dst) + 8, STACK, TARGET + 12),
		COPY(BPF_W, STACK, P(ipv6_dst) + 12, STACK, TARGET + 16),
		GO(TO_CHECK),

		HERE(TO_FIXED),
		STORE(BPF_W, STACK, TARGET, R1),
		COPY(BPF_W, VALUE, V(gw), STACK, TARGET + 4),
		COPY(BPF_W, VALUE, V(gw) + 4, STACK, TARGET + 8),
		COPY(BPF_W, VALUE, V(gw) + 8, STACK, TARGET + 12),
		COPY(BPF_W, VALUE, V(gw) + 12, STACK, TARGET + 16),

		/* Lost itself? */
		HERE(TO_CHECK),
		STORE(BPF_W, STACK, K(ifindex), IFINDEX),
		LOAD(BPF_W, R1, STACK, TARGET),
		SHL(R1, 8),
		OR(R1, FAMILY),
		STORE(BPF_W, STACK, K(families), R1),
		COPY(BPF_W, STACK, TARGET + 4, STACK, K(gw)),
		COPY(BPF_W, STACK, TARGET + 8, STACK, K(gw) + 4),
		COPY(BPF_W, STACK, TARGET + 12, STACK, K(gw) + 8),
		COPY(BPF_W, STACK, TARGET + 16, STACK, K(gw) + 12),
		FIND_HOP(),
		IF_EQ(R0, 0, TO_SEND),
		IS_LOST(R0),
		IF_NE(R1, 0, TO_PASS),

		HERE(TO_SEND),
		SET(R1, SEEN),
		STORE(BPF_W, SKB, CTX(tc_index), R1),
		MOV(R1, IFINDEX),
		MOV(R2, STACK),
		ADD(R2, TARGET),
		SET(R3, sizeof(struct bpf_redir_neigh)),
		SET(R4, 0),
		CALL(BPF_FUNC_redirect_neigh),
		EXIT(),

		HERE(TO_PASS),
		SET(R0, TCX_GO_ON),
		EXIT(),
	};
	const unsigned total = sizeof(source) / sizeof(*source);
	unsigned at[8] = {0}, n = 0;

	_Static_assert(sizeof(source) / sizeof(*source) <= PROGRAM_MAX, "room for it");

	for (unsigned i = 0; i < total; i++)
		if (source[i].code == 0xff)
			at[source[i].off & 7] = n;
		else
			out[n++] = source[i];
	for (unsigned i = 0; i < n; i++)
		if ((out[i].code & 7) == BPF_JMP && (out[i].off & 0x7ff8) == 0x7000)
			out[i].off = (int16_t)(at[out[i].off & 7] - i - 1);
	return n;
}

static int load(int state_fd, int hops_fd)
{
	struct bpf_insn insns[PROGRAM_MAX];
	union bpf_attr a = {0};

	a.prog_type = BPF_PROG_TYPE_SCHED_CLS;
	a.expected_attach_type = TCX_EGRESS;
	a.insns = (uintptr_t)insns;
	a.insn_cnt = assemble(state_fd, hops_fd, insns);
	a.license = (uintptr_t) "Dual BSD/GPL";
	memcpy(a.prog_name, "pg_redirect", sizeof("pg_redirect"));
	return sys_bpf(BPF_PROG_LOAD, &a, sizeof(a));
}

/* ---- life ---- */

static int attach(struct redirect *r, uint32_t ifindex)
{
	union bpf_attr a = {0};

	a.link_create.prog_fd = (uint32_t)r->prog_fd;
	a.link_create.target_ifindex = ifindex;
	a.link_create.attach_type = TCX_EGRESS;
	return sys_bpf(BPF_LINK_CREATE, &a, sizeof(a));
}

int redirect_open(struct redirect **out, const char **where)
{
	struct redirect *r = mem_zero(sizeof(*r));
	void *shared;
	int rc;

	r->state_fd = r->hops_fd = r->prog_fd = -1;
	pthread_mutex_init(&r->lock, NULL);
	r->free_slot = mem_grow(NULL, SLOTS * sizeof(*r->free_slot));
	r->next_slot = 1;
	*where = "maps";
	rc = r->state_fd = make_map(BPF_MAP_TYPE_ARRAY, 4, SLOTS * 8, 1, BPF_F_MMAPABLE);
	if (rc >= 0)
		rc = r->hops_fd = make_map(BPF_MAP_TYPE_HASH, sizeof(struct hop_key),
			sizeof(struct hop_value), SLOTS, BPF_F_NO_PREALLOC);
	if (rc >= 0) {
		shared = mmap(NULL, SLOTS * 8, PROT_READ | PROT_WRITE, MAP_SHARED, r->state_fd, 0);
		if (shared == MAP_FAILED)
			rc = -errno;
		else
			r->state = shared;
	}
	if (rc >= 0) {
		*where = "program";
		rc = r->prog_fd = load(r->state_fd, r->hops_fd);
	}
	if (rc >= 0) {
		/* Older kernels take the program, and have nowhere to put it. */
		*where = "attachment";
		rc = attach(r, LOOPBACK);
		if (rc >= 0)
			close(rc);
	}
	if (rc < 0) {
		redirect_close(r);
		return rc;
	}
	*out = r;
	return 0;
}

void redirect_close(struct redirect *r)
{
	if (!r)
		return;
	while (atomic_load(&r->returning))
		rcu_barrier();
	for (unsigned i = 0; i < r->n_ports; i++)
		close(r->port[i].link);
	if (r->state)
		munmap((void *)r->state, SLOTS * 8);
	for (int fd = 0; fd < 3; fd++) {
		int x = (const int[]){r->prog_fd, r->hops_fd, r->state_fd}[fd];
		if (x >= 0)
			close(x);
	}
	pthread_mutex_destroy(&r->lock);
	free(r->free_slot);
	free(r->port);
	free(r);
}

/* ---- slots ---- */

uint32_t redirect_slot(struct redirect *r)
{
	uint32_t slot = 0;

	pthread_mutex_lock(&r->lock);
	if (r->n_free)
		slot = r->free_slot[--r->n_free];
	else if (r->next_slot < SLOTS)
		slot = r->next_slot++;
	pthread_mutex_unlock(&r->lock);
	return slot;
}

struct returned {
	struct rcu_head rcu;
	struct redirect *r;
	uint32_t slot;
};

static void slot_returned(struct rcu_head *head)
{
	struct returned *x = caa_container_of(head, struct returned, rcu);

	rcu_callback_begin(head);
	redirect_clear(x->r, x->slot);
	pthread_mutex_lock(&x->r->lock);
	x->r->free_slot[x->r->n_free++] = x->slot;
	pthread_mutex_unlock(&x->r->lock);
	atomic_fetch_sub(&x->r->returning, 1); /* the last of it: see redirect_close() */
	free(x);
}

void redirect_slot_free(struct redirect *r, uint32_t slot)
{
	struct returned *x = mem_zero(sizeof(*x));

	x->r = r;
	x->slot = slot;
	atomic_fetch_add(&r->returning, 1);
	call_rcu(&x->rcu, slot_returned);
}

/* ---- entries ---- */

static struct hop_key key_of(uint8_t family, const struct hop *h)
{
	bool v4 = ipaddr_is_v4(&h->gw);
	struct hop_key k = {.ifindex = h->ifindex,
		.families = (family == 4 ? AF_IP4 : AF_IP6) | (uint32_t)(v4 ? AF_IP4 : AF_IP6) << 8};

	if (v4)
		k.gw[0] = h->gw.w[3];
	else
		memcpy(k.gw, h->gw.b, 16);
	return k;
}

int redirect_set(struct redirect *r, uint32_t slot, uint8_t family, const struct hop *from, uint32_t ifindex,
	const struct ipaddr *gw)
{
	struct hop_key k = key_of(family, from);
	struct hop_value v = {.slot = slot, .ifindex = ifindex};
	union bpf_attr a = {0};

	if (gw) {
		struct hop to = {.gw = *gw};
		struct hop_key t = key_of(family, &to);
		v.family = t.families >> 8;
		memcpy(v.gw, t.gw, sizeof(v.gw));
	}
	a.map_fd = (uint32_t)r->hops_fd;
	a.key = (uintptr_t)&k;
	a.value = (uintptr_t)&v;
	return sys_bpf(BPF_MAP_UPDATE_ELEM, &a, sizeof(a));
}

void redirect_unset(struct redirect *r, uint8_t family, const struct hop *from)
{
	struct hop_key k = key_of(family, from);
	union bpf_attr a = {0};

	a.map_fd = (uint32_t)r->hops_fd;
	a.key = (uintptr_t)&k;
	sys_bpf(BPF_MAP_DELETE_ELEM, &a, sizeof(a));
}

/* ---- ports ---- */

static struct port *port_of(struct redirect *r, uint32_t ifindex)
{
	for (unsigned i = 0; i < r->n_ports; i++)
		if (r->port[i].ifindex == ifindex)
			return &r->port[i];
	return NULL;
}

int redirect_port(struct redirect *r, uint32_t ifindex)
{
	int rc;

	if (port_of(r, ifindex))
		return 0;
	rc = attach(r, ifindex);
	if (rc < 0) {
		if (rc != -ENODEV && !r->said)
			log_msg(LOG_CLASS_WARNING,
				"Cannot attach to %s to redirect packets of lost neighbours: %s",
				ifaces_name(ifindex), strerror(-rc));
		r->said = r->said || rc != -ENODEV;
		return rc;
	}
	r->port = mem_grow(r->port, (r->n_ports + 1) * sizeof(*r->port));
	r->port[r->n_ports++] = (struct port){ifindex, rc};
	return 0;
}

void redirect_port_changed(struct redirect *r, uint32_t ifindex)
{
	struct port *p = port_of(r, ifindex);
	struct bpf_link_info info = {0};
	union bpf_attr a = {0};

	if (!p)
		return;
	a.info.bpf_fd = (uint32_t)p->link;
	a.info.info_len = sizeof(info);
	a.info.info = (uintptr_t)&info;
	/* Where it is attached stands there for every kind of link that has an interface. */
	if (sys_bpf(BPF_OBJ_GET_INFO_BY_FD, &a, sizeof(a)) == 0 && info.xdp.ifindex == ifindex)
		return;
	close(p->link);
	*p = r->port[--r->n_ports];
}

/* ---- now ---- */

/* The slot first: who sees the count sees it. */
void redirect_lost(struct redirect *r, uint32_t slot)
{
	if (!atomic_exchange(&r->state[slot], 1))
		atomic_fetch_add(&r->state[0], 1);
}

void redirect_clear(struct redirect *r, uint32_t slot)
{
	if (atomic_load(&r->state[slot]) && atomic_exchange(&r->state[slot], 0))
		atomic_fetch_sub(&r->state[0], 1);
}

unsigned redirect_active(const struct redirect *r)
{
	return (unsigned)atomic_load(&r->state[0]);
}

int redirect_program(const struct redirect *r)
{
	return r->prog_fd;
}
