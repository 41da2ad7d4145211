/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "state/host_ha.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "proto/util.h"

/* Digits as printf writes them, 1 to max, and the character behind; false for all else. */
static bool
read_number(const char **at, char end, uint64_t max, uint64_t *ret)
{
	char *behind;

	if (!isdigit((unsigned char)**at) || **at == '0')
		return false;
	errno = 0;
	*ret = strtoull(*at, &behind, 10);
	if (errno || *ret > max || *behind != end)
		return false;
	*at = behind + 1;
	return true;
}

int
host_ha_parse(const char *text, struct host_ha *ret)
{
	uint64_t host_id, generation, io, fire;

	*ret = (struct host_ha){ 0 };
	if (!text || !read_number(&text, ':', HOST_HA_IDS, &host_id) ||
	    !read_number(&text, ':', UINT64_MAX, &generation) ||
	    !read_number(&text, ':', HOST_HA_IO_MAX, &io) ||
	    !read_number(&text, '\0', HOST_HA_FIRE_MAX, &fire))
		return -1;
	*ret = (struct host_ha){ true, (int)host_id, generation, (int)io, (int)fire };
	return 0;
}

void
host_ha_text(const struct host_ha *ha, char ret[HOST_HA_SIZE])
{
	ret[0] = '\0';
	if (ha->armed)
		snprintf(ret, HOST_HA_SIZE, "%d:%" PRIu64 ":%d:%d", ha->host_id, ha->generation,
		    ha->io_timeout, ha->fire_timeout);
}

bool
host_ha_is_valid(const struct host_ha *ha)
{
	return ha->armed && ha->host_id > 0 && ha->host_id <= HOST_HA_IDS && ha->generation > 0 &&
	       ha->io_timeout > 0 && ha->io_timeout <= HOST_HA_IO_MAX && ha->fire_timeout > 0 &&
	       ha->fire_timeout <= HOST_HA_FIRE_MAX;
}

bool
host_ha_equal(const struct host_ha *a, const struct host_ha *b)
{
	return a->armed == b->armed && a->host_id == b->host_id && a->generation == b->generation &&
	       a->io_timeout == b->io_timeout && a->fire_timeout == b->fire_timeout;
}

int
host_ha_wait(const struct host_ha *ha)
{
	return HOST_HA_RENEWAL_FAIL * ha->io_timeout + ha->fire_timeout;
}
