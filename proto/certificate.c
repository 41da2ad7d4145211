/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "proto/certificate.h"

#include <arpa/inet.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "proto/util.h"

#define PREFIX	  "virtx:"
#define HOST	  PREFIX "host:"
#define USER	  PREFIX "user:"
#define NAME_SIZE (sizeof(USER) + TOKEN_NAME_MAX)

_Static_assert(NAME_SIZE >= sizeof(HOST) + UUID_TEXT_SIZE - 1, "the longest has to fit");
_Static_assert(CERTIFICATE_PRINT_SIZE == TOKEN_HASH_LEN + 1, "the one is kept as the other");

/* The whole name, if it is one of ours; "" for one that none of them can be. */
static bool
read_name(const GENERAL_NAME *name, char text[NAME_SIZE])
{
	const unsigned char *data;
	size_t len;

	if (name->type != GEN_URI)
		return false;
	data = ASN1_STRING_get0_data(name->d.uniformResourceIdentifier);
	len = (size_t)ASN1_STRING_length(name->d.uniformResourceIdentifier);
	if (len < strlen(PREFIX) || memcmp(data, PREFIX, strlen(PREFIX)) != 0)
		return false;
	memset(text, 0, NAME_SIZE);
	if (len < NAME_SIZE && !memchr(data, '\0', len))
		memcpy(text, data, len);
	return true;
}

/* What is behind the prefix in the certificate's one name of ours, which is put into text; NULL
 * where that is another, or there are several. */
static const char *
find_name(X509 *certificate, const char *prefix, char text[NAME_SIZE])
{
	GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
	int n = 0;

	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++)
		n += read_name(sk_GENERAL_NAME_value(names, i), text);
	GENERAL_NAMES_free(names);
	return n == 1 && strncmp(text, prefix, strlen(prefix)) == 0 ? text + strlen(prefix) : NULL;
}

bool
certificate_host(X509 *certificate, char ret[UUID_TEXT_SIZE])
{
	char text[NAME_SIZE] = "";
	const char *uuid = find_name(certificate, HOST, text);

	ret[0] = '\0';
	return uuid && strlen(uuid) == UUID_TEXT_SIZE - 1 && uuid_normalize(uuid, ret) == 0;
}

bool
certificate_user(X509 *certificate, char ret[TOKEN_NAME_MAX + 1])
{
	char text[NAME_SIZE] = "";
	const char *name = find_name(certificate, USER, text);

	ret[0] = '\0';
	if (!name || !token_name_valid(name))
		return false;
	memcpy(ret, name, strlen(name) + 1);
	return true;
}

void
certificate_print(X509 *certificate, char ret[CERTIFICATE_PRINT_SIZE])
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned int len = 0;

	if (X509_digest(certificate, EVP_sha256(), digest, &len) != 1)
		abort();
	for (unsigned int i = 0; i < len; i++)
		snprintf(ret + 2 * (size_t)i, 3, "%02x", digest[i]);
}

bool
certificate_is_qemu(X509 *certificate)
{
	static const char prefix[] = CERTIFICATE_QEMU;
	const X509_NAME *subject = X509_get_subject_name(certificate);
	int at = -1;
	bool found = false;

	while ((at = X509_NAME_get_index_by_NID(subject, NID_commonName, at)) >= 0) {
		const ASN1_STRING *data =
		    X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at));
		unsigned char *text = NULL;
		int len = ASN1_STRING_to_UTF8(&text, data);

		found |= len >= (int)strlen(prefix) && memcmp(text, prefix, strlen(prefix)) == 0;
		OPENSSL_free(text);
	}
	return found;
}

bool
certificate_has_name(X509 *certificate, const char *name)
{
	ASN1_OCTET_STRING *ip = a2i_IPADDRESS(name);
	bool is_ip = ip != NULL;

	ASN1_OCTET_STRING_free(ip);
	if (is_ip)
		return X509_check_ip_asc(certificate, name, 0) == 1;
	return X509_check_host(certificate, name, 0, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS, NULL) ==
	       1;
}

char *
certificate_name_text(const GENERAL_NAME *name)
{
	char address[INET6_ADDRSTRLEN] = "";
	const unsigned char *data;
	int len, type;
	const ASN1_STRING *string = GENERAL_NAME_get0_value(name, &type);

	if (type != GEN_DNS && type != GEN_IPADD)
		return NULL;
	data = ASN1_STRING_get0_data(string);
	len = ASN1_STRING_length(string);
	if (type == GEN_DNS)
		return strlen((const char *)data) == (size_t)len ? xstrdup((const char *)data)
								 : NULL;
	if (len == 4 || len == 16)
		inet_ntop(len == 4 ? AF_INET : AF_INET6, data, address, sizeof(address));
	return *address ? xstrdup(address) : NULL;
}

char *
certificate_names(X509 *certificate)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
	struct buffer list = { 0 };

	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		_free_ char *text = certificate_name_text(sk_GENERAL_NAME_value(names, i));

		/* With a comma it is no name, and would be two. */
		if (text && !strchr(text, ','))
			buffer_printf(&list, "%s%s", list.len ? "," : "", text);
	}
	GENERAL_NAMES_free(names);
	return list.len ? buffer_steal(&list, NULL) : xstrdup("");
}

static int64_t
time_ms(const ASN1_TIME *time)
{
	struct tm tm;

	return ASN1_TIME_to_tm(time, &tm) ? (int64_t)timegm(&tm) * 1000 : 0;
}

int64_t
certificate_end(X509 *certificate)
{
	return time_ms(X509_get0_notAfter(certificate));
}

int64_t
certificate_begin(X509 *certificate)
{
	return time_ms(X509_get0_notBefore(certificate));
}
