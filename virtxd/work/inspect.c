/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "work/works.h"

#include "proto/log.h"
#include "work/storage.h"

int
work_inspect(const void *request, void *result, struct error *err)
{
	const struct inspect_request *req = request;
	struct inspect_result *res = result;

	for (size_t i = 0; i < req->n_vms; i++) {
		struct vm_report *report = model_append(&res->vms, &res->n_vms);

		report->uuid = xstrdup(req->vms[i].uuid);
		for (size_t j = 0; j < req->vms[i].n_disks; j++) {
			const struct disk *disk = &req->vms[i].disks[j];
			struct disk_report measured = { .index = (int32_t)j };
			struct error cause = { 0 };

			if (!str_empty(disk->path) &&
			    storage_inspect(&req->env, disk, &measured, &cause) < 0)
				log_debug("job", "VM '%s', disk '%s': %s", report->uuid, disk->path,
				    cause.detail);
			*model_append(&report->disks, &report->n_disks) = measured;
		}
	}
	return 0;
}
