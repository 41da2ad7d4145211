/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "proto/pki.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "proto/pem.h"
#include "proto/serial.h"

#define DAY_S	    86400L
#define BACKDATED_S 3600L /* a clock that is behind shall take it, too */

char *
pki_key_new(void)
{
	_key_ EVP_PKEY *key = EVP_EC_gen("P-256");
	_bio_ BIO *bio = BIO_new(BIO_s_secmem());

	if (!key || !bio || PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) != 1)
		abort();
	return pem_take(bio);
}

void
pki_wipe(char *secret)
{
	if (secret)
		explicit_bzero(secret, strlen(secret));
	free(secret);
}

/* Names */

static bool
is_address(const char *name)
{
	struct in6_addr parsed;

	return inet_pton(AF_INET, name, &parsed) == 1 || inet_pton(AF_INET6, name, &parsed) == 1;
}

bool
pki_name_valid(const char *name)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789.-_";
	size_t len = strlen(name);

	if (is_address(name))
		return true;
	return len > 0 && len <= 253 && !name[strspn(name, allowed)] && !strchr(".-", name[0]) &&
	       !strstr(name, "..");
}

bool
pki_host_name_valid(const char *name)
{
	static const char local[] = "localhost";
	size_t len = strlen(local);

	return pki_name_valid(name) && !is_address(name) && strlen(name) <= HOST_NAME_MAX &&
	       !(strncasecmp(name, local, len) == 0 && (!name[len] || name[len] == '.'));
}

/* "DNS:h1, IP:192.0.2.1", which OpenSSL reads; NULL for none. */
static char *
names_text(const char *const *names, size_t n_names, const char *uri)
{
	struct buffer b = { 0 };

	if (uri)
		buffer_printf(&b, "URI:virtx:host:%s", uri);
	for (size_t i = 0; i < n_names; i++)
		buffer_printf(
		    &b, "%s%s:%s", b.len ? "," : "", is_address(names[i]) ? "IP" : "DNS", names[i]);
	return b.len ? buffer_steal(&b, NULL) : NULL;
}

/* Names that a request asks for, as names_text has them. */
struct names {
	char *items[PKI_NAMES_MAX];
	size_t n;
};

static void
names_clear(struct names *names)
{
	for (size_t i = 0; i < names->n; i++)
		free(names->items[i]);
	names->n = 0;
}

static int
read_names(X509_REQ *request, struct names *ret, struct error *err)
{
	STACK_OF(X509_EXTENSION) *extensions = X509_REQ_get_extensions(request);
	GENERAL_NAMES *found = X509V3_get_d2i(extensions, NID_subject_alt_name, NULL, NULL);
	int n = sk_GENERAL_NAME_num(found), rc = 0;

	if (n > PKI_NAMES_MAX)
		rc = error_set(err, 400, "the request has more than %d names", PKI_NAMES_MAX);
	for (int i = 0; i < n && rc == 0; i++) {
		char *text = certificate_name_text(sk_GENERAL_NAME_value(found, i));

		if (text && pki_name_valid(text)) {
			ret->items[ret->n++] = text;
			continue;
		}
		free(text);
		rc = error_set(err, 400,
		    "the request has what is neither a name nor an address as name %d", i + 1);
	}
	GENERAL_NAMES_free(found);
	sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
	return rc;
}

/* Certificates */

static void
add_extension(X509 *certificate, X509 *issuer, int nid, const char *value)
{
	X509_EXTENSION *extension;
	X509V3_CTX ctx;

	X509V3_set_ctx(&ctx, issuer, certificate, NULL, NULL, 0);
	extension = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	if (!extension || X509_add_ext(certificate, extension, -1) != 1)
		abort();
	X509_EXTENSION_free(extension);
}

/* With all but its extensions and who has signed it. */
static X509 *
new_certificate(const char *name, EVP_PKEY *key, int64_t seconds)
{
	X509 *certificate = X509_new();
	X509_NAME *subject = X509_NAME_new();

	if (!certificate || !subject ||
	    X509_NAME_add_entry_by_txt(
		subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0) != 1 ||
	    X509_set_version(certificate, 2) != 1 ||
	    X509_set_subject_name(certificate, subject) != 1 ||
	    X509_set_pubkey(certificate, key) != 1)
		abort();
	serial_set(certificate, NULL);
	X509_gmtime_adj(X509_getm_notBefore(certificate), -BACKDATED_S);
	X509_gmtime_adj(X509_getm_notAfter(certificate), (long)seconds);
	X509_NAME_free(subject);
	return certificate;
}

