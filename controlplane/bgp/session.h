/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Inside the BGP room: a session and its two connections.
 *
 * Who may touch what:
 *   - everything in a session belongs to its session thread, unless said otherwise
 *   - `status` is for readers: written by the session thread, read by main under `lock`
 *   - `proto` belongs to main: NULL once main has let go of the session
 *   - others (shards, link thread, accept thread, main) send calls; each call in
 *     flight holds a reference, so a session outlives what was sent to it
 *
 * One session has up to two connections while it comes up, one that we opened
 * and one that the neighbour opened (RFC 4271 section 6.8); at most one of them
 * becomes Established and is `conn` from then on.
 *
 *   conn.c      bytes: reading, framing, writing, timers of a connection
 *   fsm.c       what messages and timers do; opening, collisions, errors
 *   session.c   the life around connections: start, stop, back-off, restart
 *   session_neighbor.c  where the neighbour is
 *   session_bfd.c       its BFD
 *   session_report.c    log, status
 *   channel.c   address families of an Established session: routes in and out, refresh, graceful restart
 *   engine.c    threads, listening sockets, who an incoming connection is for
 *   bgp_proto.c main's side
 */
#pragma once
#include "controlplane/bgp/attr_cache.h"
#include "controlplane/bgp/bgp.h"
#include "controlplane/bgp/gate.h"
#include "controlplane/bgp/message.h"
#include "controlplane/bgp/nlri.h"
#include "controlplane/bgp/settings.h"
#include "controlplane/bgp/update.h"
#include "controlplane/bmp/hub.h"
#include "shared/clock.h"
#include "shared/hash.h"
#include "shared/log.h"
#include <ev.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/uio.h>

struct bgp_session;
struct bgp_listener;
struct lingering;

enum bgp_conn_state { BS_IDLE, BS_CONNECT, BS_ACTIVE, BS_OPENSENT, BS_OPENCONFIRM, BS_ESTABLISHED, BS_CLOSE };

/* Where a session that is not Established stands. */
enum bgp_start_state {
	BSS_WAIT,    /* for the neighbour's interface */
	BSS_DELAY,   /* error wait */
	BSS_CONNECT, /* connecting and accepting */
};

enum bgp_error_class { BE_NONE, BE_MISC, BE_SOCKET, BE_BGP_RX, BE_BGP_TX, BE_AUTO_DOWN, BE_MAN_DOWN };

/* One of the threads that sessions live in. */
struct bgp_thread {
	struct bgp_engine *engine;
	struct loop *loop;
	struct attr_cache *cache;
	struct bgp_decode_scratch decode;
	uint64_t seed;
	uint8_t *read_buf;     /* BGP_READ_BUF: where sockets are read to */
	struct bgp_nlri *nlri; /* the one being looked at, of families that are no prefixes */
	uint8_t *key_buf;      /* a message's length: bgp_update_split()'s scratch */
	struct lingering *lingering;
	struct bgp_gate gate;
	unsigned sessions; /* main: for the choice of a thread */
};
#define BGP_READ_SIZE 65536
#define BGP_READ_BUF (BGP_READ_SIZE + 2 * BGP_MAX_EXTENDED_MESSAGE)

#define BGP_IOV 64

