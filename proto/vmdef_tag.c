/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The ETag of a definition, by which an update tells which one it is for. */
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "proto/json.h"
#include "proto/vmdef.h"

#define TAG_BYTES 16 /* of the digest */

void
vmdef_tag(const struct vmdef *def, char out[VMDEF_TAG_SIZE])
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	size_t len, digest_len = 0;
	_free_ char *text = json_encode(&vmdef_model, def, &len);

	/* There is no OpenSSL without it. */
	if (!EVP_Q_digest(NULL, "SHA256", NULL, text, len, digest, &digest_len))
		abort();
	out[0] = '"';
	for (size_t i = 0; i < TAG_BYTES; i++)
		snprintf(out + 1 + 2 * i, 3, "%02x", digest[i]);
	memcpy(out + 1 + 2 * TAG_BYTES, "\"", 2);
}

bool
vmdef_tag_matches(const char *tag, const char *if_match)
{
	size_t len = strlen(tag);

	for (const char *at = if_match; *at;) {
		size_t n;

		at += strspn(at, ", \t");
		n = strcspn(at, ",");
		while (n > 0 && strchr(" \t", at[n - 1]))
			n--;
		if ((n == 1 && *at == '*') || (n == len && memcmp(at, tag, len) == 0))
			return true;
		at += strcspn(at, ",");
	}
	return false;
}
