/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A UNIX socket in the file system, which listens. */
#ifndef HTTP_SOCKET_FILE_H
#define HTTP_SOCKET_FILE_H

#include <sys/types.h>

#include "proto/error.h"

/* What tells the file from one that another process has put in its place. */
struct socket_file {
	char *path; /* NULL: there is none */
	dev_t dev;
	ino_t ino;
};

/* Makes the socket, and its folder where that is not there, for root and a group (where there is
 * one of that name), or for this process's user alone where group is NULL. What a process that is
 * gone has left there is replaced; where one listens, it is an error. The listening descriptor, or
 * -1. */
int socket_file_open(
    struct socket_file *file, const char *path, const char *group, struct error *err);
/* Removes the file, unless another one is in its place; while the descriptor is still open, so that
 * no other file can have got its number. */
void socket_file_remove(struct socket_file *file);

#endif