static char *
certificate_text(X509 *certificate)
{
	_bio_ BIO *bio = BIO_new(BIO_s_mem());

	if (!bio || PEM_write_bio_X509(bio, certificate) != 1)
		abort();
	return pem_take(bio);
}

char *
pki_ca_new(const char *key_text, const char *name, struct error *err)
{
	_key_ EVP_PKEY *key = pem_key(key_text);
	_x509_ X509 *ca = NULL;

	if (!key || strlen(name) > 64) {
		error_set(err, 500, key ? "the CA's name is too long" : "the CA's key is none");
		return NULL;
	}
	ca = new_certificate(name, key, PKI_CA_DAYS * DAY_S);
	X509_set_issuer_name(ca, X509_get_subject_name(ca));
	add_extension(ca, ca, NID_basic_constraints, "critical,CA:TRUE,pathlen:0");
	add_extension(ca, ca, NID_key_usage, "critical,keyCertSign,cRLSign");
	add_extension(ca, ca, NID_subject_key_identifier, "hash");
	if (X509_sign(ca, key, EVP_sha256()) <= 0) {
		error_set(err, 500, "cannot sign the CA's certificate: %s", pem_error());
		return NULL;
	}
	return certificate_text(ca);
}

char *
pki_request_new(const char *key_text, const char *const *names, size_t n_names, struct error *err)
{
	_key_ EVP_PKEY *key = pem_key(key_text);
	_request_ X509_REQ *request = X509_REQ_new();
	_free_ char *san = names_text(names, n_names, NULL);
	_bio_ BIO *bio = BIO_new(BIO_s_mem());
	STACK_OF(X509_EXTENSION) *extensions = NULL;
	X509_EXTENSION *extension = NULL;
	bool done;

	if (!request || !bio)
		abort();
	if (san)
		extension = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, san);
	if (extension)
		X509v3_add_ext(&extensions, extension, -1);
	done = key && (!san || extension) && X509_REQ_set_pubkey(request, key) == 1 &&
	       (!extensions || X509_REQ_add_extensions(request, extensions) == 1) &&
	       X509_REQ_sign(request, key, EVP_sha256()) > 0 &&
	       PEM_write_bio_X509_REQ(bio, request) == 1;
	X509_EXTENSION_free(extension);
	sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
	if (!done) {
		error_set(err, 500, "cannot make a request for a certificate: %s",
		    key ? pem_error() : "the key is none");
		return NULL;
	}
	return pem_take(bio);
}

char *
pki_request_again(const char *key, const char *text, struct error *err)
{
	__attribute__((cleanup(names_clear))) struct names names = { 0 };
	_x509_ X509 *certificate = pem_certificate(text);
	GENERAL_NAMES *found = NULL;

	if (!certificate) {
		error_set(err, 500, "the present certificate is none in PEM");
		return NULL;
	}
	found = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
	for (int i = 0; i < sk_GENERAL_NAME_num(found) && names.n < PKI_NAMES_MAX; i++) {
		char *name = certificate_name_text(sk_GENERAL_NAME_value(found, i));

		if (name)
			names.items[names.n++] = name;
	}
	GENERAL_NAMES_free(found);
	return pki_request_new(key, (const char *const *)names.items, names.n, err);
}

/* The key of a request that its owner has signed: of P-256 alone, as others cost far more to check.
 * NULL with a 400. */
static EVP_PKEY *
request_key(X509_REQ *request, struct error *err)
{
	EVP_PKEY *key = request ? X509_REQ_get0_pubkey(request) : NULL;
	char group[64] = "";

	if (key && EVP_PKEY_is_a(key, "EC"))
		EVP_PKEY_get_group_name(key, group, sizeof(group), NULL);
	if (!key)
		error_set(err, 400, "the request for a certificate is none in PEM");
	else if (strcmp(group, "prime256v1") != 0)
		error_set(err, 400, "the request for a certificate is not for a key of P-256");
	else if (X509_REQ_verify(request, key) != 1)
		error_set(err, 400, "the request for a certificate was not signed by its key");
	else
		return key;
	ERR_clear_error();
	return NULL;
}

char *
pki_request_names(const char *text, struct error *err)
{
	_request_ X509_REQ *request = pem_request(text);
	__attribute__((cleanup(names_clear))) struct names names = { 0 };
	struct buffer list = { 0 };

	if (!request) {
		error_set(err, 400, "the request for a certificate is none in PEM");
		return NULL;
	}
	if (read_names(request, &names, err) < 0)
		return NULL;
	for (size_t i = 0; i < names.n; i++)
		buffer_printf(&list, "%s%s", i ? "," : "", names.items[i]);
	return list.len ? buffer_steal(&list, NULL) : xstrdup("");
}

