/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A UNIX socket in the file system, which listens. */
#ifndef HTTP_SOCKET_FILE_H
#define HTTP_SOCKET_FILE_H

#include "proto/error.h"

/* Makes the socket, and its folder where that is not there, for root and a group (where there is
 * one of that name). What a process that is gone has left there is replaced; where one listens, it
 * is an error. The listening descriptor, or -1. */
int socket_file_open(const char *path, const char *group, struct error *err);
/* Closes fd, and removes the file where no other process listens there by now. */
void socket_file_close(const char *path, int fd);

#endif
