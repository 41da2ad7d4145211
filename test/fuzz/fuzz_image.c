/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The tables of a qcow2 image that anybody may have made. */
#include <assert.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include "disk/qcow2.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_close_ int fd = memfd_create("image", MFD_CLOEXEC);
	struct error err = { 0 };

	assert(fd >= 0);
	if (size > 0)
		assert(write(fd, data, size) == (ssize_t)size);
	if (qcow2_check_header(fd, &err) < 0) {
		assert(err.status == 422);
		return 0;
	}
	if (qcow2_check_whole(fd, &err) < 0)
		assert(err.status == 422 && err.detail[0]);
	return 0;
}