struct bgp_conn {
	struct bgp_session *s;
	enum bgp_conn_state state;
	bool outgoing;
	int fd; /* -1: none */
	struct ev_io rd, wr;
	struct ev_timer connect_timer, hold_timer, keepalive_timer, send_hold_timer;
	bool got_open;
	bool bfd_wait,
		confirmed; /* OpenConfirm, our KEEPALIVE is held back until BFD is Up; theirs has come */
	uint8_t *open_sent, *open_received; /* whole messages, for BMP; their length is in them */
	bool refresh, enhanced_refresh, as4, extended_messages; /* agreed */
	size_t max_message;
	uint32_t hold_time, keepalive_time, send_hold_time; /* s, agreed; 0: off */
	struct bgp_open local, peer;
	/* read and not yet processed */
	uint8_t *rx;
	size_t rx_len, rx_size;
	/* OPEN, KEEPALIVE, ROUTE-REFRESH, NOTIFICATION waiting to be written */
	uint8_t *tx;
	size_t tx_len, tx_size;
	bool keepalive_queued;
	/* taken from a channel and not completely written: no other bytes may come between */
	struct iovec iov[BGP_IOV];
	unsigned iov_n, iov_at;
	size_t iov_skip; /* of iov[iov_at] */
	size_t msg_left; /* of the message that the last write cut */
	struct bgp_channel *iov_channel;
	unsigned next_channel; /* round robin */
	uint64_t rx_ns, tx_ns; /* last bytes */
	uint64_t keepalive_due;
	struct bgp_gate_place gate;
};

struct bgp_channel {
	struct bgp_session *s;
	unsigned index; /* in settings and status */
	uint8_t afi, safi;
	/* Whose filters are in force: the settings of now, or older ones after `configure soft` until a
	 * reload by hand. Held. */
	struct bgp_settings *import_from, *export_from;
	struct rib_source *source; /* open while the protocol is not down */
	struct rib_batch *batch;   /* being filled */
	bool up;                   /* negotiated, session Established */
	bool add_path_rx, add_path_tx;
	struct bgp_import_class import;
	uint64_t import_hash;
	struct export_peer *export;
	struct export_peer_config export_cf;
	bool refreshing; /* between BoRR and EoRR */
	bool eor_received;
	/* graceful restart: routes of the previous session are kept as stale */
	bool stale, llgr;
	bool gr_negotiated, llgr_negotiated;
	uint32_t llgr_time;
	struct ev_timer stale_timer; /* LLGR stale time */
	struct ipaddr next_hop, next_hop_ll;
	_Atomic bool wake_posted;
};

/* What others may see of a session: a copy under `lock`. Times are CLOCK_MONOTONIC ns. */
struct bgp_status {
	enum bgp_conn_state state;
	enum bgp_start_state start_state;
	bool passive, gr_active, established;
	uint64_t start_deadline; /* error wait, connect delay */
	uint32_t start_total;    /* s */
	uint64_t bfd_deadline;   /* OpenConfirm, BFD is waited for; 0: no. UINT64_MAX: as long as it takes */
	uint64_t restart_deadline; /* of the neighbour's graceful restart */
	struct bgp_caps local_caps, peer_caps;
	uint32_t peer_id, peer_as;
	bool as4;
	struct ipaddr source_address;
	uint32_t hold_time, keepalive_time, send_hold_time;
	char last_error[192]; /* with its class: "Received: Administrative shutdown" */
	uint32_t ifindex;
	struct {
		bool up, stale, llgr, export_attached;
		uint64_t stale_deadline;
		struct ipaddr next_hop, next_hop_ll;
		struct export_peer_config export_cf;
		struct export_peer_stats export_stats; /* of the last session, when not attached */
		struct export_peer *export;            /* valid while lock is held */
	} channel[BGP_MAX_CHANNELS];
};

struct bgp_session {
	_Atomic unsigned refs;
	struct bgp_thread *thread;
	struct bgp_engine *engine;
	struct daemon *daemon;
	struct bgp_settings *cf;
	struct proto *proto;           /* main's */
	struct bgp_settings *identity; /* the first ones: address, interface, port... never change while the
					  session lives; any thread */

