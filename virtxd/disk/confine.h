/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a process gives up for good: capabilities, files, the network, other processes. */
#ifndef DISK_CONFINE_H
#define DISK_CONFINE_H

#include "proto/error.h"

/* A set of capabilities: bit CAP_X of linux/capability.h. */
#define CAPABILITY(cap) (UINT64_C(1) << (cap))

/*
 * The calling process keeps no capability but those of the set, of those that it has, and cannot
 * get any back: not by a program that it runs either, be that set-user-ID. Safe after a fork. 0 or
 * a negative errno.
 */
int confine_capabilities(uint64_t keep);

/* What a confined program may use beside the programs and libraries of the system. */
struct confine_files {
	const int *fds;	    /* open files, -1 ends; may be opened again by their number. NULL */
	bool write;	    /* those may be written, too */
	const char *folder; /* what is in it may be read, NULL for none */
	const char *program;
};

/*
 * Makes Landlock's rules; *ret_fd is theirs, the caller's. It is -1 where the kernel has no
 * Landlock, of which confine_missing() says why.
 */
int confine_rules(const struct confine_files *files, int *ret_fd, struct error *err);
/* Puts the process under the rules (-1 for none), and leaves it the system calls that a program on
 * images needs: it can run another program in its place, and have threads, but no processes. Safe
 * after a fork. 0 or a negative errno. */
int confine_enter(int rules);
/* Why nothing can be put under Landlock's rules here; NULL where it can. */
const char *confine_missing(void);

#endif
