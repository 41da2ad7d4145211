/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "work/works.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "proto/json.h"
#include "proto/uuid.h"

#define BOOT_ID	 "/proc/sys/kernel/random/boot_id"
#define FILE_MAX (4 << 20)

/* What is kept, of one boot of the host. */
struct record {
	char *boot;
	struct vm_stay *vms;
	size_t n_vms;
};

static const struct field record_fields[] = {
	FIELD("boot", struct record, boot),
	FIELD_ARRAY("vms", struct record, vms, vm_stay),
};
static const struct model record_model = { "AutostartRecord", sizeof(struct record), record_fields,
	ARRAY_SIZE(record_fields) };

static int
read_file(const char *path, struct buffer *ret)
{
	_close_ int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	int r = fd < 0 ? -errno : read_all(fd, ret, FILE_MAX);

	buffer_add(ret, "", 1);
	return r;
}

static int
read_boot_id(char ret[UUID_TEXT_SIZE], struct error *err)
{
	_buffer_ struct buffer text = { 0 };
	int r = read_file(BOOT_ID, &text);

	if (r < 0)
		return error_errno(err, 503, -r, "cannot read '" BOOT_ID "'");
	text.data[strcspn(text.data, "\n")] = '\0';
	if (uuid_normalize(text.data, ret) < 0)
		return error_set(err, 503, "'" BOOT_ID "' holds no UUID");
	return 0;
}

/* What was kept since the host was booted; what is no record of ours is of no boot. */
static int
load(const char *path, const char *boot, struct autostart_result *ret, struct error *err)
{
	_buffer_ struct buffer text = { 0 };
	struct record record = { 0 };
	struct error ignored = { 0 };
	int r = read_file(path, &text);

	if (r < 0 && r != -ENOENT)
		return error_errno(err, 503, -r, "cannot read '%s'", path);
	if (r == 0 &&
	    json_decode(&record_model, text.data, strlen(text.data), &record, &ignored) == 0 &&
	    str_equal(record.boot, boot)) {
		ret->kept = true;
		ret->vms = steal_ptr(record.vms);
		ret->n_vms = record.n_vms;
		record.n_vms = 0;
	}
	model_clear(&record_model, &record);
	return 0;
}

static int
save(const char *path, const struct record *record, struct error *err)
{
	_free_ char *temporary = xasprintf("%s.%ld", path, (long)getpid());
	size_t len;
	_free_ char *text = json_encode(&record_model, record, &len);
	_close_ int fd =
	    open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	int r = fd < 0 ? -errno : write_all(fd, text, len);

	if (r == 0 && rename(temporary, path) < 0)
		r = -errno;
	if (r == 0)
		return 0;
	unlink(temporary);
	return error_errno(err, 507, -r, "cannot write '%s'", path);
}

int
work_autostart(const void *request, void *result, struct error *err)
{
	const struct autostart_request *req = request;
	struct autostart_result *res = result;
	_free_ char *path =
	    xasprintf("%s/%s", req->env.run_dir, req->failover ? "failover" : "autostart");
	char boot[UUID_TEXT_SIZE];
	const struct record record = { boot, req->vms, req->n_vms };

	if (read_boot_id(boot, err) < 0)
		return -1;
	return req->keep ? save(path, &record, err) : load(path, boot, res, err);
}