	struct bgp_conn out, in;
	struct bgp_conn *conn; /* the Established one */
	struct bgp_channel channel[BGP_MAX_CHANNELS];
	unsigned n_channels;
	bool running;            /* between start and stop */
	bool dynamic;            /* made for one incoming connection; ends with it */
	uint64_t start_deadline; /* of the timer that runs while not Established: connect or error wait */
	uint32_t start_total;    /* s */
	bool reported_up;        /* main was told */
	enum bgp_start_state start_state;
	struct ev_timer start_timer; /* error wait */
	struct ev_timer gr_timer;
	bool gr_active;
	uint32_t startup_delay; /* s; doubles with each error */
	uint64_t last_error_ns;
	bool no_capabilities; /* the neighbour refused optional parameters */
	uint32_t remote_as;   /* configured, or learnt from OPEN */
	bool paused;          /* the RIB's queue is full: not reading */
	bool recovering;      /* after our own restart: routes are not sent before everybody's End-of-RIB */

	/* the neighbour */
	struct ipaddr local_addr, local_ll;
	uint32_t ifindex; /* of a direct session, or the one it is bound to */
	char ifname[IF_NAMESIZE];
	struct prefix link;
	bool neighbor_known;
	struct bfd_request *bfd;
	bool bfd_up;           /* as last reported */
	bool bfd_wait;         /* error wait because of BFD: ends when it is Up again */
	bool had_connection;   /* dynamic: there was one */
	bool ending;           /* main was asked to stop us */
	bool link_marked_down; /* we told the FIB so */
	bool silent_loss;      /* the session ends without a word from the neighbour: it may be dead */
	struct ev_timer link_timer;
	struct log_limit report_limit;
	/* For stations that mirror: the message that is being looked at, not yet handed on. len 0: none */
	struct {
		const uint8_t *message;
		size_t len;
		bool reported, errored;
	} mirror;

	pthread_mutex_t lock;
	struct bgp_status status;
	_Atomic uint64_t rx_ns, tx_ns, keepalive_due; /* of the Established connection */

	/* engine's, under its lock */
	struct bgp_session *hash_next;
	struct bgp_listener *listener;
	bool registered;
};

#define conn_log(c, ...) session_log((c)->s, __VA_ARGS__)

/* ---- session.c ---- */
struct bgp_session *session_hold(struct bgp_session *s);
void session_release(struct bgp_session *s); /* any thread */
/* fn(s) in the session's thread; holds a reference meanwhile. */
void session_call(struct bgp_session *s, void (*fn)(struct bgp_session *s));
/* A connection has reached Established; it has become s->conn. */
void session_established(struct bgp_session *s);
/* The Established connection is gone. retain: the routes are kept for a graceful restart. reason, why (the
 * NOTIFICATION, NULL: none): for BMP. */
void session_lost(
	struct bgp_session *s, bool retain, enum bmp_down_reason reason, const struct bgp_error *why);
/* An error that delays the next attempt; may disable the protocol (`disable after error`). */
void session_back_off(struct bgp_session *s);
/* A dynamic session has nothing left to live for. */
void session_ended(struct bgp_session *s);
void session_begin(struct bgp_session *s); /* from the beginning: neighbour, delay, connect */
/* Takes the protocol down for good: main will stop it as `disable` would. */
void session_ask_disable(struct bgp_session *s);
bool session_can_retain(const struct bgp_session *s);
void session_incoming(
	struct bgp_session *s, int fd, const struct ipaddr *local, uint32_t ifindex, uint16_t port);
void session_iface_changed(struct bgp_session *s);
void session_gr_done(struct bgp_session *s);
void session_note_address(struct bgp_session *s, const struct bgp_conn *c);
void session_out_of_resources(struct bgp_session *s); /* Cease, and tries again later */
void session_limit(struct bgp_session *s, enum limit_action action);
/* Takes down whatever there is, saying why, and begins again. */
void session_fail(struct bgp_session *s, enum bgp_error_class cls, const char *what, uint8_t code,
	uint8_t subcode, bool retain, bool delay);
