/* SPDX-License-Identifier: BSD-2-Clause */
/* The text of a --port option. Pure. */
#include "dataplane/port.h"
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const prefixes[PORT_TYPES] = {
	[PORT_AF_XDP] = "af_xdp",
	[PORT_AF_PACKET] = "af_packet",
	[PORT_PCI] = "pci",
	[PORT_MEMIF] = "memif",
};

const char *port_type_name(enum port_type t)
{
	return prefixes[t];
}

static int parse_mac(const char *text, uint8_t mac[6])
{
	unsigned b[6];
	int used = 0;

	if (sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x%n", &b[0], &b[1], &b[2], &b[3], &b[4], &b[5], &used) != 6 ||
		text[used])
		return -EINVAL;
	for (int i = 0; i < 6; i++)
		mac[i] = (uint8_t)b[i];
	return mac[0] & 1 ? -EINVAL : 0; /* a group address is nobody's */
}

static int parse_number(const char *text, unsigned long max, unsigned long *out)
{
	char *end;

	if (!isdigit((unsigned char)*text))
		return -EINVAL;
	errno = 0;
	*out = strtoul(text, &end, 0);
	return *end || errno || *out > max ? -EINVAL : 0;
}

/* "192.0.2.2/24": both the address and the subnet it opens. */
static int parse_ip(struct port_spec *s, const char *text)
{
	char addr[PREFIX_STRLEN];
	const char *slash = strchr(text, '/');
	unsigned long len;
	struct ipaddr a;
	bool v4;

	if (s->nip == PORT_ADDRS || !slash || (size_t)(slash - text) >= sizeof(addr))
		return -EINVAL;
	memcpy(addr, text, (size_t)(slash - text));
	addr[slash - text] = '\0';
	if (ipaddr_parse(addr, &a))
		return -EINVAL;
	v4 = ipaddr_is_v4(&a);
	if (parse_number(slash + 1, v4 ? 32 : 128, &len))
		return -EINVAL;
	s->ip_addr[s->nip] = a;
	s->ip_vid[s->nip] = s->nvlans ? s->vlan[s->nvlans - 1] : 0;
	s->ip[s->nip++] = prefix_make(&a, (unsigned)len);
	return 0;
}

/* The addresses after it are in that VLAN. */
static int parse_vlan(struct port_spec *s, const char *text)
{
	unsigned long vid;

	if (s->nvlans == PORT_VLANS || parse_number(text, 4094, &vid) || vid == 0)
		return -EINVAL;
	for (unsigned i = 0; i < s->nvlans; i++)
		if (s->vlan[i] == vid)
			return -EINVAL;
	s->vlan[s->nvlans++] = (uint16_t)vid;
	return 0;
}