/* What is said in a certificate. */
struct content {
	const char *subject, *san; /* as names_text has them; NULL for none */
	const char *uses, *purposes;
	const char *numbered; /* of a host, that can be put out: what its number follows from */
	bool for_clients;     /* who does not know that this may be said must not take it */
	int64_t seconds;
};

static X509 *
make_certificate(EVP_PKEY *key, X509 *issuer, const struct content *content)
{
	X509 *certificate = new_certificate(content->subject, key, content->seconds);

	if (content->numbered)
		serial_set(certificate, content->numbered);
	X509_set_issuer_name(certificate, X509_get_subject_name(issuer));
	add_extension(certificate, issuer, NID_basic_constraints, "critical,CA:FALSE");
	add_extension(certificate, issuer, NID_key_usage, content->uses);
	add_extension(certificate, issuer, NID_ext_key_usage, content->purposes);
	if (content->for_clients)
		add_extension(certificate, issuer, NID_netscape_cert_type, "critical,client");
	add_extension(certificate, issuer, NID_authority_key_identifier, "keyid,issuer");
	if (content->san)
		add_extension(certificate, issuer, NID_subject_alt_name, content->san);
	return certificate;
}

/* None is good for longer than that of its CA, and who looks when it ends shall see that. */
static void
end_with(X509 *certificate, X509 *ca)
{
	const ASN1_TIME *end = X509_get0_notAfter(ca);

	if (ASN1_TIME_compare(X509_get0_notAfter(certificate), end) > 0 &&
	    X509_set1_notAfter(certificate, end) != 1)
		abort();
}

static char *
sign_content(const char *ca_text, const char *ca_key_text, EVP_PKEY *key,
    const struct content *content, struct error *err)
{
	_x509_ X509 *ca = pem_certificate(ca_text), *certificate = NULL;
	_key_ EVP_PKEY *ca_key = pem_key(ca_key_text);

	if (!ca || !ca_key || X509_check_private_key(ca, ca_key) != 1) {
		error_set(err, 500, "the CA's certificate and key are not of one another");
		ERR_clear_error();
		return NULL;
	}
	if (X509_cmp_current_time(X509_get0_notAfter(ca)) <= 0) {
		error_set(err, 500, "the CA's certificate has ended");
		ERR_clear_error();
		return NULL;
	}
	certificate = make_certificate(key, ca, content);
	end_with(certificate, ca);
	if (X509_sign(certificate, ca_key, EVP_sha256()) <= 0) {
		error_set(err, 500, "cannot sign a certificate: %s", pem_error());
		return NULL;
	}
	return certificate_text(certificate);
}

char *
pki_subject(enum pki_kind kind, const char *uuid)
{
	return xasprintf("%s%s", kind == PKI_HOST ? "virtx:host:" : CERTIFICATE_QEMU, uuid);
}

char *
pki_sign(const char *ca, const char *ca_key, const char *request_text, enum pki_kind kind,
    const char *uuid, int days, struct error *err)
{
	_request_ X509_REQ *request = pem_request(request_text);
	__attribute__((cleanup(names_clear))) struct names names = { 0 };
	EVP_PKEY *key = request_key(request, err);
	size_t len = strcspn(uuid, "#");
	_free_ char *host = xstrndup(uuid, len), *numbered = NULL, *subject = NULL, *san = NULL;
	char normal[UUID_TEXT_SIZE];
	struct content content;

	if (!key || read_names(request, &names, err) < 0)
		return NULL;
	if (uuid_normalize(host, normal) < 0) {
		error_set(err, 400, "'%.64s' is not the UUID of a host", uuid);
		return NULL;
	}
	subject = pki_subject(kind, normal);
	numbered = xasprintf("%s%s", subject, uuid + len);
	san =
	    names_text((const char *const *)names.items, names.n, kind == PKI_HOST ? normal : NULL);
	content = (struct content){
		.subject = subject,
		.san = san,
		/* GnuTLS as libvirt and QEMU use it wants to see both, of whatever key. */
		.uses = "digitalSignature,keyEncipherment",
		.purposes = "serverAuth,clientAuth",
		.numbered = numbered,
		.seconds = days * DAY_S,
	};
	return sign_content(ca, ca_key, key, &content, err);
}

