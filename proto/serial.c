/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "proto/serial.h"

#include <openssl/rand.h>
#include <openssl/x509.h>
#include <string.h>

#include "proto/util.h"

#define SIZE	  16 /* bytes */
#define PERIOD_MS (SERIAL_PERIOD_DAYS * INT64_C(86400) * 1000)

int64_t
serial_period_now(void)
{
	return now_ms() / PERIOD_MS;
}

/* Above zero, and of one length. */
static ASN1_INTEGER *
number_of(unsigned char bytes[SIZE])
{
	ASN1_INTEGER *number;
	BIGNUM *value;

	bytes[0] = (unsigned char)((bytes[0] & 0x7f) | 0x40);
	value = BN_bin2bn(bytes, SIZE, NULL);
	number = value ? BN_to_ASN1_INTEGER(value, NULL) : NULL;
	if (!number)
		abort();
	BN_free(value);
	return number;
}

ASN1_INTEGER *
serial_number(const char *subject, int64_t period)
{
	_free_ char *text = xasprintf("%s:%lld", subject, (long long)period);
	unsigned char hash[EVP_MAX_MD_SIZE];

	if (EVP_Digest(text, strlen(text), hash, NULL, EVP_sha256(), NULL) != 1)
		abort();
	return number_of(hash);
}

static ASN1_INTEGER *
any_number(void)
{
	unsigned char bytes[SIZE];

	if (RAND_bytes(bytes, sizeof(bytes)) != 1)
		abort();
	return number_of(bytes);
}

void
serial_set(X509 *certificate, const char *subject)
{
	ASN1_INTEGER *number = subject ? serial_number(subject, serial_period_now()) : any_number();

	if (X509_set_serialNumber(certificate, number) != 1)
		abort();
	ASN1_INTEGER_free(number);
}
