/* SPDX-License-Identifier: BSD-2-Clause */
#include "controlplane/bgp/transport.h"
#include "controlplane/bgp/wire.h"
#include <errno.h>
#include <linux/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

/* linux/tcp.h has these since 6.7 only. */
#ifndef TCP_AO_ADD_KEY
#define TCP_AO_ADD_KEY 38
#define TCP_AO_DEL_KEY 39
#define TCP_AO_INFO 40
#define TCP_AO_MAXKEYLEN 80
struct tcp_ao_add {
	struct sockaddr_storage addr;
	char alg_name[64];
	int32_t ifindex;
	uint32_t set_current : 1, set_rnext : 1, reserved : 30;
	uint16_t reserved2;
	uint8_t prefix, sndid, rcvid, maclen, keyflags, keylen;
	uint8_t key[TCP_AO_MAXKEYLEN];
} __attribute__((aligned(8)));
#endif

__attribute__((format(printf, 2, 3))) static int fail(char err[TRANSPORT_ERR], const char *fmt, ...)
{
	int rc = -errno;
	va_list ap;
	size_t n;

	va_start(ap, fmt);
	vsnprintf(err, TRANSPORT_ERR, fmt, ap);
	va_end(ap);
	n = strlen(err);
	snprintf(err + n, TRANSPORT_ERR - n, ": %s", strerror(-rc));
	return rc;
}

static int set_int(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof(value));
}

/* ---- authentication ---- */

static int set_md5(int fd, const struct prefix *from, uint32_t scope, const char *password)
{
	struct tcp_md5sig m = {0};
	struct sockaddr_storage ss;
	size_t len = password ? strlen(password) : 0;
	unsigned full = from->family == 4 ? 32 : 128;

	ipaddr_to_sockaddr(&from->addr, 0, scope, &ss);
	memcpy(&m.tcpm_addr, &ss, sizeof(m.tcpm_addr));
	if (len > sizeof(m.tcpm_key)) {
		errno = EINVAL;
		return -1;
	}
	m.tcpm_keylen = (uint16_t)len;
	if (len)
		memcpy(m.tcpm_key, password, len);
	if (from->len == full)
		return setsockopt(fd, IPPROTO_TCP, TCP_MD5SIG, &m, sizeof(m));
	m.tcpm_flags = TCP_MD5SIG_FLAG_PREFIX;
	m.tcpm_prefixlen = from->len;
	return setsockopt(fd, IPPROTO_TCP, TCP_MD5SIG_EXT, &m, sizeof(m));
}

static int set_ao(int fd, const struct prefix *from, uint32_t scope, const struct ao_key *keys)
{
	const struct ao_key *preferred = NULL, *k;

	for (k = keys; k; k = k->next)
		if (!preferred || (k->preferred && !preferred->preferred) ||
			(preferred->deprecated && !k->deprecated))
			preferred = k;
	for (k = keys; k; k = k->next) {
		struct tcp_ao_add a = {0};
		struct sockaddr_storage ss;

		ipaddr_to_sockaddr(&from->addr, 0, scope, &ss);
		memcpy(&a.addr, &ss, sizeof(ss));
		snprintf(a.alg_name, sizeof(a.alg_name), "%s", k->algorithm ? k->algorithm : "hmac(sha1)");
		a.prefix = from->len;
		a.sndid = k->send_id;
		a.rcvid = k->recv_id;
		if (k->secret_len > TCP_AO_MAXKEYLEN) {
			errno = EINVAL;
			return -1;
		}
		a.keylen = (uint8_t)k->secret_len;
		memcpy(a.key, k->secret, k->secret_len);
		a.set_current = a.set_rnext = k == preferred;
		if (setsockopt(fd, IPPROTO_TCP, TCP_AO_ADD_KEY, &a, sizeof(a)) < 0)
			return -1;
	}
	return 0;
}

static struct prefix host_prefix(const struct ipaddr *a)
{
	return prefix_make(a, ipaddr_is_v4(a) ? 32 : 128);
}

int transport_listener_md5(
	int fd, const struct prefix *from, uint32_t scope, const char *password, char err[TRANSPORT_ERR])
{
	if (set_md5(fd, from, scope, password) < 0 && !(errno == ENOENT && !password))
		return fail(err, "cannot set the TCP MD5 key");
	return 0;
}

int transport_listener_ao(
	int fd, const struct prefix *from, uint32_t scope, const struct ao_key *keys, char err[TRANSPORT_ERR])
{
	if (set_ao(fd, from, scope, keys) < 0)
		return fail(err, "cannot set a TCP-AO key");
	return 0;
}

int transport_probe_ao(void)
{
	static const struct ao_key key = {.secret = "probe", .secret_len = 5};
	struct ipaddr a = ipaddr_v4(htonl(INADDR_LOOPBACK));
	struct prefix p = host_prefix(&a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), rc;

	if (fd < 0)
		return -errno;
	rc = set_ao(fd, &p, 0, &key) < 0 ? -errno : 0;
	close(fd);
	return rc;
}

/* ---- options common to both ends ---- */

static int set_ttl(int fd, bool v6, const struct transport_options *o, char err[TRANSPORT_ERR])
{
	int ttl = o->ttl_security ? 255 : (int)o->hops;
	int rc =
		v6 ? set_int(fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS, ttl) : set_int(fd, IPPROTO_IP, IP_TTL, ttl);

	if (rc < 0)
		return fail(err, "cannot set the TTL");
	if (!o->ttl_security)
		return 0;
	/* RFC 5082: a neighbour that many hops away arrives with at least this. */
	ttl = 256 - (int)o->hops;
	rc = v6 ? set_int(fd, IPPROTO_IPV6, IPV6_MINHOPCOUNT, ttl) : set_int(fd, IPPROTO_IP, IP_MINTTL, ttl);
	return rc < 0 ? fail(err, "cannot set TTL security") : 0;
}

