/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * rtnetlink on libnl: sockets that listen, sockets that ask. For everything
 * that is not hot: dumps, monitors, single questions. What writes routes by the
 * hundred thousand is batch.h.
 *
 * A socket belongs to one thread.
 */
#pragma once
#include "shared/addr.h"
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <netlink/socket.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Called for each message; 0, or a negative errno that ends the walk. */
typedef int netlink_each_fn(void *arg, struct nlmsghdr *h);

/* A socket to ask with. 0 or -errno. strict: the kernel checks and applies the filters in dump requests. */
int netlink_open(struct nl_sock **out, bool strict);
/* A non-blocking socket that hears the given RTNLGRP_* (ends with 0). rcvbuf 0: the system's. */
int netlink_open_monitor(struct nl_sock **out, int rcvbuf, const unsigned *groups);
/* Everything that is waiting. 0, -ENOBUFS when messages were lost (what was read was handled), -errno. */
int netlink_drain(struct nl_sock *s, netlink_each_fn *each, void *arg);
/* A dump with the given family header as filter. -EINTR: it changed underneath, ask again (netlink_dump()
 * does so thrice). */
int netlink_dump(
	struct nl_sock *s, int type, const void *header, size_t header_len, netlink_each_fn *each, void *arg);
/* Sends m (which is freed) and waits for its ACK. 0 or -errno of the kernel; text gets the kernel's
 * explanation, if any. */
int netlink_request(struct nl_sock *s, struct nl_msg *m, char *text, size_t text_size);
/* Sends m (which is freed) and hands the answer to each(). */
int netlink_query(struct nl_sock *s, struct nl_msg *m, netlink_each_fn *each, void *arg);
/* libnl's own error codes as negative errno. */
int netlink_errno(int nlerr);

/* Addresses in attributes: 4 or 16 bytes. */
struct ipaddr netlink_attr_addr(const struct nlattr *a);
int netlink_put_addr(struct nl_msg *m, int type, const struct ipaddr *a);
