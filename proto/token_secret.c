/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "proto/token_secret.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define PREFIX	    "virtx_"
#define SECRET_BITS 256
#define HIDDEN_MIN  16 /* digits; a name has fewer */

_Static_assert(TOKEN_SECRET_SIZE == sizeof(PREFIX) + SECRET_BITS / 4, "four bits a digit");
_Static_assert(TOKEN_HASH_LEN == 2 * SHA256_DIGEST_LENGTH, "two digits a byte");

static void
write_hex(const unsigned char *bytes, size_t n, char *out)
{
	for (size_t i = 0; i < n; i++)
		snprintf(out + 2 * i, 3, "%02x", bytes[i]);
}

void
token_secret_make(char ret[TOKEN_SECRET_SIZE])
{
	unsigned char bytes[SECRET_BITS / 8];

	if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
		abort();
	memcpy(ret, PREFIX, strlen(PREFIX));
	write_hex(bytes, sizeof(bytes), ret + strlen(PREFIX));
	explicit_bzero(bytes, sizeof(bytes));
}

void
token_secret_hide(char *text)
{
	static const char left[] = "...";

	while ((text = strstr(text, PREFIX))) {
		size_t digits;

		text += strlen(PREFIX);
		digits = strspn(text, "0123456789abcdefABCDEF");
		if (digits < HIDDEN_MIN)
			continue;
		memcpy(text, left, strlen(left));
		memmove(text + strlen(left), text + digits, strlen(text + digits) + 1);
	}
}

void
token_secret_hash(const char *secret, char ret[TOKEN_HASH_LEN + 1])
{
	unsigned char digest[SHA256_DIGEST_LENGTH];

	SHA256((const unsigned char *)secret, strlen(secret), digest);
	write_hex(digest, sizeof(digest), ret);
}

bool
token_secret_same(const char a[TOKEN_HASH_LEN + 1], const char b[TOKEN_HASH_LEN + 1])
{
	return CRYPTO_memcmp(a, b, TOKEN_HASH_LEN) == 0;
}