/*
 * What the kernel takes from us ahead of what it can send: a change has to wait for it, keepalives too, and
 * what is still here can be replaced by what is newer.
 */
enum { UNSENT_MAX = 128 << 10 };

static int set_common(int fd, bool v6, const struct transport_options *o, char err[TRANSPORT_ERR])
{
	int tclass = 0xc0; /* CS6: internetwork control */

	/* Failing these costs nothing but a little latency. */
	set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	set_int(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, UNSENT_MAX);
	if (v6)
		set_int(fd, IPPROTO_IPV6, IPV6_TCLASS, tclass);
	else
		set_int(fd, IPPROTO_IP, IP_TOS, tclass);
	set_int(fd, SOL_SOCKET, SO_PRIORITY, 7);
	return set_ttl(fd, v6, o, err);
}

static int bind_device(int fd, const char *device, char err[TRANSPORT_ERR])
{
	if (device && setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, device, (socklen_t)strlen(device) + 1) < 0)
		return fail(err, "cannot bind to interface %s", device);
	return 0;
}

static int set_free_bind(int fd, bool v6)
{
	return v6 ? set_int(fd, IPPROTO_IPV6, IPV6_FREEBIND, 1) : set_int(fd, IPPROTO_IP, IP_FREEBIND, 1);
}

static int set_auth(int fd, const struct transport_options *o, char err[TRANSPORT_ERR])
{
	struct prefix p = host_prefix(&o->remote);

	if (o->auth == BGP_AUTH_MD5 && set_md5(fd, &p, o->scope, o->password) < 0)
		return fail(err, "cannot set the TCP MD5 key");
	if (o->auth == BGP_AUTH_AO && set_ao(fd, &p, o->scope, o->ao_keys) < 0) {
		if (errno == ENOPROTOOPT) {
			snprintf(err, TRANSPORT_ERR, "TCP-AO is not supported by this kernel");
			return -ENOPROTOOPT;
		}
		return fail(err, "cannot set a TCP-AO key");
	}
	return 0;
}

static int prepare_connect(int fd, bool v6, const struct transport_options *o, char err[TRANSPORT_ERR])
{
	struct sockaddr_storage ss;
	char text[IPADDR_STRLEN];
	socklen_t len;
	int rc;

	if ((rc = set_common(fd, v6, o, err)) < 0 || (rc = bind_device(fd, o->device, err)) < 0 ||
		(rc = set_auth(fd, o, err)) < 0)
		return rc;
	if (o->free_bind)
		set_free_bind(fd, v6);
	if (!ipaddr_is_zero(&o->local)) {
		/* The port is chosen at connect(), per destination: many sessions from one address must not
		 * run out of ports. */
		set_int(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
		len = ipaddr_to_sockaddr(&o->local, 0, o->scope, &ss);
		if (bind(fd, (struct sockaddr *)&ss, len) < 0)
			return fail(err, "cannot use source address %s", ipaddr_format(&o->local, text));
	}
	len = ipaddr_to_sockaddr(&o->remote, o->remote_port, o->scope, &ss);
	if (connect(fd, (struct sockaddr *)&ss, len) < 0 && errno != EINPROGRESS)
		return fail(err, "cannot connect");
	return 0;
}

int transport_connect(const struct transport_options *o, char err[TRANSPORT_ERR])
{
	bool v6 = !ipaddr_is_v4(&o->remote);
	int fd = socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), rc;

	if (fd < 0)
		return fail(err, "cannot open a socket");
	rc = prepare_connect(fd, v6, o, err);
	if (rc < 0) {
		close(fd);
		return rc;
	}
	return fd;
}

static int prepare_listen(int fd, bool v6, const struct transport_options *o, char err[TRANSPORT_ERR])
{
	struct sockaddr_storage ss;
	struct ipaddr any = ipaddr_v4(0);
	socklen_t len;
	char text[IPADDR_STRLEN];
	int rc;

	set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	set_int(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, UNSENT_MAX);
	if (v6)
		set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
	if (o->free_bind)
		set_free_bind(fd, v6);
	if ((rc = bind_device(fd, o->device, err)) < 0)
		return rc;
	if (!ipaddr_is_zero(&o->local)) {
		len = ipaddr_to_sockaddr(&o->local, o->local_port, o->scope, &ss);
		ipaddr_format(&o->local, text);
	} else {
		len = ipaddr_to_sockaddr(&any, o->local_port, 0, &ss);
		snprintf(text, sizeof(text), "%s", v6 ? "::" : "0.0.0.0");
		if (v6) {
			struct sockaddr_in6 *s6 = (struct sockaddr_in6 *)&ss;

			memset(&ss, 0, sizeof(ss));
			s6->sin6_family = AF_INET6;
			s6->sin6_port = htons(o->local_port);
			len = sizeof(*s6);
		}
	}
	if (bind(fd, (struct sockaddr *)&ss, len) < 0 || listen(fd, 1024) < 0)
		return fail(err, "cannot listen on %s port %u", text, o->local_port);
	return 0;
}

int transport_listen(const struct transport_options *o, bool v6, char err[TRANSPORT_ERR])
{
	int fd = socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), rc;

	if (fd < 0)
		return fail(err, "cannot open a socket");
	rc = prepare_listen(fd, v6, o, err);
	if (rc < 0) {
		close(fd);
		return rc;
	}
	return fd;
}

int transport_accepted(int fd, const struct transport_options *o, char err[TRANSPORT_ERR])
{
	return set_common(fd, !ipaddr_is_v4(&o->remote), o, err);
}
