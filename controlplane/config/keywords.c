/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The words of the language. They are not reserved; the list decides only
 * whether naming something so deserves a warning, and what a syntax error
 * calls the word. Looked up once for each distinct spelling in a file.
 */
#include "controlplane/config/lexer.h"
#include <string.h>

/* Sorted (memcmp order, then length). */
static const char *const keywords[] = {
	/* clang-format off */
	"accept", "action", "add", "address", "administrative", "advertise", "aes128", "after",
	"aggregate", "aggregator", "aigp", "algorithm", "all", "allow", "always", "announce", "any",
	"ao", "append", "area", "as", "as4", "aspa", "aspa_check", "aspa_check_downstream",
	"aspa_check_upstream", "attribute", "attributes", "auth", "authentication", "autonomous",
	"aware", "babel", "base", "bcast", "bfd", "bgp", "bgpmask", "bgppath", "bind", "bird",
	"blackhole", "blake2b256", "blake2b512", "blake2s128", "blake2s256", "block", "bmp", "bool",
	"bpf", "bridge", "broadcast", "bt_assert", "bt_check_assign", "bt_test_same", "bt_test_suite",
	"buffer", "bug", "by", "bytestring", "capabilities", "case", "cease", "change", "channels",
	"check", "checksum", "circuit", "class", "cli", "client", "clist", "cluster", "cmac", "code",
	"collision", "commands", "communities", "confederation", "config", "configuration", "configure",
	"confirm", "connect", "connection", "cost", "cost2", "count", "cryptographic", "current",
	"custom", "customer", "dead", "debug", "decay", "deconfigured", "default", "default2", "define",
	"defined", "delay", "delete", "demand", "deprecated", "description", "deterministic", "dev",
	"device", "digits", "direct", "disable", "disabled", "discovery", "distinguisher", "dnssl", "do",
	"domain", "dont_fragment", "double", "down", "dport", "drop", "dscp", "dst", "dump", "dynamic",
	"ead", "ebgp", "ec", "echo", "eclist", "ecmp", "eligible", "else", "empty", "enable",
	"encapsulation", "enforce", "enhanced", "entries", "enum", "error", "es", "eth", "eval",
	"events", "evpn", "exp", "exp_from", "exp_to", "expire", "explicit", "export", "exported",
	"extended", "external", "false", "fatal", "filename", "filter", "filtered", "filtering",
	"filters", "first", "first_fragment", "flags", "flow", "flow4", "flow6", "for", "forget",
	"format", "fragment", "free", "from", "from_hex", "function", "garbage", "gateway", "gc",
	"generate", "generic", "global", "graceful", "header", "hello", "hidden", "high", "hit", "hmac",
	"hold", "hop", "horizon", "hostname", "ibgp", "icmp", "id", "idle", "if", "ignore", "igp",
	"imet", "import", "in", "infinity", "info", "instance", "int", "interface", "interfaces",
	"internal", "interpret", "interval", "ip", "ipv4", "ipv6", "is_fragment", "iso", "keep",
	"keepalive", "kernel", "key", "keyed", "keys", "l3vpn", "label", "labels", "large",
	"last_fragment", "latency", "lc", "lclist", "learn", "length", "lifetime", "limit", "linger",
	"link", "lived", "lladdr", "local", "log", "long", "low", "lsa", "lsadb", "lsid", "mac",
	"managed", "mandatory", "max", "md5", "med", "medium", "member", "memory", "merge", "messages",
	"meticulous", "metric", "min", "missing", "mode", "monitoring", "mpls", "mrt", "mrtdump", "ms",
	"mtu", "mult", "multicast", "multihop", "multiplier", "name", "native", "nbma", "neighbor",
	"neighbors", "netlink", "netmask", "networks", "next", "nexthop", "ng", "no", "noexport",
	"nonbroadcast", "none", "normal", "ns", "nssa", "of", "off", "offset", "older", "on", "onlink",
	"only", "opaque", "option", "originate", "ospf", "other", "out", "packets", "pair", "passive",
	"password", "passwords", "path", "paths", "pd", "pe", "peer", "perf", "period", "permissive",
	"persist", "pipe", "plaintext", "pointomultipoint", "pointopoint", "poison", "policy", "poll",
	"port", "post_policy", "pre_policy", "preexport", "prefer", "preference", "preferred", "prefix",
	"prepend", "pri", "primary", "print", "printn", "priority", "private", "prohibit", "propagate",
	"proto", "protocol", "protocols", "provider", "providers", "ptmp", "ptp", "public", "quad", "ra",
	"radv", "randomize", "range", "rd", "rdnss", "reachable", "real", "receive", "recursive", "recv",
	"refresh", "reject", "rejected", "reload", "remote", "repeat", "require", "reset", "resources",
	"restart", "restrict", "retrans", "retransmit", "retry", "return", "reverse", "rfc1583compat",
	"rfc5838", "rib", "rip", "ro", "roa4", "roa6", "roa_check", "role", "roles", "route", "router",
	"routes", "rpki", "rr", "rs", "rs_client", "rs_server", "rt", "rtt", "rx", "rxcost", "s", "sadr",
	"scan", "sec", "secondary", "secret", "security", "self", "send", "sensitive", "sessions", "set",
	"setkey", "sets", "settle", "sha1", "sha256", "sha384", "sha512", "short", "show", "shutdown",
	"simple", "single", "skip", "soft", "solicited", "sorted", "source", "split", "sport", "src",
	"ssh", "stability", "stale", "start", "startup", "states", "static", "station", "stats",
	"status", "stderr", "strict", "string", "stub", "stubnet", "summary", "suppression", "symbol",
	"symbols", "syslog", "system", "table", "tables", "tag", "target", "tcp", "tcp_flags",
	"template", "then", "threads", "threshold", "threshold_max", "threshold_min", "tick", "time",
	"timeformat", "timeout", "timer", "timestamps", "to", "trace", "transit", "translator",
	"transmit", "transport", "trie", "trigger", "triggered", "true", "ttl", "tunnel", "tx", "type",
	"udp", "udp6", "undo", "unicast", "unknown", "unreachable", "unset", "update", "us", "user",
	"v2", "v3", "valid", "validate", "value", "version", "via", "vid", "virtual", "vlan", "vni",
	"vpn", "vpn4", "vpn6", "vrf", "vxlan", "wait", "warn", "warning", "watchdog", "weight", "where",
	"wired", "wireless", "yes", "zero",
	/* clang-format on */
};

bool keyword_known(const char *word, size_t len)
{
	size_t lo = 0, hi = sizeof(keywords) / sizeof(keywords[0]);

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		int c = strncmp(word, keywords[mid], len);

		if (!c)
			c = keywords[mid][len] ? -1 : 0;
		if (!c)
			return true;
		if (c < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	return false;
}
