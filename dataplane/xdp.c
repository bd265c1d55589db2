/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The life of the XDP filter on one interface.
 *
 * The AF_XDP driver of DPDK 22.11 loads the object itself and attaches it by
 * netlink, which outlives the process: after SIGKILL the program stays on the
 * interface and the next start is refused the slot. So, once the driver has
 * attached, xdp_filter_take() finds the program by the interface and detaches
 * it, and xdp_filter_attach() puts it back through a bpf_link, which the kernel
 * drops with our last descriptor. (The driver's own detaching when it closes
 * then fails, as intended: the link is ours.) Where the kernel has no XDP links (before
 * 5.9) the netlink attachment is kept and the next run's xdp_slot_claim()
 * cleans up. Ours is what carries our program name and all our map names;
 * anything else on the slot belongs to somebody else and is never touched.
 */
#include "dataplane/xdp.h"
#include "shared/log.h"
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <limits.h>
#include <linux/if_link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILTER_NAME "bfd_filter"
#define FILTER_OBJECT "bfd_filter.bpf.o"
#define FILTER_MAPS 16

int xdp_object_path(char *path, size_t size, char err[XDP_ERR])
{
	const char *env = getenv("PEREGRINE_LIB");
	char exe[PATH_MAX];
	ssize_t n;

	if (env && *env) {
		snprintf(path, size, "%s/" FILTER_OBJECT, env);
		if (access(path, R_OK) == 0)
			return 0;
		snprintf(err, XDP_ERR, "no " FILTER_OBJECT " in PEREGRINE_LIB=%.180s", env);
		return -ENOENT;
	}
	n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	if (n > 0) {
		exe[n] = '\0';
		*strrchr(exe, '/') = '\0';
		snprintf(path, size, "%s/" FILTER_OBJECT, exe);
		if (access(path, R_OK) == 0)
			return 0;
		snprintf(path, size, "%s/../lib/peregrine/" FILTER_OBJECT, exe);
		if (access(path, R_OK) == 0)
			return 0;
	}
	snprintf(path, size, "/usr/lib/peregrine/" FILTER_OBJECT);
	if (access(path, R_OK) == 0)
		return 0;
	snprintf(err, XDP_ERR,
		"the XDP filter " FILTER_OBJECT
		" is neither beside the program nor in its ../lib/peregrine; set "
		"PEREGRINE_LIB to the directory that has it");
	return -ENOENT;
}

static int prog_info(int prog_fd, struct bpf_prog_info *info, uint32_t maps[FILTER_MAPS])
{
	uint32_t len = sizeof(*info);

	memset(info, 0, sizeof(*info));
	info->nr_map_ids = FILTER_MAPS;
	info->map_ids = (uint64_t)(uintptr_t)maps;
	if (bpf_obj_get_info_by_fd(prog_fd, info, &len))
		return -errno;
	if (info->nr_map_ids > FILTER_MAPS)
		info->nr_map_ids = FILTER_MAPS;
	return 0;
}

/* Descriptors of our maps by name; true only if all are there. */
static bool open_maps(
	const struct bpf_prog_info *info, const uint32_t maps[FILTER_MAPS], struct xdp_filter *f)
{
	f->xsks_fd = f->v4_fd = f->v6_fd = f->stats_fd = -1;
	for (uint32_t i = 0; i < info->nr_map_ids; i++) {
		struct bpf_map_info mi = {0};
		uint32_t len = sizeof(mi);
		int fd = bpf_map_get_fd_by_id(maps[i]);
		int *keep = NULL;

		if (fd < 0)
			continue;
		if (bpf_obj_get_info_by_fd(fd, &mi, &len) == 0) {
			if (!strcmp(mi.name, "local_v4"))
				keep = &f->v4_fd;
			else if (!strcmp(mi.name, "local_v6"))
				keep = &f->v6_fd;
			else if (!strcmp(mi.name, "filter_stats"))
				keep = &f->stats_fd;
			else if (!strcmp(mi.name, "xsks_map"))
				keep = &f->xsks_fd;
		}
		if (keep && *keep < 0)
			*keep = fd;
		else
			close(fd);
	}
	return f->xsks_fd >= 0 && f->v4_fd >= 0 && f->v6_fd >= 0 && f->stats_fd >= 0;
}

