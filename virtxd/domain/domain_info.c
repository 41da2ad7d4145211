/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What was read from a domain's XML. */
#include "domain/domain_info.h"

#include <string.h>

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

void
domain_info_clear(struct domain_info *info)
{
	if (!info)
		return;
	free(info->uuid);
	free(info->type);
	model_clear(&vmdef_model, &info->def);
	free(info->foreign_why);
	model_clear(&oplog_list_model, &info->oplog);
	free(info->cloud_init);
	free(info->variables);
	memset(info, 0, sizeof(*info));
}