static bool allowed(enum port_type t, const char *key)
{
	static const struct {
		const char *key;
		unsigned types;
	} known[] = {
		{"queues", 1u << PORT_AF_XDP | 1u << PORT_AF_PACKET | 1u << PORT_PCI | 1u << PORT_MEMIF},
		{"copy", 1u << PORT_AF_XDP},
		{"busy_budget", 1u << PORT_AF_XDP},
		{"role", 1u << PORT_MEMIF},
		{"id", 1u << PORT_MEMIF},
		{"bsize", 1u << PORT_MEMIF},
		{"mac", 1u << PORT_MEMIF},
		{"ip", 1u << PORT_MEMIF | 1u << PORT_PCI},
		{"vlan", 1u << PORT_MEMIF | 1u << PORT_PCI},
		{"peer_mac", 1u << PORT_MEMIF | 1u << PORT_PCI},
		{"name", 1u << PORT_MEMIF | 1u << PORT_PCI},
		{"tap", 1u << PORT_MEMIF | 1u << PORT_PCI},
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (!strcmp(known[i].key, key))
			return known[i].types & (1u << t);
	return false;
}

static int parse_option(struct port_spec *s, const char *key, const char *value)
{
	unsigned long n;

	if (!strcmp(key, "queues")) {
		if (parse_number(value, PORT_QUEUES, &n) || n == 0)
			return -EINVAL;
		s->queues = (unsigned)n;
	} else if (!strcmp(key, "copy")) {
		if (parse_number(value, 1, &n))
			return -EINVAL;
		s->copy = n;
	} else if (!strcmp(key, "busy_budget")) {
		if (parse_number(value, 65535, &n))
			return -EINVAL;
		s->busy_budget = (int)n;
	} else if (!strcmp(key, "role")) {
		if (strcmp(value, "server") && strcmp(value, "client"))
			return -EINVAL;
		s->server = !strcmp(value, "server");
	} else if (!strcmp(key, "id")) {
		if (parse_number(value, UINT32_MAX, &n))
			return -EINVAL;
		s->id = (uint32_t)n;
	} else if (!strcmp(key, "bsize")) {
		if (parse_number(value, PORT_ROOM, &n) || n < 128)
			return -EINVAL;
		s->bsize = (uint16_t)n;
	} else if (!strcmp(key, "mac")) {
		s->has_mac = true;
		return parse_mac(value, s->mac);
	} else if (!strcmp(key, "peer_mac")) {
		s->has_peer_mac = true;
		return parse_mac(value, s->peer_mac);
	} else if (!strcmp(key, "ip")) {
		return parse_ip(s, value);
	} else if (!strcmp(key, "vlan")) {
		return parse_vlan(s, value);
	} else if (!strcmp(key, "name") || !strcmp(key, "tap")) {
		char *to = *key == 'n' ? s->name : s->tap;

		if (!*value || strlen(value) >= IF_NAMESIZE)
			return -EINVAL;
		memcpy(to, value, strlen(value) + 1);
	} else {
		return -EINVAL;
	}
	return 0;
}

int port_spec_parse(const char *text, struct port_spec *s, char err[PORT_ERR])
{
	const char *colon = strchr(text, ':');
	char rest[PORT_SPEC], *option, *save = NULL;
	unsigned t;

	memset(s, 0, sizeof(*s));
	s->busy_budget = -1;
	s->bsize = PORT_ROOM;
	if (strlen(text) >= sizeof(s->text)) {
		snprintf(err, PORT_ERR, "port '%.40s...' is longer than %zu characters", text,
			sizeof(s->text) - 1);
		return -EINVAL;
	}
	snprintf(s->text, sizeof(s->text), "%s", text);
	for (t = 0; t < PORT_TYPES; t++)
		if (colon && strlen(prefixes[t]) == (size_t)(colon - text) &&
			!strncmp(text, prefixes[t], (size_t)(colon - text)))
			break;
	if (t == PORT_TYPES) {
		snprintf(err, PORT_ERR,
			"unknown port '%.100s': write af_xdp:IFACE, af_packet:IFACE, pci:ADDRESS or "
			"memif:PATH",
			text);
		return -EINVAL;
	}
	s->type = t;
	snprintf(rest, sizeof(rest), "%s", colon + 1);
	option = strtok_r(rest, ",", &save);
	if (!option || colon[1] == ',' || strlen(option) >= sizeof(s->target)) {
		snprintf(err, PORT_ERR, "port '%.100s' names no %s", text,
			t == PORT_PCI     ? "device"
			: t == PORT_MEMIF ? "socket"
					  : "interface");
		return -EINVAL;
	}
	snprintf(s->target, sizeof(s->target), "%s", option);
	if (t == PORT_AF_XDP || t == PORT_AF_PACKET) {
		if (strlen(option) >= IF_NAMESIZE) {
			snprintf(err, PORT_ERR, "port '%.100s': '%s' is too long for an interface name", text,
				option);
			return -EINVAL;
		}
		memcpy(s->name, option, strlen(option) + 1);
	}
	while ((option = strtok_r(NULL, ",", &save))) {
		char *value = strchr(option, '=');

		if (value)
			*value++ = '\0';
		if (!value || !allowed(s->type, option)) {
			snprintf(err, PORT_ERR, "port '%.100s': unknown option '%s'", text, option);
			return -EINVAL;
		}
		if (parse_option(s, option, value)) {
			snprintf(
				err, PORT_ERR, "port '%.100s': '%s' is no value for %s", text, value, option);
			return -EINVAL;
		}
	}
	if (s->nvlans && *s->tap) {
		snprintf(err, PORT_ERR,
			"port '%.100s': the VLANs of a port with tap= are made on the TAP interface", text);
		return -EINVAL;
	}
	if (s->bsize != PORT_ROOM && *s->tap) {
		snprintf(err, PORT_ERR, "port '%.100s': the kernel behind tap= needs whole buffers, no bsize",
			text);
		return -EINVAL;
	}
	if (s->nvlans && strlen(s->name) + 5 >= IF_NAMESIZE) { /* .4094 */
		snprintf(err, PORT_ERR, "port '%.100s': with a VLAN's number '%s' is too long for a name",
			text, s->name);
		return -EINVAL;
	}
	return 0;
}
