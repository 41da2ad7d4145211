/* SPDX-License-Identifier: GPL-2.0-or-later */
/* UUIDs as 36 characters of lower-case text, which is how they travel everywhere. */
#ifndef PROTO_UUID_H
#define PROTO_UUID_H

#include <stdbool.h>

#define UUID_TEXT_SIZE 37

/* A new random one. */
void uuid_make(char out[UUID_TEXT_SIZE]);
/* Checks the 36-character form and writes it in lower case; -EINVAL (out is then "") for anything
 * else. */
int uuid_normalize(const char *text, char out[UUID_TEXT_SIZE]);

#endif