void xdp_filter_init(struct xdp_filter *f)
{
	memset(f, 0, sizeof(*f));
	f->prog_fd = f->link_fd = f->xsks_fd = f->v4_fd = f->v6_fd = f->stats_fd = -1;
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* The program attached to the interface into f, when it is one of ours. name gets what the attached program
 * is called. */
static bool find_ours(struct xdp_filter *f, uint32_t ifindex, char *name, size_t size)
{
	struct bpf_prog_info info;
	uint32_t maps[FILTER_MAPS];
	uint32_t id = 0;

	xdp_filter_init(f);
	f->ifindex = ifindex;
	if (size)
		*name = '\0';
	if (bpf_xdp_query_id((int)ifindex, 0, &id) || id == 0)
		return false;
	f->prog_fd = bpf_prog_get_fd_by_id(id);
	if (f->prog_fd < 0 || prog_info(f->prog_fd, &info, maps)) {
		close_fd(&f->prog_fd);
		snprintf(name, size, "id %u", id);
		return false;
	}
	snprintf(name, size, "'%s', id %u", info.name, id);
	if (strcmp(info.name, FILTER_NAME) || !open_maps(&info, maps, f)) {
		xdp_filter_close(f);
		return false;
	}
	return true;
}

int xdp_slot_claim(uint32_t ifindex, const char *ifname, bool *leftover, char err[XDP_ERR])
{
	struct xdp_filter f;
	char name[64];
	uint32_t id = 0;
	int rc;

	*leftover = false;
	rc = bpf_xdp_query_id((int)ifindex, 0, &id);
	if (rc) {
		snprintf(err, XDP_ERR, "cannot ask for the XDP program of %s: %s", ifname, strerror(-rc));
		return rc;
	}
	if (id == 0)
		return 0;
	if (!find_ours(&f, ifindex, name, sizeof(name))) {
		snprintf(err, XDP_ERR,
			"the XDP slot of %s is taken by another program (%s): detach it or use af_packet:%s",
			ifname, name, ifname);
		return -EBUSY;
	}
	rc = bpf_xdp_detach((int)ifindex, 0, NULL);
	xdp_filter_close(&f);
	if (rc) {
		snprintf(err, XDP_ERR,
			"our own XDP program on %s (%s) cannot be detached, somebody holds it: %s", ifname,
			name, strerror(-rc));
		return -EBUSY;
	}
	*leftover = true;
	return 0;
}

static int detach(uint32_t ifindex, const char *ifname, char err[XDP_ERR])
{
	int rc = bpf_xdp_detach((int)ifindex, 0, NULL);

	if (rc)
		snprintf(err, XDP_ERR, "cannot detach the XDP filter from %s: %s", ifname, strerror(-rc));
	return rc;
}

int xdp_filter_take(struct xdp_filter *f, uint32_t ifindex, const char *ifname, char err[XDP_ERR])
{
	char name[64];

	if (!find_ours(f, ifindex, name, sizeof(name))) {
		snprintf(err, XDP_ERR, "the filter attached to %s is not the one expected (%s)", ifname,
			*name ? name : "none");
		return -ENOENT;
	}
	return detach(ifindex, ifname, err);
}

int xdp_filter_drop(uint32_t ifindex, const char *ifname, char err[XDP_ERR])
{
	return detach(ifindex, ifname, err);
}

int xdp_filter_socket(struct xdp_filter *f, unsigned queue, int xsk)
{
	return bpf_map_update_elem(f->xsks_fd, &queue, &xsk, BPF_ANY) ? -errno : 0;
}

int xdp_filter_attach(struct xdp_filter *f, const char *ifname, char err[XDP_ERR])
{
	int rc;

	f->link_fd = bpf_link_create(f->prog_fd, (int)f->ifindex, BPF_XDP, NULL);
	if (f->link_fd >= 0)
		return 0;
	log_msg(LOG_CLASS_DEBUG, "%s: no XDP link here (%s): attached by netlink", ifname, strerror(errno));
	f->link_fd = -1;
	rc = bpf_xdp_attach((int)f->ifindex, f->prog_fd, XDP_FLAGS_UPDATE_IF_NOEXIST, NULL);
	if (rc)
		snprintf(err, XDP_ERR, "cannot attach the XDP filter to %s: %s", ifname, strerror(-rc));
	return rc;
}

int xdp_filter_local(struct xdp_filter *f, const struct ipaddr *a, uint8_t what)
{
	bool v4 = ipaddr_is_v4(a);
	const void *key = v4 ? (const void *)&a->w[3] : (const void *)a->b;
	int fd = v4 ? f->v4_fd : f->v6_fd;
	int rc;

	if (fd < 0)
		return -EBADF;
	rc = what ? bpf_map_update_elem(fd, key, &what, BPF_ANY) : bpf_map_delete_elem(fd, key);
	return rc && !(errno == ENOENT && !what) ? -errno : 0;
}

int xdp_filter_read(const struct xdp_filter *f, struct xdp_counters *out)
{
	int cpus = libbpf_num_possible_cpus();
	uint64_t *per_cpu;

	memset(out, 0, sizeof(*out));
	if (f->stats_fd < 0 || cpus <= 0)
		return -EBADF;
	per_cpu = calloc((size_t)cpus, sizeof(*per_cpu));
	if (!per_cpu)
		return -ENOMEM;
	for (uint32_t i = 0; i < FILTER_STATS; i++) {
		if (bpf_map_lookup_elem(f->stats_fd, &i, per_cpu))
			continue;
		for (int c = 0; c < cpus; c++)
			out->value[i] += per_cpu[c];
	}
	free(per_cpu);
	return 0;
}

void xdp_filter_close(struct xdp_filter *f)
{
	close_fd(&f->link_fd);
	close_fd(&f->prog_fd);
	close_fd(&f->xsks_fd);
	close_fd(&f->v4_fd);
	close_fd(&f->v6_fd);
	close_fd(&f->stats_fd);
}
