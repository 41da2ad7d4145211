/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a resident process remembers of leases that were sound: whose they were, and the state of
 * their files. It holds for as long as the file is the same, at which the storage is asked each
 * time; what sanlock and the storage would have to read for it is far more.
 */
#ifndef WORK_SEEN_LEASES_H
#define WORK_SEEN_LEASES_H

#include <stdbool.h>
#include <sys/stat.h>

/* Whether the lease was sound, and the VM's, when it was last looked at, and no byte of it has been
 * written since. *file, for seen_leases_keep(), is what its file is now. */
bool seen_leases_recall(const char *root, const char *name, const char *vm, struct stat *file);
/* Remembers one that is: file was looked at ahead of all else. One that has just been written is
 * not remembered. */
void seen_leases_keep(const char *root, const char *name, const char *vm, const struct stat *file);
/* All are to be read again. */
void seen_leases_forget(void);

#endif
