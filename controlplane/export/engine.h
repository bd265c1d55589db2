/* SPDX-License-Identifier: BSD-2-Clause */
/* Inside of the export room. */
#pragma once
#include "controlplane/export/export.h"
#include <pthread.h>
#include <urcu/list.h>

struct export_engine {
	struct rib *rib;
	pthread_mutex_t lock; /* groups: found, made, referenced and dropped by main and session threads */
	struct cds_list_head groups;
	/* For who reads routes (export_waiting()): bytes of changes in rings, peers. */
	_Alignas(64) _Atomic int64_t waiting;
	_Atomic unsigned receivers;
};
