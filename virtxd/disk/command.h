/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Running qemu-img and its like: never a shell, limits of time, memory and output. Blocks: jobs
 * only. */
#ifndef DISK_COMMAND_H
#define DISK_COMMAND_H

#include "proto/error.h"

/* What a program may do. None that is confined gets to the network or to other processes, nor has
 * it capabilities but the one that is named here. */
enum command_may {
	COMMAND_ALL,   /* what this process may */
	COMMAND_READ,  /* read fds, be they of others (CAP_DAC_READ_SEARCH) */
	COMMAND_WRITE, /* read and write fds */
	COMMAND_MAY_N,
};

struct command {
	const char *const *argv; /* NULL-terminated, argv[0] is looked up in PATH */
	const int *fds;		 /* given to the child under the same numbers, -1 ends; or NULL */
	enum command_may may;
	const char *folder; /* which may be read as well, or NULL */
	int timeout;	    /* seconds, then SIGTERM, then SIGKILL; of what is confined also
			       RLIMIT_CPU */
	size_t memory;	    /* RLIMIT_AS in bytes, 0 for none */
	int64_t file_max;   /* RLIMIT_FSIZE in bytes, of COMMAND_WRITE; 0 for none */
	size_t output_max;  /* bytes of stdout that are taken; more kills it */
	/* Each line of stdout (NUL-terminated, without its newline, at most 64 KiB) as it comes,
	 * instead of out; a negative answer kills the program and becomes command_run's. */
	int (*line)(const char *line, size_t len, void *arg);
	void (*tick)(void *arg); /* about once a second while it runs, or NULL */
	void *arg;
};

/*
 * Runs it to its end; stdout goes to out (NULL drops it). Fails with a 507 in the words that it
 * wrote to stderr when it exits other than 0, with the reason when a limit was met. It dies with
 * this process. What line answered is returned with err untouched.
 */
int command_run(const struct command *command, struct buffer *out, struct error *err);

#endif
