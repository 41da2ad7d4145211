/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a definition that is changed cannot keep. */
#include "domain/domain_tree.h"

void
domain_edit_note(struct domain_edit *edit, const char *path, const char *why)
{
	buffer_printf(&edit->lost, "%s'%s' (%s)", edit->lost.len ? ", " : "", path, why);
}

void
domain_edit_lose(struct domain_edit *edit, xmlNode *node, const char *path, const char *why)
{
	if (!node)
		return;
	domain_edit_note(edit, path, why);
	xml_remove(node);
}