/* Main: takes over cf's reference; the first reference of the session is the caller's. */
struct bgp_session *session_create(struct bgp_thread *t, struct daemon *d, struct bgp_settings *cf);
void session_start(struct bgp_session *s);
/* silent: without NOTIFICATION (graceful restart of ours). Ends in BGP_EVENT_STOPPED. */
void session_stop(struct bgp_session *s, const struct bgp_error *e, bool silent);
/* Takes over cf's reference. reload_*: filters differ, or the user asked. */
void session_take_settings(struct bgp_session *s, struct bgp_settings *cf, bool reload_in, bool reload_out);

/* ---- session_report.c ---- */
void session_log(struct bgp_session *s, enum log_class cls, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* TRACE, if the protocol's debug has one of the bits. */
void session_trace(struct bgp_session *s, uint32_t bit, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* For `mrtdump`: who a record is about. */
struct mrt_session;
struct mrt_session session_mrt(const struct bgp_session *s, const struct bgp_conn *c);
void session_publish(struct bgp_session *s);
void session_store_error(struct bgp_session *s, enum bgp_error_class cls, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* ---- session_neighbor.c ---- */
/* Notes interface, link and our address when the neighbour is there. */
enum neighbor { NEIGHBOR_READY, NEIGHBOR_UNKNOWN, NEIGHBOR_LINK_DOWN };
enum neighbor session_find_neighbor(struct bgp_session *s);

/* ---- session_bfd.c ---- */
bool session_needs_bfd(const struct bgp_session *s); /* `bfd strict`, and it is not Up */
void session_open_bfd(struct bgp_session *s);        /* once it is known from which address */
void session_close_bfd(struct bgp_session *s);
void session_bfd_missing(struct bgp_session *s); /* it did not come up in the time allowed */

/* ---- updates_out.c ---- */
/* After a failover, when the routes have been withdrawn: stamps when the updates are out (fib_link_stage()).
 */
void session_stamp_updates_out(struct bgp_session *s);

/* ---- stations.c ---- */
void session_tell_stations_up(struct bgp_session *s);
void channel_tell_stations(struct bgp_channel *ch); /* how it exports from now on */
/* The message that was being looked at goes to those that want it, with what was found about it. */
void session_mirror(struct bgp_session *s);
/* why: the NOTIFICATION that was sent or received, NULL without. */
void session_tell_stations_down(
	struct bgp_session *s, enum bmp_down_reason reason, const struct bgp_error *why);

/* ---- conn.c ---- */
void conn_init(struct bgp_conn *c, struct bgp_session *s, bool outgoing);
void conn_attach(struct bgp_conn *c, int fd); /* starts reading */
/* Forgets the socket and all buffers; state BS_IDLE. Says nothing to the neighbour. */
void conn_reset(struct bgp_conn *c);
/* Sends e as NOTIFICATION if the OPEN exchange has begun, closes in the background; state BS_IDLE. */
void conn_close(struct bgp_conn *c, const struct bgp_error *e);
void conn_send(struct bgp_conn *c, const uint8_t *msg, size_t len); /* queues and tries to write */
void conn_flush(struct bgp_conn *c);
/* What was read and left over when reading was paused; then reads again. */
void conn_resume(struct bgp_conn *c);
void conn_read_again(struct bgp_conn *c); /* the gate has let it wait */
void conn_start_keepalives(struct bgp_conn *c);
void conn_set_hold_timer(struct bgp_conn *c, uint32_t seconds);

/* ---- fsm.c ---- */
void fsm_connect(struct bgp_conn *c);                        /* starts a connection attempt */
void fsm_wait_connect(struct bgp_conn *c, uint32_t seconds); /* BS_ACTIVE with the timer */
void fsm_connect_timer(struct bgp_conn *c);
void fsm_connected(struct bgp_conn *c); /* connect() has ended, one way or the other */
void fsm_send_open(struct bgp_conn *c);
/* Both sides have it, by capability or by default. */
bool bgp_family_agreed(const struct bgp_conn *c, uint8_t afi, uint8_t safi);
const char *bgp_conn_state_name(enum bgp_conn_state s);
/* One complete message. False: the connection is gone, stop processing. */
bool fsm_message(struct bgp_conn *c, const uint8_t *msg, size_t len);
void fsm_keepalive_due(struct bgp_conn *c);
void fsm_bfd_up(struct bgp_conn *c);
void fsm_hold_expired(struct bgp_conn *c);
void fsm_send_hold_expired(struct bgp_conn *c);
/* error 0: closed by the neighbour */
void fsm_socket_error(struct bgp_conn *c, int error);
/* We found e: say so, log it, close, and what else an error does. */
void fsm_error(struct bgp_conn *c, const struct bgp_error *e);
void bgp_local_caps(struct bgp_session *s, struct bgp_caps *out);

/* ---- channel.c ---- */
void channels_init(struct bgp_session *s);
void channel_up(struct bgp_channel *ch);
void channel_down(struct bgp_channel *ch, bool retain);
void channels_release(struct bgp_session *s);
void channel_stop(struct bgp_channel *ch); /* the protocol stops: main closes the source */
void channel_reconfigure(struct bgp_channel *ch, bool reload_in, bool reload_out);
bool channel_update(struct bgp_session *s, const uint8_t *body, size_t len, struct bgp_error *e);
void channels_submit(struct bgp_session *s); /* at the end of a turn of reading */
int channel_refresh(struct bgp_session *s, const uint8_t *body, size_t len, struct bgp_error *e);
void channel_reload(struct bgp_channel *ch, bool in, bool out); /* `reload` by hand */
void channel_drop_stale(struct bgp_channel *ch);
void channel_attach_export(struct bgp_channel *ch);
void channel_stale_expired(struct bgp_channel *ch);
/* What the RIB is to know of the session as it is now; main before the first start, then the session's
 * thread. */
struct rib_source_config bgp_source_config(struct bgp_session *s, unsigned index);

/* ---- engine.c ---- */
struct bgp_thread *engine_pick_thread(struct bgp_engine *e);
void engine_put_thread(struct bgp_engine *e, struct bgp_thread *t);
unsigned engine_threads(const struct bgp_engine *e);
struct daemon *engine_daemon(const struct bgp_engine *e);
uint64_t engine_stuck(const struct bgp_engine *e); /* of all threads' gates. Any thread */
/* fn(arg) in each session thread. Any thread. */
void engine_call_threads(struct bgp_engine *e, void (*fn)(void *arg), void *arg);
/* Main: incoming connections for it are handed over from now on. 0 or -errno with err: no listening socket.
 */
int engine_register(struct bgp_engine *e, struct bgp_session *s, char err[TRANSPORT_ERR]);
void engine_unregister(struct bgp_engine *e, struct bgp_session *s);
/* Incoming connections from a range that no session is for; spawn() is called in main. Main only. */
struct bgp_incoming {
	int fd;
	struct ipaddr local, remote;
	uint32_t ifindex;
	uint16_t port;
};
typedef void bgp_spawn_fn(void *ctx, const struct bgp_incoming *in);
int engine_add_range(struct bgp_engine *e, struct bgp_settings *cf, bgp_spawn_fn *spawn, void *ctx,
	char err[TRANSPORT_ERR]);
void engine_remove_range(struct bgp_engine *e, void *ctx);
/* Gives s a connection that was accepted. Any thread. */
void engine_hand_over(struct bgp_session *s, const struct bgp_incoming *in);
/* A descriptor that still has something to say: written, read to its end, closed after some seconds at most.
 * Takes bytes (malloc). */
void engine_linger(struct bgp_thread *t, int fd, uint8_t *bytes, size_t len);

/* ---- bgp_proto.c: what a session tells main ---- */
enum bgp_event {
	BGP_EVENT_UP,
	BGP_EVENT_DOWN,
	BGP_EVENT_DISABLE,
	BGP_EVENT_ENDED,
	BGP_EVENT_STOPPED,
	BGP_EVENT_EOR
};
void bgp_tell_main(struct bgp_session *s, enum bgp_event ev);