char *
pki_sign_user(const char *ca, const char *ca_key, const char *request_text, const char *name,
    int64_t seconds, struct error *err)
{
	_request_ X509_REQ *request = pem_request(request_text);
	EVP_PKEY *key = request_key(request, err);
	_free_ char *subject = xasprintf("virtx:user:%s", name);
	_free_ char *san = xasprintf("URI:%s", subject);
	const struct content content = {
		.subject = subject,
		.san = san,
		.uses = "digitalSignature",
		.purposes = "clientAuth",
		.for_clients = true,
		.seconds = seconds,
	};

	if (!key)
		return NULL;
	if (!token_name_valid(name)) {
		error_set(err, 400, "'%.64s' is not the name of a user", name);
		return NULL;
	}
	return sign_content(ca, ca_key, key, &content, err);
}

/* What is said of one */

int
pki_fingerprint(const char *text, char ret[PKI_FINGERPRINT_SIZE], struct error *err)
{
	_x509_ X509 *certificate = pem_certificate(text);

	if (!certificate)
		return error_set(err, 500, "it has no certificate in PEM");
	certificate_print(certificate, ret);
	return 0;
}

static char *
serial_text(X509 *certificate)
{
	BIGNUM *number = ASN1_INTEGER_to_BN(X509_get0_serialNumber(certificate), NULL);
	char *hex = number ? BN_bn2hex(number) : NULL, *text;

	if (!hex)
		abort();
	text = xstrdup(hex);
	OPENSSL_free(hex);
	BN_free(number);
	return text;
}

char *
pki_about(const char *text)
{
	_x509_ X509 *certificate = pem_certificate(text);
	_free_ char *names = NULL, *serial = NULL;
	char name[80] = "", end[32] = "?";
	struct tm tm;

	if (!certificate)
		return NULL;
	X509_NAME_get_text_by_NID(
	    X509_get_subject_name(certificate), NID_commonName, name, sizeof(name));
	names = certificate_names(certificate);
	serial = serial_text(certificate);
	if (ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &tm) == 1)
		strftime(end, sizeof(end), "%Y-%m-%dT%H:%M:%SZ", &tm);
	return xasprintf(
	    "%s for %s, until %s, serial %s", name, *names ? names : "no name", end, serial);
}

void
pki_fingerprint_show(const char fingerprint[PKI_FINGERPRINT_SIZE], char ret[PKI_SHOWN_SIZE])
{
	for (size_t i = 0; fingerprint[2 * i]; i++)
		snprintf(ret + 3 * i, 4, "%c%c%s", toupper((unsigned char)fingerprint[2 * i]),
		    toupper((unsigned char)fingerprint[2 * i + 1]),
		    fingerprint[2 * i + 2] ? ":" : "");
}

bool
pki_fingerprint_parse(const char *text, char ret[PKI_FINGERPRINT_SIZE])
{
	size_t n = 0;

	for (; *text; text++) {
		/* Only between two bytes. */
		if (*text == ':' && n > 0 && n % 2 == 0 && hex_digit(text[1]) >= 0)
			continue;
		if (hex_digit(*text) < 0 || n == PKI_FINGERPRINT_SIZE - 1)
			return false;
		ret[n++] = (char)tolower((unsigned char)*text);
	}
	ret[n] = '\0';
	return n == PKI_FINGERPRINT_SIZE - 1;
}

bool
pki_matches(const char *text, const char *key_text, const char *ca_text, enum pki_kind kind,
    const char *uuid)
{
	_x509_ X509 *certificate = pem_certificate(text), *ca = pem_certificate(ca_text);
	_key_ EVP_PKEY *key = pem_key(key_text);
	char host[UUID_TEXT_SIZE];
	bool matches;

	matches = certificate && ca && key && X509_check_private_key(certificate, key) == 1 &&
		  X509_verify(certificate, X509_get0_pubkey(ca)) == 1 &&
		  (certificate_host(certificate, host) ? kind == PKI_HOST && strcmp(host, uuid) == 0
						       : kind == PKI_QEMU);
	ERR_clear_error();
	return matches;
}

bool
pki_host(const char *text, char ret[UUID_TEXT_SIZE])
{
	_x509_ X509 *certificate = pem_certificate(text);

	ret[0] = '\0';
	return certificate && certificate_host(certificate, ret);
}

bool
pki_is_one(const char *text)
{
	static const char begin[] = "-----BEGIN ";
	_x509_ X509 *certificate = pem_certificate(text);
	const char *first = strstr(text, begin);

	return certificate && first && !strstr(first + 1, begin);
}

