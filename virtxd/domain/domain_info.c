/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What was read from a domain's XML. */
#include "domain/domain_info.h"

#include <string.h>

#include "proto/vmdef.h"

void
domain_info_foreign(struct domain_info *info, const char *fmt, ...)
{
	va_list ap;

	if (info->foreign)
		return;
	info->foreign = true;
	va_start(ap, fmt);
	info->foreign_why = xvasprintf(fmt, ap);
	va_end(ap);
}

const struct disk *
domain_info_leased(const struct domain_info *info, size_t i)
{
	const struct disk *disk;

	for (size_t k = 0; (disk = vmdef_disk(&info->def, k)); k++) {
		if (disk->man == DISK_MAN_MODE_MANAGED && i-- == 0)
			return disk;
	}
	return i == 0 && info->leased ? &info->lease : NULL;
}

void
domain_info_clear(struct domain_info *info)
{
	if (!info)
		return;
	free(info->uuid);
	free(info->type);
	model_clear(&vmdef_model, &info->def);
	free(info->lease.path);
	free(info->foreign_why);
	model_clear(&oplog_list_model, &info->oplog);
	free(info->cloud_init);
	free(info->variables);
	memset(info, 0, sizeof(*info));
}
