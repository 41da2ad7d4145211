/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Operations whose job died in the middle, or failed and left something half done: vm-heal finds
 * out how they ended, and is tried again for a minute where it cannot.
 */
#ifndef OPS_INQUIRY_H
#define OPS_INQUIRY_H

#include "job/job.h"
#include "work/requests.h"

struct inquiries;

/* What came of it: res->done tells whether what the operation wanted is so. NULL: that could not be
 * found out in time, and err says why. */
typedef void (*inquiry_found)(void *arg, struct vm_result *res, const struct error *err);

struct inquiry_ops {
	/* Whether libvirt and the storage are there to be asked; and the point in time from which
	 * a job looks that is started now. */
	bool (*able)(void *arg, uint64_t *mark);
	/* Told of each run of vm-heal that has ended, before who asked, with that point. */
	void (*healed)(void *arg, uint64_t mark, void *result, const struct error *err);
};
/* All are borrowed. */
struct inquiries *inquiries_new(
    struct event_base *base, struct jobs *jobs, const struct inquiry_ops *ops, void *arg);
/* Nobody is told any more. */
void inquiries_free(struct inquiries *inquiries);

/* Asks how the operation op of this VM ended; target is the host that it was to move the VM to,
 * else "". found is called once, and not before this has returned. */
void inquiry_start(struct inquiries *inquiries, const char *vm, const char *op, const char *target,
    inquiry_found found, void *arg);
/* Whether one is under way: then the VM is healed by that. */
bool inquiry_is_under_way(const struct inquiries *inquiries, const char *vm);

#endif
