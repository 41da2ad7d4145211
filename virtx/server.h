/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The server as the user names it, and its addresses. */
#ifndef VIRTX_SERVER_H
#define VIRTX_SERVER_H

#include "proto/error.h"

#define SERVER_PORT		  8080
#define SERVER_ADDRESSES_MAX	  8
#define SERVER_ERROR_STATUS	  -1 /* of an error that is not the server's own */
#define SERVER_UNREACHABLE_STATUS -2 /* the same where nobody answers there */

/* How the user has said it. */
enum server_said {
	SERVER_UNSAID, /* not at all */
	SERVER_BARE,   /* without a scheme */
	SERVER_SCHEME,
};

/* What a server that is only looked at says of itself. */
enum server_shown_as {
	SHOWN_NOTHING, /* there was no handshake with it */
	SHOWN_KNOWN,   /* who answers for its certificate is known already */
	SHOWN_CA,      /* not that, but it shows who that is */
	SHOWN_UNFIT,   /* it is refused, whoever that is */
};

struct server_shown {
	enum server_shown_as as;
	char *ca; /* in which its certificates end, signed by itself, as PEM; NULL: it sends none */
};

struct server {
	enum server_said said;
	char *socket; /* the path of a UNIX socket, NULL for TCP */
	char *host;   /* a name or an IP literal, without brackets; localhost for a socket */
	uint16_t port;
	bool tls;
	char *prefix; /* of all paths, as "/virtx" where a proxy has virtxd there; NULL for none */
	char *ca;     /* the file of who answers for the server's certificate; NULL: the system's */
	char *ca_text;		 /* the same as PEM, instead of a file; NULL for none */
	char *certificate, *key; /* the files of the user's own, NULL for none */
	/* Else the SHA-256 of its certificate, hexadecimal, borrowed: the server has to be a host
	 * that this CA has signed for. */
	const char *fingerprint;
	/* It is only looked at: this is filled, borrowed, and nothing is sent. NULL else. */
	struct server_shown *shown;
};

/*
 * Reads HOST, HOST:PORT, an IPv6 literal with or without [], http:// or https://
 * HOST[:PORT][/PREFIX][/], or unix:PATH. Without a port it is 8080, in a URL too. ret is zero or of
 * an earlier call; an error leaves it as it is.
 */
int server_parse(const char *text, struct server *ret, struct error *err);
void server_clear(struct server *server);
/* The path of a Location as virtxd has it: a proxy may put its prefix before that, and the server's
 * URL before both. Another server's URL stays as it is. */
const char *server_own_path(const struct server *server, const char *location);
/* This host: by its UNIX socket where that can be opened. */
int server_here(struct server *ret, struct error *err);
/* There is the secret of a token. It goes by TLS where no scheme was said; *ret_sent: it goes at
 * all, as it does not by a UNIX socket. -1 where nobody has said to whom. */
int server_take_secret(struct server *server, bool *ret_sent, struct error *err);
/* The file with the CA; NULL: that of a host where it is there. */
void server_set_ca(struct server *server, const char *given);
/* The files with a user's certificate and its key, NULL for none; the key may be in the file of the
 * certificate. It is shown by TLS alone, which it asks for where no scheme was said. */
int server_set_certificate(
    struct server *server, const char *certificate, const char *key, struct error *err);
/* A connection to a UNIX socket that does not block, or -errno. */
int server_open_socket(const char *path);
/* The addresses as IP literals, each to be freed by the caller. Blocks where the name service does.
 */
int server_resolve(const struct server *server, char *addresses[SERVER_ADDRESSES_MAX], size_t *n,
    struct error *err);

#endif
