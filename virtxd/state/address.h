/* SPDX-License-Identifier: GPL-2.0-or-later */
/* IP literals: with a port, as the configuration has them, and those of other hosts. */
#ifndef STATE_ADDRESS_H
#define STATE_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>

#define ADDRESS_SIZE	   46
#define ADDRESS_SHARE_SIZE 8

/* Reads ADDR:PORT or [ADDR]:PORT, PORT 1 to 65535; addr gets the literal in its usual spelling.
 * False for anything else. */
bool address_parse(const char *text, char addr[ADDRESS_SIZE], uint16_t *port);
/* Whom the literal stands for, where everybody gets a share: an IPv4 address, or the network of 64
 * bits that an IPv6 client has for itself alone. All bytes are 0 for what is no literal. */
void address_share(const char *addr, uint8_t ret[ADDRESS_SHARE_SIZE]);
/* Is the literal one of this host alone? */
bool address_is_loopback(const char *addr);
/* The address from which this host sends to that one, by the kernel's routes; false where there is
 * no way. Nothing is sent. */
bool address_source(const char *to, char ret[ADDRESS_SIZE]);
/* Does it belong to an interface of this host? */
bool address_is_own(const char *addr);
/* Can this host send from it? One behind a translation, which others know, it has not. */
bool address_is_usable(const char *addr);
/* Why no other host can have this address ("a loopback address"), NULL where one may. */
const char *address_refusal(const char *addr);
/* Literals, or networks as 192.0.2.0/24, with spaces between. */
bool address_list_valid(const char *list);
/* Is the literal one of the list, or in a network of it? */
bool address_in_list(const char *addr, const char *list);

#endif
