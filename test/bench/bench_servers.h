/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The servers that bench_http and bench_tls compare. Each is a process of its own, with the same
 * kind of loop.
 */
#ifndef BENCH_SERVERS_H
#define BENCH_SERVERS_H

#include "proto/util.h"

#define BENCH_VM	"0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0" /* is there, on this host */
#define BENCH_HOST	"6e0f3a52-7d1c-4a88-9a3e-0b6a4f2c9d11"
#define BENCH_FORWARDER "b7d0c1e4-2f68-4c0b-8d55-913e6a7f0c24"

/* Paths. */
struct bench_tls {
	const char *certificate, *key, *ca;
};

/* Both serve until the process is ended. fd is a pipe, which gets the port (uint16_t, of 127.0.0.1)
 * and is closed then. */

/* virtxd's listener and API over an inventory of so many VMs, of which all but BENCH_VM are on
 * other hosts, 100 on each. By TLS where there are files for it, else NULL. */
void __attribute__((noreturn))
bench_serve_api(int fd, unsigned int vms, const struct bench_tls *files);
/* Likewise, of the host BENCH_FORWARDER, to which all VMs are on BENCH_HOST: it has that one
 * answer, which serves by TLS at this port of 127.0.0.1. */
void __attribute__((noreturn))
bench_serve_forwarder(int fd, uint16_t to, const struct bench_tls *files);
/* A bare evhttp, which answers everything with this JSON. */
void __attribute__((noreturn)) bench_serve_bare(int fd, const struct buffer *reply);

#endif
