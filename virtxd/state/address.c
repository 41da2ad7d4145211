/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "state/address.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proto/util.h"

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

/* A literal as both families have it: IPv4 is mapped into IPv6. */
static bool
read_literal(const char *addr, struct in6_addr *ret)
{
	struct in_addr in;

	if (inet_pton(AF_INET, addr, &in) == 1) {
		*ret = (struct in6_addr){ .s6_addr = { [10] = 0xff, [11] = 0xff } };
		memcpy(ret->s6_addr + 12, &in, sizeof(in));
		return true;
	}
	return inet_pton(AF_INET6, addr, ret) == 1;
}

/* An address with a port of either family. */
struct endpoint {
	union {
		struct sockaddr sa;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	};
	socklen_t len;
};

static bool
make_endpoint(const char *addr, uint16_t port, struct endpoint *ret)
{
	*ret = (struct endpoint){ .in.sin_family = AF_INET, .len = sizeof(ret->in) };
	ret->in.sin_port = htons(port);
	if (inet_pton(AF_INET, addr, &ret->in.sin_addr) == 1)
		return true;
	*ret = (struct endpoint){ .in6.sin6_family = AF_INET6, .len = sizeof(ret->in6) };
	ret->in6.sin6_port = htons(port);
	return inet_pton(AF_INET6, addr, &ret->in6.sin6_addr) == 1;
}

static int
datagram_socket(const struct endpoint *endpoint)
{
	return socket(endpoint->sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

bool
address_source(const char *to, char ret[ADDRESS_SIZE])
{
	struct endpoint at;
	_close_ int fd = -1;

	if (!make_endpoint(to, 9, &at))
		return false;
	/* A datagram socket only looks for its route. */
	fd = datagram_socket(&at);
	if (fd < 0 || connect(fd, &at.sa, at.len) < 0 || getsockname(fd, &at.sa, &at.len) < 0)
		return false;
	return inet_ntop(at.sa.sa_family,
		   at.sa.sa_family == AF_INET ? (void *)&at.in.sin_addr : (void *)&at.in6.sin6_addr,
		   ret, ADDRESS_SIZE) != NULL;
}

bool
address_is_usable(const char *addr)
{
	struct endpoint at;
	_close_ int fd = -1;

	if (!make_endpoint(addr, 0, &at))
		return false;
	fd = datagram_socket(&at);
	return fd >= 0 && bind(fd, &at.sa, at.len) == 0;
}

bool
address_is_own(const char *addr)
{
	struct in6_addr in, source;
	char text[ADDRESS_SIZE];

	/* The kernel sends from an address of its own to itself. */
	return read_literal(addr, &in) && address_source(addr, text) &&
	       read_literal(text, &source) && IN6_ARE_ADDR_EQUAL(&in, &source);
}

const char *
address_refusal(const char *addr)
{
	struct in6_addr in;
	const uint8_t *b = in.s6_addr + 12;
	bool is4;

	if (!read_literal(addr, &in))
		return "no IP address";
	is4 = IN6_IS_ADDR_V4MAPPED(&in);
	if (IN6_IS_ADDR_UNSPECIFIED(&in) || (is4 && b[0] == 0))
		return "the address that stands for any";
	if (address_is_loopback(addr))
		return "a loopback address";
	if (IN6_IS_ADDR_LINKLOCAL(&in) || (is4 && b[0] == 169 && b[1] == 254))
		return "a link-local address";
	if (IN6_IS_ADDR_MULTICAST(&in) || (is4 && b[0] >= 224))
		return "a multicast or reserved address";
	return address_is_own(addr) ? "an address of this host itself" : NULL;
}

/* The first word of a list; false where it is no network. */
static bool
read_network(const char *word, size_t len, struct in6_addr *ret, unsigned int *ret_bits)
{
	char text[ADDRESS_SIZE];
	size_t n = strcspn(word, "/ ");
	unsigned int max;

	if (n >= sizeof(text))
		return false;
	memcpy(text, word, n);
	text[n] = '\0';
	if (!read_literal(text, ret))
		return false;
	max = strchr(text, ':') ? 128 : 32;
	*ret_bits = 128;
	if (n == len)
		return true;
	word += n + 1;
	len -= n + 1;
	if (len == 0 || len > 3 || strspn(word, "0123456789") < len ||
	    strtoul(word, NULL, 10) > max)
		return false;
	*ret_bits = 128 - max + (unsigned int)strtoul(word, NULL, 10);
	return true;
}

static bool
is_in_network(const struct in6_addr *in, const struct in6_addr *network, unsigned int bits)
{
	unsigned int bytes = bits / 8, rest = bits % 8;

	if (memcmp(in, network, bytes) != 0)
		return false;
	return rest == 0 || (in->s6_addr[bytes] ^ network->s6_addr[bytes]) >> (8 - rest) == 0;
}

bool
address_list_valid(const char *list)
{
	struct in6_addr network;
	unsigned int bits;
	size_t len;

	for (list += strspn(list, " "); *list; list += len + strspn(list + len, " ")) {
		len = strcspn(list, " ");
		if (!read_network(list, len, &network, &bits))
			return false;
	}
	return true;
}

bool
address_in_list(const char *addr, const char *list)
{
	struct in6_addr in, network;
	unsigned int bits;
	size_t len;

	if (!read_literal(addr, &in))
		return false;
	for (list += strspn(list, " "); *list; list += len + strspn(list + len, " ")) {
		len = strcspn(list, " ");
		if (read_network(list, len, &network, &bits) && is_in_network(&in, &network, bits))
			return true;
	}
	return false;
}
