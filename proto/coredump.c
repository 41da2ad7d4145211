/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "proto/coredump.h"

#include <sys/prctl.h>
#include <sys/resource.h>

void
coredump_forbid(void)
{
	const struct rlimit none = { 0 };

	setrlimit(RLIMIT_CORE, &none);
	/* A core_pattern with a program in it does not obey the limit. */
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}