static bool
has_certificate(const char *text, const X509 *certificate)
{
	_bio_ BIO *bio = pem_open(text);
	bool found = false;
	X509 *one;

	while (!found && (one = PEM_read_bio_X509(bio, NULL, pem_no_passphrase, NULL))) {
		found = X509_cmp(one, certificate) == 0;
		X509_free(one);
	}
	ERR_clear_error();
	return found;
}

static size_t
count_blocks(const char *text)
{
	static const char begin[] = "-----BEGIN ";
	size_t n = 0;

	while ((text = strstr(text, begin))) {
		text += strlen(begin);
		n++;
	}
	return n;
}

char *
pki_chain(const char *text, const char *ca)
{
	_bio_ BIO *bio = pem_open(text);
	struct buffer chain = { 0 };
	size_t n = 0;
	X509 *one;

	while ((one = PEM_read_bio_X509(bio, NULL, pem_no_passphrase, NULL))) {
		bool fits = n == 0 || has_certificate(ca, one);
		_free_ char *own = certificate_text(one);

		X509_free(one);
		if (!fits)
			break;
		n++;
		buffer_printf(&chain, "%s", own);
	}
	ERR_clear_error();
	if (n > 0 && n == count_blocks(text))
		return buffer_steal(&chain, NULL);
	buffer_clear(&chain);
	return NULL;
}

static void
add_anchors(X509_STORE *anchors, const char *text)
{
	BIO *bio = BIO_new_mem_buf(text, -1);
	X509 *ca;

	if (!bio)
		abort();
	while ((ca = PEM_read_bio_X509(bio, NULL, NULL, NULL))) {
		(void)X509_STORE_add_cert(anchors, ca);
		X509_free(ca);
	}
	BIO_free(bio);
}

const char *
pki_refusal(const char *text, const char *ca_text)
{
	static const int purposes[] = { X509_PURPOSE_SSL_SERVER, X509_PURPOSE_SSL_CLIENT };
	_x509_ X509 *certificate = pem_certificate(text);
	X509_STORE *anchors = X509_STORE_new();
	int wrong = certificate ? X509_V_OK : X509_V_ERR_UNSPECIFIED;

	if (!anchors)
		abort();
	add_anchors(anchors, ca_text);
	X509_STORE_set_flags(anchors, X509_V_FLAG_NO_CHECK_TIME);
	for (size_t i = 0; i < ARRAY_SIZE(purposes) && wrong == X509_V_OK; i++) {
		X509_STORE_CTX *check = X509_STORE_CTX_new();

		if (!check || X509_STORE_CTX_init(check, anchors, certificate, NULL) != 1)
			abort();
		X509_STORE_CTX_set_purpose(check, purposes[i]);
		if (X509_verify_cert(check) != 1)
			wrong = X509_STORE_CTX_get_error(check);
		X509_STORE_CTX_free(check);
	}
	X509_STORE_free(anchors);
	ERR_clear_error();
	return wrong == X509_V_OK ? NULL : X509_verify_cert_error_string(wrong);
}

bool
pki_is_signed(const char *text, const char *ca_text)
{
	_x509_ X509 *certificate = pem_certificate(text), *ca = pem_certificate(ca_text);
	bool is_signed = certificate && ca && X509_verify(certificate, X509_get0_pubkey(ca)) == 1;

	ERR_clear_error();
	return is_signed;
}

char *
pki_common_name(const char *text, bool *ret_alone)
{
	_x509_ X509 *certificate = pem_certificate(text);
	X509_NAME *subject = certificate ? X509_get_subject_name(certificate) : NULL;
	char found[80] = "";

	*ret_alone = subject && X509_NAME_entry_count(subject) == 1;
	if (subject)
		X509_NAME_get_text_by_NID(subject, NID_commonName, found, sizeof(found));
	return xstrdup(found);
}

int64_t
pki_end(const char *text, int64_t *ret_length)
{
	_x509_ X509 *certificate = pem_certificate(text);
	int days = 0, seconds = 0;

	*ret_length = 0;
	if (!certificate || ASN1_TIME_diff(&days, &seconds, X509_get0_notBefore(certificate),
				X509_get0_notAfter(certificate)) != 1)
		return 0;
	*ret_length = (days * INT64_C(86400) + seconds) * 1000;
	return certificate_end(certificate);
}

bool
pki_has_names(const char *text, const char *const *names, size_t n_names)
{
	_x509_ X509 *certificate = pem_certificate(text);

	for (size_t i = 0; certificate && i < n_names; i++)
		if (!certificate_has_name(certificate, names[i]))
			return false;
	return certificate != NULL;
}
