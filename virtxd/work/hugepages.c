/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "work/hugepages.h"

#include <inttypes.h>
#include <stdio.h>

#include "domain/migration_xml.h"
#include "work/vm_steps.h"

#define POOLS "/sys/kernel/mm/hugepages"

/* The KiB of a page where nobody asks for another size; 0 on a kernel without hugepages. */
static unsigned int
default_size(void)
{
	FILE *file = fopen("/proc/meminfo", "re");
	unsigned int size = 0;
	char line[256];

	if (!file)
		return 0;
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "Hugepagesize: %u kB", &size) == 1)
			break;
	}
	fclose(file);
	return size;
}

static int64_t
read_pool(unsigned int size, const char *name)
{
	_free_ char *path = xasprintf("%s/hugepages-%ukB/%s", POOLS, size, name);
	FILE *file = fopen(path, "re");
	int64_t n = 0;

	if (!file)
		return 0;
	if (fscanf(file, "%" SCNd64, &n) != 1)
		n = 0;
	fclose(file);
	return n;
}

/* Pages that nobody has been promised; the kernel may be allowed to make more of them. */
static int64_t
free_pages(unsigned int size)
{
	int64_t more =
	    read_pool(size, "nr_overcommit_hugepages") - read_pool(size, "surplus_hugepages");

	return read_pool(size, "free_hugepages") - read_pool(size, "resv_hugepages") +
	       (more > 0 ? more : 0);
}

static int64_t
count(unsigned int size, int64_t mib)
{
	return (mib * 1024 + size - 1) / size;
}

bool
hugepages_fit(unsigned int size, int64_t n, int64_t mib)
{
	return mib * 1024 >= size && count(size, mib) <= n;
}

static int
check_pages(const char *host, unsigned int size, int64_t mib, struct error *err)
{
	int64_t n = free_pages(size);

	if (hugepages_fit(size, n, mib))
		return 0;
	if (mib * 1024 < size)
		return error_set(err, 422,
		    "a hugepage of host '%s' has %u MiB, and the VM has %" PRId64
		    " MiB of memory: it has to be as much at least",
		    host, size / 1024, mib);
	return error_set(err, 422,
	    "host '%s' has %" PRId64 " MiB of free hugepages (%" PRId64
	    " of %u KiB), and the VM needs %" PRId64 " MiB",
	    host, n * size / 1024, n, size, count(size, mib) * size / 1024);
}

int
hugepages_check(
    virDomainPtr domain, const char *host, const struct domain_info *info, struct error *err)
{
	_free_ char *xml = NULL;
	struct migration_pages pages;

	if (!info->def.memory.hp)
		return 0;
	xml = vm_xml(domain, info->uuid, err);
	if (!xml || migration_xml_pages(xml, &pages, err) < 0)
		return -1;
	if (pages.mixed)
		return 0;
	if (!pages.size)
		pages.size = default_size();
	if (!pages.size)
		return error_set(err, 422, "the kernel of host '%s' has no hugepages", host);
	return check_pages(host, pages.size, info->def.memory.total, err);
}
