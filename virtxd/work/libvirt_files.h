/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The files in which libvirtd keeps a domain: its definition, and of one that is on how it runs.
 * libvirtd writes them anew at each change that it is told of, and in their place: where they are
 * those that they were, its XML says what it said.
 */
#ifndef WORK_LIBVIRT_FILES_H
#define WORK_LIBVIRT_FILES_H

#include <libvirt/libvirt.h>

#include "work/file_state.h"

/* Where the libvirtd of a URI has them. */
struct libvirt_dirs {
	const char *uri, *definitions, *states;
};

/* The system's libvirtd. */
extern const struct libvirt_dirs libvirt_system;

struct libvirt_files {
	bool known; /* else there is nothing to compare */
	bool on;
	struct stat definition, state; /* state: of one that is on */
};

/* Not known where dirs is NULL or the connection to another libvirtd, or there is no such file, or
 * one of them was written so lately that its next change may not show. Asks libvirtd nothing. */
void libvirt_files_look(const struct libvirt_dirs *dirs, const char *uri, virDomainPtr domain,
    struct libvirt_files *ret);
/* False where one of them is not known. */
bool libvirt_files_are_same(const struct libvirt_files *a, const struct libvirt_files *b);

#endif
