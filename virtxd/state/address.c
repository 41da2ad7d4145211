/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "state/address.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(ADDRESS_SIZE == INET6_ADDRSTRLEN, "inet_ntop writes up to INET6_ADDRSTRLEN bytes");

bool
address_parse(const char *text, char addr[ADDRESS_SIZE], uint16_t *port)
{
	const char *colon = strrchr(text, ':');
	const char *host = text;
	char literal[ADDRESS_SIZE];
	struct in6_addr bytes;
	int family = AF_INET;
	size_t len;
	char *end;
	long n;

	if (!colon)
		return false;
	len = (size_t)(colon - text);
	if (len > 2 && host[0] == '[' && colon[-1] == ']') {
		family = AF_INET6;
		host++;
		len -= 2;
	}
	if (len == 0 || len >= sizeof(literal))
		return false;
	memcpy(literal, host, len);
	literal[len] = '\0';
	if (inet_pton(family, literal, &bytes) != 1)
		return false;
	if (!isdigit((unsigned char)colon[1]))
		return false;
	n = strtol(colon + 1, &end, 10);
	if (*end || n < 1 || n > UINT16_MAX)
		return false;
	inet_ntop(family, &bytes, addr, ADDRESS_SIZE);
	*port = (uint16_t)n;
	return true;
}

void
address_share(const char *addr, uint8_t ret[ADDRESS_SHARE_SIZE])
{
	char literal[ADDRESS_SIZE] = "";
	struct in6_addr in6;
	struct in_addr in;

	memset(ret, 0, ADDRESS_SHARE_SIZE);
	/* Without a zone. */
	memcpy(literal, addr, strnlen(addr, sizeof(literal) - 1));
	literal[strcspn(literal, "%")] = '\0';
	if (inet_pton(AF_INET6, literal, &in6) == 1 && !IN6_IS_ADDR_V4MAPPED(&in6)) {
		memcpy(ret, &in6, ADDRESS_SHARE_SIZE);
		return;
	}
	if (inet_pton(AF_INET6, literal, &in6) == 1)
		memcpy(&in, &in6.s6_addr[12], sizeof(in));
	else if (inet_pton(AF_INET, literal, &in) != 1)
		return;
	/* No network of a client begins so. */
	ret[0] = 0xff;
	memcpy(ret + ADDRESS_SHARE_SIZE - sizeof(in), &in, sizeof(in));
}

bool
address_is_loopback(const char *addr)
{
	struct in6_addr in6;
	struct in_addr in;

	if (inet_pton(AF_INET, addr, &in) == 1)
		return ntohl(in.s_addr) >> 24 == 127;
	if (inet_pton(AF_INET6, addr, &in6) != 1)
		return false;
	return IN6_IS_ADDR_LOOPBACK(&in6) || (IN6_IS_ADDR_V4MAPPED(&in6) && in6.s6_addr[12] == 127);
}
