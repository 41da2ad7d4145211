/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "proto/certificate.h"

#include <arpa/inet.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <time.h>

#include "proto/util.h"

#define PREFIX "virtx:host:"

/* The text behind the prefix, if that is what this name is. */
static bool
read_name(const GENERAL_NAME *name, char text[UUID_TEXT_SIZE], bool *ret_whole)
{
	const unsigned char *data;
	size_t prefix = strlen(PREFIX), len;

	if (name->type != GEN_URI)
		return false;
	data = ASN1_STRING_get0_data(name->d.uniformResourceIdentifier);
	len = (size_t)ASN1_STRING_length(name->d.uniformResourceIdentifier);
	if (len < prefix || memcmp(data, PREFIX, prefix) != 0)
		return false;
	*ret_whole = len - prefix == UUID_TEXT_SIZE - 1;
	memset(text, 0, UUID_TEXT_SIZE);
	if (*ret_whole)
		memcpy(text, data + prefix, UUID_TEXT_SIZE - 1);
	return true;
}

bool
certificate_host(X509 *certificate, char ret[UUID_TEXT_SIZE])
{
	GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
	char text[UUID_TEXT_SIZE] = "";
	bool whole = false;
	int n = 0;

	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++)
		n += read_name(sk_GENERAL_NAME_value(names, i), text, &whole);
	GENERAL_NAMES_free(names);
	ret[0] = '\0';
	return n == 1 && whole && uuid_normalize(text, ret) == 0;
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

int64_t
certificate_end(X509 *certificate)
{
	struct tm tm;

	if (!ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &tm))
		return 0;
	return (int64_t)timegm(&tm) * 1000;
}
