/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the options of operations on a VM must satisfy. */
#include <limits.h>
#include <string.h>

#include "proto/check.h"
#include "proto/uuid.h"
#include "proto/vmdef.h"

#define CLOUD_INIT_MAX (256 * 1024)

int
vm_shutdown_options_check(const struct vm_shutdown_options *options, struct error *err)
{
	if (options->force < 0 || options->force > 2)
		return error_set(err, 400,
		    "force: %d is out of range 0..2 (0 ACPI, 1 SIGTERM, 2 SIGKILL)",
		    options->force);
	return 0;
}

int
vm_migrate_options_check(const struct vm_migrate_options *options, struct error *err)
{
	const struct {
		const char *name;
		int32_t value;
		int32_t max;
	} numbers[] = {
		{ "bandwidth", options->bandwidth, 1 << 20 },
		{ "downtime", options->downtime, 2000000 }, /* QEMU's own bound */
		{ "timeout", options->timeout, 7 * 24 * 3600 },
	};
	bool live = options->migration_type == MIGRATION_TYPE_LIVE;
	char uuid[UUID_TEXT_SIZE];

	if (!str_empty(options->host) && uuid_normalize(options->host, uuid) < 0)
		return error_set(err, 400, "host: '%s' is no UUID", options->host);
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		if (numbers[i].value < 0 || numbers[i].value > numbers[i].max)
			return error_set(err, 400, "%s: %d is out of range 0..%d", numbers[i].name,
			    numbers[i].value, numbers[i].max);
		if (numbers[i].value > 0 && !live)
			return error_set(
			    err, 400, "%s: it is for live migrations alone", numbers[i].name);
	}
	if (options->post_copy && !live)
		return error_set(err, 400, "post_copy: it is for live migrations alone");
	if (options->timeout_action != MIGRATION_TIMEOUT_ABORT && options->timeout == 0)
		return error_set(err, 400, "timeout_action: there is no timeout");
	if (options->timeout_action == MIGRATION_TIMEOUT_POST_COPY && !options->post_copy)
		return error_set(
		    err, 400, "timeout_action: post-copy must be allowed by post_copy");
	return 0;
}

int
vm_boot_options_check(const struct vm_boot_options *options, struct error *err)
{
	static const char *const names[] = { "ci-userdata", "ci-networkconfig", "ci-metadata" };
	bool seen[ARRAY_SIZE(names)] = { false };

	for (size_t i = 0; i < options->n_cloud_init; i++) {
		const struct cloud_init_option *option = &options->cloud_init[i];
		size_t which = 0;

		while (which < ARRAY_SIZE(names) && !str_equal(option->name, names[which]))
			which++;
		if (which == ARRAY_SIZE(names))
			return error_set(err, 400,
			    "cloud_init[%zu].name: '%s' is not ci-userdata, ci-metadata or "
			    "ci-networkconfig",
			    i, str_or_empty(option->name));
		if (seen[which])
			return error_set(
			    err, 400, "cloud_init[%zu].name: '%s' comes twice", i, option->name);
		seen[which] = true;
		if (strlen(str_or_empty(option->value)) > CLOUD_INIT_MAX)
			return error_set(err, 400, "cloud_init[%zu].value: longer than %d bytes", i,
			    CLOUD_INIT_MAX);
	}
	if (options->n_cloud_init > 0 && !seen[0] && !seen[1])
		return error_set(
		    err, 400, "cloud_init: needs ci-userdata or ci-networkconfig, or both");
	return 0;
}

static int
check_reserved(const char *host, const char *operation, struct error *err)
{
	char uuid[UUID_TEXT_SIZE];

	if (uuid_normalize(str_or_empty(host), uuid) < 0)
		return error_set(err, 400, "host: '%s' is no UUID", str_or_empty(host));
	if (uuid_normalize(str_or_empty(operation), uuid) < 0)
		return error_set(err, 400, "operation: '%s' is no UUID", str_or_empty(operation));
	return 0;
}

int
vm_reservation_check(const struct vm_reservation *reservation, struct error *err)
{
	const struct cpudef *cpu = &reservation->cpudef;
	long long vcpus = (long long)cpu->sockets * cpu->cores * cpu->threads;

	if (check_reserved(reservation->host, reservation->operation, err) < 0 ||
	    check_range(reservation->memory.total, 0, INT32_MAX, "memory", "total", err) < 0 ||
	    check_range(cpu->sockets, 0, INT16_MAX, "cpudef", "sockets", err) < 0 ||
	    check_range(cpu->cores, 0, INT16_MAX, "cpudef", "cores", err) < 0 ||
	    check_range(cpu->threads, 0, INT16_MAX, "cpudef", "threads", err) < 0)
		return -1;
	if (vcpus > INT16_MAX)
		return error_set(
		    err, 400, "cpudef: %lld virtual CPUs are more than %d", vcpus, INT16_MAX);
	return 0;
}

int
vm_reservation_end_check(const struct vm_reservation_end *end, struct error *err)
{
	return check_reserved(end->host, end->operation, err);
}
